--- Commands that measure: :time and :profile.

local commands = require "railtracks.repl.commands"
local reader = require "railtracks.repl.reader"
local record = require "railtracks.repl.record"
local rt = require "railtracks"
local text = require "railtracks.show".text

local measure = {}

local ENOUGH = 0.5       -- seconds
local SAMPLE = 0.001     -- seconds that a sample takes at least
local MOST_SAMPLES = 1001
local LEAST_SAMPLES = 3

--- The function that runs what stands behind the command; nil where it is no Lua.
local function compiled(session, name, source)
  if source == "" then
    return commands.complain(session, "%s: of what? :%s f(x)", name, name)
  end
  local chunk = session:next_name()
  local piece = reader.piece(source, chunk)
  if not piece.kind then return commands.complain(session, "%s: %s", name, piece.problem) end
  local run, problem = reader.compile(piece, chunk, session.boxes, session.env)
  if not run then return commands.complain(session, "%s: %s", name, problem) end
  session.count = session.count + 1
  return run
end

local function seconds_text(seconds)
  if seconds < 1e-6 then return ("%.1f ns"):format(seconds * 1e9) end
  if seconds < 1e-4 then return ("%.2f µs"):format(seconds * 1e6) end
  return text.duration_of { started_at = 1, ended_at = 1 + seconds }
end

local function timed(run, count)
  local from = rt.now()
  for _ = 1, count do run() end
  return (rt.now() - from) / count
end

--- Runs it again and again; returns what each of the samples took, sorted, and how many runs
--- a sample was.
local function samples_of(run)
  local begun = rt.now()
  local count = 1
  local took = timed(run, count)
  while took * count < SAMPLE do
    count = math.min(math.ceil(SAMPLE / math.max(took, 1e-9)), count * 10)
    took = timed(run, count)
  end
  local samples = { took }
  while #samples < MOST_SAMPLES and
    (rt.now() - begun < ENOUGH or #samples < LEAST_SAMPLES and took < 10 * ENOUGH) do
    samples[#samples + 1] = timed(run, count)
  end
  table.sort(samples)
  return samples, count
end

function measure.time(session, source)
  local run = compiled(session, "time", source)
  if not run then return false end
  return session:call_line(":time " .. source, function()
    local samples, count = samples_of(run)
    session.out(("%s, the median of %s (fastest %s, slowest %s)\n"):format(
      seconds_text(samples[(#samples + 1) // 2]),
      count == 1 and ("%d runs"):format(#samples)
        or ("%d times %s runs"):format(#samples, text.grouped(count)),
      seconds_text(samples[1]), seconds_text(samples[#samples])))
  end, { silent = true })
end

-- ---- profile ----

--- How much of a call's time no call below it was running.
local function own_time(call, children)
  local own, covered = call.ended_at - call.started_at, call.started_at
  table.sort(children, function(a, b) return a.started_at < b.started_at end)
  for _, child in ipairs(children) do
    local from = math.max(child.started_at, covered)
    local to = math.min(child.ended_at, call.ended_at)
    if to > from then
      own = own - (to - from)
      covered = to
    end
  end
  return math.max(own, 0)
end

--- The calls below the one with that id, summed up by node: a list, the longest first.
local function summed(recorded, id)
  local children, calls = {}, {}
  for call in record.below(recorded, id) do
    if call.started_at and call.ended_at then
      calls[#calls + 1] = call
      local siblings = call.parent and children[call.parent]
      if siblings then siblings[#siblings + 1] = call end
      children[call.id] = {}
    end
  end
  local by_node, list = {}, {}
  for _, call in ipairs(calls) do
    local name = call.id == id and "(the line itself)" or call.node
    local sum = by_node[name]
    if not sum then
      sum = { node = name, calls = 0, total = 0, own = 0 }
      by_node[name] = sum
      list[#list + 1] = sum
    end
    sum.calls = sum.calls + 1
    sum.total = sum.total + call.ended_at - call.started_at
    sum.own = sum.own + own_time(call, children[call.id])
  end
  table.sort(list, function(a, b) return a.own > b.own end)
  return list
end

function measure.profile(session, source)
  local run = compiled(session, "profile", source)
  if not run then return false end
  if not session:call_line(":profile " .. source, run) then return false end
  local line = session.last
  pcall(line.task.await, line.task) -- what it has spawned belongs to it
  local ok, opened = pcall(record.open, session)
  if not ok then return commands.complain(session, "profile: %s", session:error_text(opened)) end
  local recorded <close> = opened
  local list = summed(recorded, line.id)
  local whole = 0
  for _, sum in ipairs(list) do whole = whole + sum.own end
  session.out(session.paint("dim", ("%9s  %5s  %9s  %9s  NODE"):format("OWN", "SHARE", "TOTAL",
    "CALLS")) .. "\n")
  for i, sum in ipairs(list) do
    if i > 20 then break end
    session.out(("%s  %4.0f%%  %s  %9s  %s\n"):format(
      text.pad_left(seconds_text(sum.own), 9), whole > 0 and 100 * sum.own / whole or 0,
      text.pad_left(seconds_text(sum.total), 9), text.grouped(sum.calls),
      text.fit(sum.node, math.max(session.width() - 40, 10))))
  end
  if #list > 20 then session.out(("… %d more nodes\n"):format(#list - 20)) end
  return true
end

return measure
