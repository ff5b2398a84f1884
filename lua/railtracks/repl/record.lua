--- The calls of a run as they were recorded: in the journal's file, or, where there is none,
--- in memory.

local console = require "railtracks.console"
local core = require "railtracks.core"

local record = {}

--- The calls in memory of the run that the session is, each below its caller.
local function kept_calls(run_number)
  local of_parent, found = {}, 0
  for _, call in ipairs(core.kept()) do
    if call.run == run_number then
      of_parent[call.parent_seq] = of_parent[call.parent_seq] or {}
      table.insert(of_parent[call.parent_seq], call)
      found = found + 1
    end
  end
  local list = {}
  local function add(parent_seq, prefix, depth)
    local children = of_parent[parent_seq] or {}
    table.sort(children, function(a, b) return a.ordinal < b.ordinal end)
    for _, call in ipairs(children) do
      call.id = prefix and ("%s.%d"):format(prefix, call.ordinal) or tostring(call.ordinal)
      call.parent, call.depth, call.kind = prefix, depth, "lua"
      list[#list + 1] = call
      add(call.seq, call.id, depth + 1)
    end
  end
  -- Of a call that was forgotten its children are not shown either.
  add(0, nil, 0)
  return list, found
end

--- Opens what was recorded of `run` ("@1", a part of an id), of the session's own run for nil.
--- Returns {row =, calls = a function that returns an iterator in tree order}; to be closed.
--- Raises what is wrong.
function record.open(session, run)
  console.sync()
  local path = core.journal_path()
  if not path then
    if run and run ~= "@1" then
      core.fail("journal", "there are no other runs in the journal 'none'")
    end
    local list = kept_calls(session.run_number)
    return setmetatable({ row = { calls = #list }, calls = function()
      local at = 0
      return function()
        at = at + 1
        return list[at]
      end
    end }, { __close = function() end })
  end
  local reader = require "railtracks.journal".open(path)
  local ok, row = pcall(reader.run, reader, run or session.run_id)
  if not ok then
    reader:close()
    error(row, 0)
  end
  return setmetatable({ row = row, reader = reader, calls = function()
    return reader:calls(row, -1, "tree")
  end }, { __close = function() reader:close() end })
end

--- Splits "@2/1.3", "1.3" and "@2" into the run and the call that are meant; each may be nil.
function record.parse(word)
  local run, call = word:match("^([^/]+)/([%d.]+)$")
  if run then return run, call end
  if word:find("^1[%d.]*$") and not word:find("%.%.") then return nil, word end
  if word ~= "" then return word, nil end
end

--- The call with that id, or nil.
function record.find(opened, id)
  for call in opened.calls() do
    if call.id == id then return call end
  end
end

--- For a loop: the call with that id and those below it, depths counted from there.
function record.below(opened, id)
  local next_call, _, _, closing = opened.calls()
  local base
  local function next_below()
    while true do
      local call = next_call()
      if not call then return nil end
      if base and call.depth <= base then return nil end
      if call.id == id then base = call.depth end
      if base then
        call.depth = call.depth - base
        return call
      end
    end
  end
  return next_below, nil, nil, closing
end

return record
