-- A random tree of everything that waits, fails and is cancelled: it must only end.
--
--   railtracks run spec/programs/random.lua SEED

local rt = require "railtracks"

math.randomseed(math.tointeger(... or 1))
local random = math.random

local work

local function some_tasks(level)
  local tasks = {}
  for i = 1, random(6) do tasks[i] = rt.spawn(work, level) end
  return tasks
end

local kinds = {
  function() rt.sleep(0) end,
  function(level)
    if random(5) == 1 then error("failure " .. random(100)) end
    return level
  end,
  function() rt.sleep(random(3) / 1000) end,
  function(level) return pcall(rt.call, work, level) end,
  function(level) return pcall(rt.gather, some_tasks(level)) end,
  function(level)
    local items = {}
    for i = 1, random(10) do items[i] = level end
    return pcall(rt.map, work, items, { limit = random(4), settle = random(2) == 1 })
  end,
  function(level)
    local tasks = some_tasks(level)
    if random(2) == 1 then rt.sleep(0) end
    tasks[random(#tasks)]:cancel("because")
    return #rt.settle(tasks)
  end,
  function(level)
    local awaited = rt.spawn(work, level)
    local first = rt.spawn(function() return awaited:await() end)
    local second = rt.spawn(function() return pcall(awaited.await, awaited) end)
    if random(3) == 1 then first:cancel() end
    rt.settle(awaited, first, second)
  end,
  function(level) return pcall(rt.run, work, level) end,
}

function work(level)
  return kinds[random(level > 5 and 3 or #kinds)](level + 1)
end

for i = 1, 100 do
  local task = rt.spawn(work, 0)
  if random(4) == 1 then task:cancel("from outside") end
  rt.settle(task)
  if i % 25 == 0 then collectgarbage() end
end
print("done")
