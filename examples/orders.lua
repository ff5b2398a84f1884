-- Orders that are packed two at a time: each from the fastest shop that has it in time, tried
-- again when none has, and put back on the shelf when all of it is called off.
--
--   railtracks run examples/orders.lua [ORDER...]

local rt = require "railtracks"

local shops = {
  { name = "corner", seconds = 0.01, stock = { tea = true, milk = true } },
  { name = "market", seconds = 0.03, stock = { tea = true, bread = true, jam = true } },
  { name = "harbour", seconds = 60, stock = { saffron = true } },
}

local ask = rt.function_node("ask", function(shop, thing)
  rt.sleep(shop.seconds)
  if not shop.stock[thing] then error(shop.name .. " has no " .. thing, 0) end
  return shop.name
end)

-- All are asked at once; the first that has it wins, the others are told to stop.
local find = rt.function_node("find", function(thing)
  local asked = {}
  for i, shop in ipairs(shops) do asked[i] = rt.spawn(ask, shop, thing) end
  return (rt.any(asked))
end)

local desk = rt.semaphore(2)

local pack = rt.function_node("pack", function(thing)
  local box <close> = setmetatable({ sealed = false }, {
    -- Runs also when the order is cancelled, and may take its time.
    __close = function(box)
      if box.sealed then return end
      rt.sleep(0.001)
      print("put back: " .. thing)
    end,
  })
  local shop = rt.retry({ times = 2, delay = 0.01 }, function()
    return rt.timeout(0.2, find, thing)
  end)
  desk:with(rt.sleep, 0.005)
  box.sealed = true
  return ("%s from the %s"):format(thing, shop)
end)

local orders = { ... }
if #orders == 0 then orders = { "tea", "bread", "jam", "saffron" } end

for i, outcome in ipairs(rt.map(pack, orders, { settle = true })) do
  if outcome.ok then print(outcome.value)
  else print(orders[i] .. ": " .. (rt.kind(outcome.error) or tostring(outcome.error))) end
end
