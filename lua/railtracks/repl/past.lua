--- Commands about what was recorded: trees, single calls, calling again, runs.

local commands = require "railtracks.repl.commands"
local core = require "railtracks.core"
local decode = require "railtracks.repl.decode"
local printer = require "railtracks.repl.printer"
local reader = require "railtracks.repl.reader"
local record = require "railtracks.repl.record"
local rt = require "railtracks"
local show = require "railtracks.show"

local text = show.text
local past = {}

local MOST_RUNS = 20

--- Calls `use(opened)` with the record of a run. What is wrong with it is told.
local function with_record(session, name, run, use)
  local ok, opened = pcall(record.open, session, run)
  if not ok then return commands.complain(session, "%s: %s", name, session:error_text(opened)) end
  local recorded <close> = opened
  return use(recorded)
end

local function options_of(session)
  return { width = session.width(), colour = session.coloured, ids = true,
    more_hint = ":tree CALL shows a part" }
end

function past.tree(session, rest)
  local run, id = record.parse(rest)
  if rest == "" then
    if not session.last then return commands.complain(session, "tree: no line has run yet") end
    id = session.last.id
  end
  return with_record(session, "tree", run, function(recorded)
    if run and not id and recorded.reader then
      show.run(recorded.reader, recorded.row, options_of(session), session.out)
      return true
    end
    id = id or "1"
    if not record.find(recorded, id) then
      return commands.complain(session, "tree: no call %s is recorded", id)
    end
    show.tree(function() return record.below(recorded, id) end, nil, options_of(session),
      session.out)
    return true
  end)
end

-- ---- one call ----

local function print_values(session, title, json)
  if not json then
    session.out(session.paint("dim", title .. ": not recorded") .. "\n")
    return
  end
  local values = decode.list(json)
  if not values then
    session.out(title .. ": " .. text.fit(json, session.width() - #title - 2) .. "\n")
    return
  end
  local options = { width = session.width(), paint = session.paint }
  if values.n == 0 then return session.out(session.paint("dim", title .. ": none") .. "\n") end
  session.out(title .. ":\n")
  for i = 1, values.n do
    session.out("  " .. printer.format(values[i], options):gsub("\n", "\n  ") .. "\n")
  end
end

local function print_failure(session, json)
  local failure = decode.list("[" .. json .. "]")
  failure = failure and failure[1]
  if type(failure) ~= "table" then return session.out("error: " .. json .. "\n") end
  session.out(session.paint("failed", "error: ")
    .. (failure.kind and failure.kind .. ": " or "")
    .. text.clean(tostring(failure.message)) .. "\n")
  for line in tostring(failure.traceback or ""):gmatch("[^\n]+") do
    local tabs, said = line:match("^(\t*)(.*)$")
    session.out(session.paint("dim", ("  "):rep(#tabs) .. text.clean(said)) .. "\n")
  end
end

--- Finds the call that the first word of `rest` names, and calls `use(call, what follows)`.
local function with_call(session, name, rest, use)
  local word, behind = rest:match("^(%S+)%s*(.*)$")
  if not word then return commands.complain(session, "%s: which call? :tree shows ids", name) end
  local run, id = record.parse(word)
  if not id then return commands.complain(session, "%s: %s is no id of a call", name, word) end
  return with_record(session, name, run, function(recorded)
    local call = record.find(recorded, id)
    if not call then
      return commands.complain(session, "%s: no call %s is recorded", name, word)
    end
    return use(call, behind)
  end)
end

function past.show(session, rest)
  return with_call(session, "show", rest, function(call)
    session.out(("%s  %s  %s  %s%s\n"):format(session.paint("bold", call.id),
      text.clean(call.node), session.paint(call.status, call.status), text.duration_of(call),
      call.site and session.paint("dim", "  called at " .. text.clean(call.site)) or ""))
    print_values(session, "arguments", call.args)
    if call.status == "done" then print_values(session, "results", call.results) end
    if call.error then print_failure(session, call.error) end
    return true
  end)
end

-- ---- again ----

--- Puts what the user wants changed into the arguments.
local function change(session, args, node, changes)
  local piece = reader.piece("{" .. changes .. "}", "=changes")
  if piece.kind ~= "expression" then return nil, piece.problem or "is no list of changes" end
  local run, problem = reader.compile(piece, "=changes", session.boxes, session.env)
  if not run then return nil, problem end
  local ok, given = pcall(run)
  if not ok then return nil, session:error_text(given) end
  local place = {}
  for i, param in ipairs(core.is_node(node) and node.params or {}) do place[param.name] = i end
  for key, value in pairs(given) do
    local at = math.type(key) == "integer" and key or place[key]
    if not at or at < 1 or at > 200 then
      return nil, ("%s has no parameter '%s'"):format(node.name, tostring(key))
    end
    args[at] = value
    args.n = math.max(args.n, at)
  end
  return args
end

function past.again(session, rest)
  return with_call(session, "again", rest, function(call, changes)
    if call.node == "line" and changes == "" then
      local line = call.args and decode.list(call.args)
      if line and type(line[1]) == "string" then return session:evaluate(line[1]) end
    end
    local node = rt.nodes[call.node]
    if not node then
      return commands.complain(session, "again: there is no node %s here%s", call.node,
        call.node:find(":%d+$") and ": plain functions cannot be found again"
        or "; :load its script")
    end
    local args = call.args and decode.list(call.args)
    if not args then return commands.complain(session, "again: its arguments are not recorded") end
    if changes ~= "" then
      local changed, problem = change(session, args, node, changes)
      if not changed then return commands.complain(session, "again: %s", problem) end
    end
    for i = 1, args.n do
      local stand_in = decode.missing_in(args[i])
      if stand_in then
        return commands.complain(session,
          "again: argument %d was recorded as %s: give another, as in :again %s [%d] = ...", i,
          stand_in, call.id, i)
      end
    end
    session.count = session.count + 1
    return session:call_line(":again " .. rest, function()
      return rt.call(node, table.unpack(args, 1, args.n))
    end)
  end)
end

-- ---- runs ----

function past.runs(session, rest)
  local limit = rest == "" and MOST_RUNS or math.tointeger(tonumber(rest))
  if not limit or limit < 1 then
    return commands.complain(session, "runs: how many? :runs 50")
  end
  local path = core.journal_path()
  if not path then
    return commands.complain(session, "runs: nothing is kept in the journal 'none'")
  end
  return with_record(session, "runs", nil, function(recorded)
    show.runs(recorded.reader, { limit = limit, width = session.width(),
      colour = session.coloured }, session.out)
    return true
  end)
end

return past
