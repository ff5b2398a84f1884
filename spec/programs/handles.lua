-- Later calls that eight threads finish, fail and drop while they are cancelled:
-- handles.lua PLUGIN SEED COUNT
local rt = require "railtracks"
local plugin, seed, count = ...
seed, count = math.tointeger(seed), math.tointeger(count)
local odd = rt.load(plugin)

local function chance(n)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % n + 1
end

local function check(number, outcome)
  if outcome.ok then
    assert(number % 4 >= 2 and outcome.value == number)
  elseif outcome.error.kind == "native" then
    assert(outcome.error.message == (number % 4 == 1 and "number " .. number or
      "ask_crowd: dropped without an answer"))
  else
    assert(outcome.error.kind == "cancelled")
  end
end

for first = 1, count, 100 do
  local tasks = {}
  for i = 1, 100 do
    tasks[i] = rt.spawn(odd.ask_crowd, first + i)
    if chance(4) == 1 then tasks[chance(i)]:cancel() end
  end
  rt.spawn(function() tasks[chance(100)]:cancel() end)
  for i, outcome in ipairs(rt.settle(tasks)) do check(first + i, outcome) end
end
print(count)
