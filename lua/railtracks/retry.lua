--- Calling again what failed: rt.retry, and nodes with `retries=`.
---
--- Either is one call whose children are the attempts, so that the ids of what comes after
--- it do not depend on how many there were.

local check = require "railtracks.check"
local core = require "railtracks.core"

local lib = {}

-- Chance --------------------------------------------------------------------------------

-- A generator of our own (splitmix64): the numbers of the user's math.random stay theirs.
local state

--- Begins a row of numbers that is the same for the same seed.
function lib.seed(seed)
  state = seed
end

local function chance()
  if not state then
    lib.seed(core.seed()
      or os.time() ~ math.floor(core.now() * 1e9) ~ tonumber(tostring({}):match "0x(%x+)", 16))
  end
  state = state + 0x9E3779B97F4A7C15
  local z = state
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return ((z ~ (z >> 31)) >> 11) * 2.0 ^ -53
end

-- How often and when --------------------------------------------------------------------

local defaults = { times = 3, delay = 0.1, factor = 2, max_delay = 30, jitter = 0.5 }

local function between(low, high)
  return function(value)
    return type(value) == "number" and value >= low and value <= high
  end
end

--- What each option must be.
local rules = {
  times = { "a whole number from 1 on, or math.huge", function(value)
    return between(1, math.huge)(value) and (value == math.huge or math.tointeger(value))
  end },
  delay = { "a number of seconds, not negative", between(0, math.maxinteger) },
  factor = { "a number from 1 on", between(1, math.huge) },
  max_delay = { "a number of seconds, not negative", between(0, math.huge) },
  jitter = { "a number from 0 to 1", between(0, 1) },
  on = { "a function", function(value) return type(value) == "function" end },
}

--- The options with the defaults in place of what is missing.
function lib.policy(where, options)
  check.options(where, options, rules)
  local policy = {}
  for key, rule in pairs(rules) do
    local value = options[key]
    if value == nil then
      value = defaults[key]
    elseif not rule[2](value) then
      check.usage("%s: %s must be %s, got %s", where, key, rule[1], check.shown(value))
    end
    policy[key] = value
  end
  return policy
end

--- What is told to end must end, and what was asked for wrongly will not be right next time.
local final = { fatal = true, usage = true }

local function may_help(policy, problem, attempt)
  local kind = core.kind(problem)
  if final[kind] then return false end
  if policy.on then return policy.on(problem, attempt) end
  return kind ~= "declined"
end

-- The attempts --------------------------------------------------------------------------

--- Calls the node until it succeeds; raises the last failure, or its own cancellation.
function lib.attempts(policy, node, ...)
  local pause = policy.delay
  for attempt = 1, math.huge do
    local outcome = table.pack(pcall(core.call, node, ...))
    if outcome[1] then return table.unpack(outcome, 2, outcome.n) end
    local problem = outcome[2]
    if attempt >= policy.times then error(problem, 0) end
    core.may_wait "rt.retry"
    local helps = may_help(policy, problem, attempt)
    -- A number is how many seconds it must not be tried before.
    local asked = type(helps) == "number" and helps
    if not helps or (asked and asked > policy.max_delay) then error(problem, 0) end
    local jittered = pause * (1 + policy.jitter * chance())
    core.sleep(asked or math.min(jittered, policy.max_delay))
    pause = math.min(pause * policy.factor, policy.max_delay)
  end
end

function lib.retry(options, node, ...)
  local policy = lib.policy("rt.retry", options)
  check.callable("rt.retry: argument 2", node)
  core.may_wait "rt.retry"
  local unrecorded = core.is_unrecorded(node)
  local whole = core.node("retry", function(...)
    return lib.attempts(policy, node, ...)
  end, nil, nil, unrecorded)
  return core.call(whole, ...)
end

return lib
