--- Commands about what there is now: nodes, documentation, tasks.

local commands = require "railtracks.repl.commands"
local complete = require "railtracks.repl.complete"
local console = require "railtracks.console"
local doc = require "railtracks.repl.doc"
local near = require "railtracks.repl.near"
local printer = require "railtracks.repl.printer"
local rt = require "railtracks"
local text = require "railtracks.show".text

local live = {}

local MOST_SHOWN = 200

function live.nodes(session)
  local names = {}
  for name in pairs(rt.nodes) do names[#names + 1] = name end
  table.sort(names)
  if #names == 0 then
    session.out "no nodes: rt.function_node(name, fn) makes one, :load FILE brings a script's\n"
    return true
  end
  local width = session.width()
  for _, name in ipairs(names) do
    local node = rt.nodes[name]
    local shown = printer.node_text(node):gsub("^Node ", "")
    if node.description then shown = shown .. "  " .. text.clean(node.description) end
    session.out(text.fit(shown, width) .. "\n")
  end
  return true
end

function live.doc(session, name)
  if name == "" then return commands.complain(session, "doc: of what? :doc rt.call") end
  name = name:gsub("%(.*$", ""):gsub("^['\"](.*)['\"]$", "%1")
  local described = doc.describe(session, name)
  if described then
    session.out(described .. "\n")
    return true
  end
  local base, last = name:match("^(.-)[.:]?([%w_]+)$")
  local value = base and base ~= "" and doc.value_of(session, base)
  local names = value and complete.names_behind(value) or complete.first_names(session)
  if not value then
    for node in pairs(rt.nodes) do names[node] = true end
  end
  local nearest = last and near.nearest(last, names)
  session.problem = "nothing is known of " .. name
  session:show_problem(session.problem, "", nearest and ("did you mean %s?"):format(
    value and base .. "." .. nearest or nearest))
  return false
end

-- ---- tasks ----

local function age_text(seconds)
  return text.duration_of { started_at = 1, ended_at = 1 + seconds }
end

--- The end of a run's id, which tells runs apart.
local function short(run) return run:match("%-(%x+)$") or run end

--- The calls to be shown, by run, and how many more there are.
local function live_calls(session)
  local calls, more = console.calls(MOST_SHOWN)
  local runs, by_id = {}, {}
  for _, call in ipairs(calls) do
    if not by_id[call.run] then
      by_id[call.run] = { id = call.run, calls = {}, root = call }
      runs[#runs + 1] = by_id[call.run]
    end
    table.insert(by_id[call.run].calls, call)
  end
  local own = session.run_id
  for _, run in ipairs(runs) do run.own = run.id == own end
  return runs, more
end

--- What a line of this or another session was.
local function source_of(call)
  local session = call.node == "line" and require "railtracks.repl.session".sessions[call.run]
  if not session then return nil end
  for at = #session.lines, 1, -1 do
    if session.lines[at].id == call.id then return session.lines[at].source end
  end
end

local function print_run(session, run, several)
  local width = session.width()
  if several then
    local under = run.root.under and (", awaited by %s"):format(run.root.under.id) or ""
    session.out(session.paint("dim", ("run %s (%s%s)"):format(short(run.id),
      text.clean(run.root.node), under)) .. "\n")
  end
  for _, call in ipairs(run.calls) do
    -- The root of the session is what shows this.
    if not (run.own and call.depth == 0) then
      local depth = run.own and call.depth - 1 or call.depth
      local indent = ("  "):rep(math.min(depth, 10))
      local source = source_of(call)
      local line = ("%s%s  %s  %s  waits for %s%s"):format(indent, call.id, text.clean(call.node),
        age_text(call.age), text.clean(call.waits),
        source and "  " .. text.clean((source:gsub("\n.*", " …"))) or "")
      line = line:gsub("waits for nothing: it runs", "runs")
      if call.status == "cancelling" then
        line = line:gsub("  runs", "  unwinds"):gsub("  waits for", "  is cancelled, waits for")
      end
      session.out(text.fit(line, width) .. "\n")
    end
  end
end

function live.tasks(session)
  local runs, more = live_calls(session)
  local shown = 0
  for _, run in ipairs(runs) do shown = shown + #run.calls - (run.own and 1 or 0) end
  if shown == 0 then
    session.out "nothing runs\n"
    return true
  end
  for _, run in ipairs(runs) do
    if not (run.own and #run.calls == 1) then print_run(session, run, #runs > 1) end
  end
  if more > 0 then session.out(("… %s more\n"):format(text.grouped(more))) end
  return true
end

--- The live calls of that id, in the runs whose id ends so, or in all. The session itself is
--- meant only where there is no other.
local function runs_with(session, id, run_end)
  local found = {}
  for _, call in ipairs((console.calls())) do
    local own = call.run == session.run_id and call.depth == 0
    if call.id == id and (not run_end or call.run:sub(-#run_end) == run_end)
      and not (own and session.is_guest) then
      found[#found + 1] = call
    end
  end
  return found
end

function live.cancel(session, rest)
  local word, reason = rest:match("^(%S+)%s*(.*)$")
  if not word then return commands.complain(session, "cancel: which call? :tasks shows them") end
  local run_end, id = word:match("^(%x[%x-]*)/(.+)$")
  id = id or word
  local found = runs_with(session, id, run_end)
  if #found == 0 then
    return commands.complain(session, "cancel: no call %s runs; :tasks shows those that do", word)
  elseif #found > 1 then
    local names = {}
    for i, call in ipairs(found) do names[i] = short(call.run) .. "/" .. id end
    return commands.complain(session, "cancel: which of them? %s", table.concat(names, ", "))
  end
  local call = found[1]
  if call.run == session.run_id and call.depth == 0 then
    return commands.complain(session, "cancel: that is this session; :quit leaves it")
  end
  console.cancel(call.run, call.id, reason ~= "" and reason or ":cancel")
  session.out(("cancelled %s (%s)\n"):format(call.id, text.clean(call.node)))
  return true
end

return live
