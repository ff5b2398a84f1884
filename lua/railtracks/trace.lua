--- rt.runs and rt.trace: what was recorded, as tables.

local check = require "railtracks.check"
local console = require "railtracks.console"
local core = require "railtracks.core"
local decode = require "railtracks.repl.decode"
local journal = require "railtracks.journal"
local show = require "railtracks.show"

local trace = {}

--- The journal, with everything that was recorded so far in it; to be closed.
local function open(what)
  console.sync()
  local path = core.journal_path()
  if not path then core.fail("journal", what .. ": nothing is recorded in a file") end
  return journal.open(path)
end

local function plain_run(run)
  return {
    id = run.id, name = run.name, status = run.status, started_at = run.started_at,
    ended_at = run.ended_at, calls = run.calls, error = run.error and show.failure(run.error),
  }
end

local known = { limit = true, status = true, name = true }

local function check_limit(value)
  if value ~= nil and (not math.tointeger(value) or value < 0) then
    check.usage("rt.runs: limit: expected a whole number, got %s", check.shown(value))
  end
end

local function check_text(name, value)
  if value ~= nil and type(value) ~= "string" then
    check.usage("rt.runs: %s: expected a string, got %s", name, check.shown(value))
  end
end

local PAGE = 500

--- The recorded runs, newest first: at most `limit` (50), of that status, of that name.
function trace.runs(options)
  options = options or {}
  check.options("rt.runs", options, known)
  check_limit(options.limit)
  check_text("status", options.status)
  check_text("name", options.name)
  local reader <close> = open "rt.runs"
  local found, limit, skipped = {}, options.limit or 50, 0
  while #found < limit do
    local page = reader:runs(PAGE, skipped)
    for _, run in ipairs(page) do
      local fits = (not options.status or run.status == options.status)
        and (not options.name or run.name == options.name)
      if fits and #found < limit then found[#found + 1] = plain_run(run) end
    end
    if #page < PAGE then break end
    skipped = skipped + PAGE
  end
  return found
end

local function values(json) return json and decode.list(json) end

--- The calls of a run ("@1", part of an id; default: the current one) as a tree: the root, each
--- call with its `children`; its `run` is the run. What is recorded of the newest calls may
--- still be on its way for other processes, never for this one.
function trace.trace(name)
  if name ~= nil and type(name) ~= "string" then
    check.usage("rt.trace: expected the name of a run, got %s", check.shown(name))
  end
  local current = core.current()
  local reader <close> = open "rt.trace"
  local run = reader:run(name or (current and current.run) or "@1")
  local above, root = {}, nil
  for call in reader:calls(run, -1, "tree") do
    local depth = call.depth
    call.args, call.results = values(call.args), values(call.results)
    call.error = call.error and show.failure(call.error)
    call.depth, call.ordinal, call.children = nil, nil, {}
    above[depth] = call
    if depth == 0 then root = root or call else
      local siblings = above[depth - 1].children
      siblings[#siblings + 1] = call
    end
  end
  root = root or { children = {} }
  root.run = plain_run(run)
  return root
end

return trace
