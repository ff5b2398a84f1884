--- Which of a run's calls are shown.

--- Whether a call is of those that are asked for.
local function wanted(call, options)
  return (not options.failed or call.status == "failed")
    and (not options.node or call.node == options.node)
    and (not options.depth or call.depth <= options.depth)
end

local function length_of(call)
  return call.started_at and call.ended_at and call.ended_at - call.started_at or -1
end

--- Keeps the `count` calls that took longest, the longest first; of equals, who came first.
local function keep_slowest(calls, count)
  table.sort(calls, function(a, b)
    if a.length ~= b.length then return a.length > b.length end
    return a.turn < b.turn
  end)
  for i = #calls, count + 1, -1 do calls[i] = nil end
end

--- Iterates over the slowest of those that `next_call` gives. Few more than that many are in
--- memory at a time.
local function slowest(next_call, count)
  local calls, turn = {}, 0
  for call in next_call do
    turn = turn + 1
    call.length, call.turn = length_of(call), turn
    calls[#calls + 1] = call
    if #calls >= 2 * count + 1000 then keep_slowest(calls, count) end
  end
  keep_slowest(calls, count)
  local at = 0
  return function()
    at = at + 1
    return calls[at]
  end
end

local choose = { wanted = wanted }

--- Whether what is shown is a list, not a tree: some calls without those above them.
function choose.flat(options)
  return (options.failed or options.node or options.slowest) and true or false
end

--- The calls that are asked for, for a generic `for`; a list has them as if none had a caller.
function choose.calls(reader, run, options)
  local next_call, _, _, closing = reader:calls(run, -1, "tree")
  local flat = choose.flat(options)
  local function next_wanted()
    local call
    repeat call = next_call() until not call or wanted(call, options)
    if call and flat then call.depth = 0 end
    return call
  end
  if not options.slowest then return next_wanted, nil, nil, closing end
  local _ <close> = closing
  return slowest(next_wanted, options.slowest)
end

return choose
