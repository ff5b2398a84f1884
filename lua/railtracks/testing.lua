--- Tests of workflows: a clock that jumps, orders that repeat, scripted nodes, nothing left.
---
--- For busted, or whatever else calls functions. The types are in lua/meta/testing.lua.

local core = require "railtracks.core"
local retry = require "railtracks.retry"

local testing = {}

local function usage(format, ...)
  core.fail("usage", format:format(...))
end

-- Scripted nodes ------------------------------------------------------------------------

--- What stands in for a node, newest last, above the body it was made with.
local stacks = setmetatable({}, { __mode = "k" })

--- What was replaced in the test that runs; nil outside of one.
local replaced_here

local replacement = {}
replacement.__index = replacement

function replacement:restore()
  local stack = stacks[self.node]
  for i = #stack, 1, -1 do
    if stack[i] == self then
      table.remove(stack, i)
      core.replace(self.node, stack[#stack] and stack[#stack].body or stack.original)
    end
  end
end

replacement.__close = replacement.restore

--- The answers of a list, one for each call.
local function scripted(node, answers)
  local count, asked = answers.n or #answers, 0
  return function()
    asked = asked + 1
    if asked > count then
      usage("%s was called %d times; testing.replace has %d answers", node.name, asked, count)
    end
    return answers[asked]
  end
end

function testing.replace(node, fn)
  if not core.is_node(node) then
    usage("testing.replace: argument 1: expected a node, got %s", type(node))
  elseif type(fn) == "table" then
    fn = scripted(node, fn)
  elseif type(fn) ~= "function" then
    usage("testing.replace: argument 2: expected a function or a list of answers, got %s",
      type(fn))
  end
  local self = setmetatable({ node = node, calls = {} }, replacement)
  function self.body(...)
    self.calls[#self.calls + 1] = table.pack(...)
    return fn(...)
  end
  local original = core.replace(node, self.body)
  local stack = stacks[node] or { original = original }
  stacks[node] = stack
  stack[#stack + 1] = self
  if replaced_here then replaced_here[#replaced_here + 1] = self end
  return self
end

local function restore_all()
  for i = #replaced_here, 1, -1 do replaced_here[i]:restore() end
  replaced_here = nil
end

-- Leaks ---------------------------------------------------------------------------------

testing.leaks = core.counts

local kinds = { "tasks", "timers", "handles", "coroutines", "anchors" }

--- What there is more of than before, as text; nil if nothing.
local function left_since(before)
  local now, left = testing.leaks(), {}
  for _, kind in ipairs(kinds) do
    local more = now[kind] - before[kind]
    if more > 0 then
      left[#left + 1] = ("%d %s"):format(more, more == 1 and kind:sub(1, -2) or kind)
    end
  end
  return left[1] and table.concat(left, ", ")
end

local function check_leaks(before)
  if not left_since(before) then return end
  collectgarbage() -- a Task that nobody holds any more may hold something itself
  collectgarbage()
  local left = left_since(before)
  if left then core.fail("leak", "testing.run: left behind: " .. left) end
end

-- Running -------------------------------------------------------------------------------

--- For each option: whether a value will do, and what would.
local checks = {
  clock = function(clock)
    return clock == "real" or clock == "virtual", "'real' or 'virtual'"
  end,
  seed = function(seed)
    return math.type(seed) == "integer" or seed == false, "an integer or false"
  end,
  timeout = function(seconds)
    return math.type(seconds) and seconds > 0, "a number of seconds, more than 0"
  end,
  journal = function(journal)
    return type(journal) == "string" and journal ~= "", "a path or 'none'"
  end,
}

local function check_options(what, options)
  if type(options) ~= "table" then
    usage("%s: argument 2: expected a table of options, got %s", what, type(options))
  end
  for key, value in pairs(options) do
    if not checks[key] then usage("%s: there is no option '%s'", what, tostring(key)) end
    local ok, expected = checks[key](value)
    if not ok then
      usage("%s: %s: expected %s, got %s", what, key, expected,
        type(value) == "string" and "'" .. value .. "'" or tostring(value))
    end
  end
end

local function check(what, fn, options)
  if type(fn) ~= "function" and not core.is_node(fn) then
    usage("%s: argument 1: expected a node or a function, got %s", what, type(fn))
  end
  if options ~= nil then check_options(what, options) end
end

--- pcall of a run of fn under these options.
local function rehearse(fn, options)
  local _ <close> = core.test(options.clock == "virtual", options.seed, options.journal or "none")
  local seed = core.seed()
  if seed then retry.seed(seed) end
  replaced_here = {}
  local outcome = table.pack(pcall(core.run_with, { timeout = options.timeout }, fn))
  restore_all()
  outcome.seed = seed
  return outcome
end

function testing.run(fn, options)
  check("testing.run", fn, options)
  if core.current() then usage "testing.run inside a run: it starts one itself" end
  local before = testing.leaks()
  local outcome = rehearse(fn, options or {})
  if outcome[1] then
    check_leaks(before)
    return table.unpack(outcome, 2, outcome.n)
  end
  -- Without its seed the failure could not be had again.
  if outcome.seed then io.stderr:write(("railtracks: seed %d\n"):format(outcome.seed)) end
  error(outcome[2], 0)
end

function testing.task(fn, options)
  check("testing.task", fn, options)
  return function() return testing.run(fn, options) end
end

testing.seed = core.seed

return testing
