local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

--- A node that counts how many of its calls run at once; `most()` is the highest.
local function counter()
  local running, most = 0, 0
  return function(x)
    running = running + 1
    most = math.max(most, running)
    for _ = 1, x % 4 do rt.sleep(0) end
    running = running - 1
    return x
  end, function() return most end
end

describe("rt.map", function()
  it("returns the first results in the order of the items", in_run(function()
    local results = rt.map(function(x)
      for _ = 1, 5 - x do rt.sleep(0) end
      return 10 * x, "second"
    end, { 1, 2, 3, 4, 5 })
    assert.same({ 10, 20, 30, 40, 50, n = 5 }, results)
  end))

  it("of an empty list is {n=0}, and no call is made", in_run(function()
    assert.same({ n = 0 }, rt.map(error, {}))
    assert.same({ n = 0 }, rt.map(error, {}, { settle = true, limit = 3 }))
  end))

  it("keeps nil results in their places", in_run(function()
    assert.same({ nil, 2, nil, n = 3 },
      rt.map(function(x) if x == 2 then return x end end, { 1, 2, 3 }))
  end))

  it("keeps false items and results", in_run(function()
    assert.same({ false, true, n = 2 }, rt.map(sleepy, { false, true }))
  end))

  it("passes the item alone", in_run(function()
    assert.same({ 1, 1, n = 2 }, rt.map(function(...) return select("#", ...) end, { "a", "b" }))
  end))

  it("passes the very item", in_run(function()
    local item = {}
    assert.is_true(rawequal(item, rt.map(sleepy, { item })[1]))
  end))

  it("takes a node", in_run(function()
    local node = rt.function_node("mapped", function() return rt.current().node end)
    assert.same({ "mapped", n = 1 }, rt.map(node, { 1 }))
  end))

  it("takes C functions", in_run(function()
    assert.same({ "A", "B", n = 2 }, rt.map(string.upper, { "a", "b" }))
  end))

  it("takes its length from n where there is one", in_run(function()
    assert.same({ "nil", "number", n = 2 }, rt.map(type, { nil, 2, 3, n = 2 }))
    assert.same({ n = 0 }, rt.map(type, { 1, 2, n = 0 }))
  end))

  it("takes the result of table.pack, of rt.gather and of rt.map", in_run(function()
    assert.equal(3, rt.map(type, table.pack(nil, nil, nil)).n)
    assert.equal(2, rt.map(type, rt.gather(rt.spawn(sleepy), rt.spawn(sleepy))).n)
    assert.equal(2, rt.map(type, rt.map(sleepy, { 1, 2 })).n)
  end))

  it("takes a list with a metatable", in_run(function()
    local list = setmetatable({}, {
      __len = function() return 3 end, __index = function(_, key)
        if math.type(key) == "integer" then return key * 2 end
      end,
    })
    assert.same({ 2, 4, 6, n = 3 }, rt.map(sleepy, list))
  end))

  it("leaves the list as it was", in_run(function()
    local list = { 1, 2, 3 }
    local results = rt.map(sleepy, list)
    assert.same({ 1, 2, 3 }, list)
    assert.is_false(rawequal(list, results))
  end))

  it("reads the list once: changes made meanwhile do not matter", in_run(function()
    local list = numbers(100)
    local results = rt.map(function(x)
      for i = 1, 100 do list[i] = nil end
      list[x + 100] = "more"
      rt.sleep(0)
      collectgarbage("step")
      return x
    end, list, { limit = 3 })
    assert.equal(100, results.n)
    for i = 1, 100 do assert.equal(i, results[i]) end
  end))

  it("numbers its calls by the items' index", in_run(function()
    local function id(x)
      for _ = 1, 10 - x do rt.sleep(0) end
      return rt.current().call
    end
    assert.same({ "1.1", "1.2", "1.3", n = 3 }, rt.map(id, { 1, 2, 3 }))
    assert.same({ "1.4", "1.5", n = 2 }, rt.map(id, { 1, 2 }, { limit = 1 }))
    assert.equal("1.6", rt.call(id, 0))
  end))

  it("reserves the numbers of all its items at the start", in_run(function()
    local spawned
    local map = rt.spawn(function()
      rt.spawn(function() spawned = true end)
      return rt.map(function() return rt.current().call end, { 1, 2, 3 }, { limit = 1 })
    end)
    assert.same({ "1.1.2", "1.1.3", "1.1.4", n = 3 }, map:await())
    assert.is_true(spawned)
  end))

  it("starts its items in order", in_run(function()
    local order = {}
    rt.map(function(x) order[#order + 1] = x end, numbers(100))
    assert.same(numbers(100), order)
  end))

  it("lets others run in between", in_run(function()
    local seen
    local other = rt.spawn(function() seen = true end)
    rt.map(sleepy, numbers(10))
    assert.is_true(seen)
    other:await()
  end))

  it("calls 1,000,000 times", in_run(function()
    local list = numbers(1000000)
    local results = rt.map(math.abs, list)
    assert.equal(1000000, results.n)
    assert.equal(1000000, results[1000000])
  end))

  it("waits for calls of its own inside its calls", in_run(function()
    local results = rt.map(function(x)
      return rt.map(function(y) return x * rt.call(sleepy, y) end, { 1, 2, 3 })[3]
    end, { 1, 2, 3 })
    assert.same({ 3, 6, 9, n = 3 }, results)
  end))

  it("survives collections all the while", in_run(function()
    local results = rt.map(function(x)
      collectgarbage()
      rt.sleep(0)
      collectgarbage()
      return { x }
    end, numbers(50), { limit = 7 })
    for i = 1, 50 do assert.same({ i }, results[i]) end
  end))
end)

describe("rt.map's limit", function()
  for _, limit in ipairs { 1, 2, 3, 10, 99, 100, 1000 } do
    it(limit .. " is never exceeded and always reached", in_run(function()
      local node, most = counter()
      local results = rt.map(node, numbers(100), { limit = limit })
      assert.equal(100, results.n)
      for i = 1, 100 do assert.equal(i, results[i]) end
      assert.is_true(most() <= math.min(limit, 100))
      if limit <= 3 then assert.equal(limit, most()) end
    end))
  end

  it("of 1 makes one call after the other", in_run(function()
    local order = {}
    rt.map(function(x)
      order[#order + 1] = "begin " .. x
      rt.sleep(0)
      order[#order + 1] = "end " .. x
    end, { 1, 2 }, { limit = 1 })
    assert.same({ "begin 1", "end 1", "begin 2", "end 2" }, order)
  end))

  it("counts a call as running until its children have ended", in_run(function()
    local children, most = 0, 0
    rt.map(function()
      rt.spawn(function()
        children = children + 1
        most = math.max(most, children)
        rt.sleep(0)
        rt.sleep(0)
        children = children - 1
      end)
    end, numbers(10), { limit = 2 })
    assert.equal(2, most)
  end))

  it("is none where none is given: all run at once", in_run(function()
    local running = 0
    rt.map(function()
      running = running + 1
      while running < 1000 do rt.sleep(0.001) end -- for ever, if any were held back
    end, numbers(1000))
    assert.equal(1000, running)
  end))

  it("takes a float that is whole, and math.huge", in_run(function()
    assert.equal(3, rt.map(sleepy, { 1, 2, 3 }, { limit = 2.0 }).n)
    assert.equal(3, rt.map(sleepy, { 1, 2, 3 }, { limit = math.huge }).n)
  end))

  for name, limit in pairs { zero = 0, negative = -1, ["a fraction"] = 1.5, NaN = 0 / 0,
    ["a string"] = "2", ["a table"] = {}, ["false"] = false } do
    it("is refused where it is " .. name, in_run(function()
      local ok, err = pcall(rt.map, sleepy, { 1 }, { limit = limit })
      assert.is_false(ok)
      assert.equal("usage", rt.kind(err))
      assert.matches("limit", tostring(err), 1, true)
    end))
  end

  it("is shown with its type where it is refused", in_run(function()
    local function said(limit)
      return tostring(select(2, pcall(rt.map, sleepy, { 1 }, { limit = limit })))
    end
    assert.matches('got string "2"', said "2", 1, true)
    assert.matches("got 1.5", said(1.5), 1, true)
    assert.matches("got table", said {}, 1, true)
  end))
end)

describe("rt.map refuses", function()
  local function refusal(...) return helper.refusal(rt.map, ...) end

  it("a list that is no table", in_run(function()
    assert.matches("string", refusal(sleepy, "list"), 1, true)
    assert.matches("argument 2", refusal(sleepy), 1, true)
  end))

  it("a list whose n is no length", in_run(function()
    for shown, n in pairs { ["2.5"] = 2.5, ["-1"] = -1, ['string "2"'] = "2",
      ["1e+300"] = 1e300 } do
      assert.matches(shown, refusal(sleepy, { 1, 2, n = n }), 1, true)
    end
    refusal(sleepy, { n = 1 << 40 })
    refusal(sleepy, { n = 0 / 0 })
    assert.equal(3, rt.map(type, { 1, 2, n = 3.0 }).n)
  end))

  it("options that are no table", in_run(function()
    assert.matches("argument 3", refusal(sleepy, {}, 5), 1, true)
  end))

  it("an unknown option, and names it", in_run(function()
    assert.matches("'limits'", refusal(sleepy, {}, { limits = 5 }), 1, true)
    refusal(sleepy, {}, { 5 })
  end))
end)

describe("a failing rt.map", function()
  it("raises the first failure as the same value", in_run(function()
    local value = {}
    local ok, err = pcall(rt.map, function(x)
      for _ = 1, x do rt.sleep(0) end
      if x == 2 then error(value) end
      if x == 3 then error "later" end
    end, { 1, 2, 3 })
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("raises nil where nil was raised", in_run(function()
    assert.same({ false, nil, n = 2 },
      table.pack(pcall(rt.map, function() error(nil) end, { 1, 2 })))
  end))

  it("cancels the others, and they have ended before it is raised", in_run(function()
    local began, ended = 0, 0
    pcall(rt.map, function(x)
      began = began + 1
      local guard <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
      assert(guard)
      rt.sleep(0)
      if x == 5 then error "no" end
      rt.sleep(3600)
    end, numbers(10))
    assert.equal(10, began)
    assert.equal(10, ended)
  end))

  it("starts no further items", in_run(function()
    local began = 0
    pcall(rt.map, function(x)
      began = began + 1
      rt.sleep(0)
      if x == 3 then error "no" end
    end, numbers(100), { limit = 1 })
    assert.equal(3, began)
  end))

  it("starts no further items also when the first fails at once", in_run(function()
    local began = 0
    pcall(rt.map, function() began = began + 1 error "no" end, numbers(100))
    assert.equal(1, began)
  end))

  it("leaves the caller able to go on", in_run(function()
    for _ = 1, 10 do pcall(rt.map, error, { 1, 2, 3 }) end
    assert.same({ 1, n = 1 }, rt.map(sleepy, { 1 }))
  end))

  it("raises that an item was cancelled, as a failure of kind cancelled", in_run(function()
    local task
    local ok, err = pcall(rt.map, function(x)
      if x == 1 then
        task = rt.spawn(function() rt.sleep(3600) end)
        rt.spawn(function() task:cancel() end)
        task:await()
      end
      rt.sleep(3600)
    end, { 1, 2 })
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
  end))

  it("records no calls for the items that were not started", function()
    local folder = helper.folder()
    finally(function() helper.remove(folder) end)
    local journal = folder .. "/journal.db"
    helper.run({ "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local node = rt.function_node("item", function(x) rt.sleep(0) assert(x ~= 3, "no") end)
      local list = {}
      for i = 1, 100 do list[i] = i end
      pcall(rt.map, node, list, { limit = 2 })
      pcall(rt.map, rt.function_node("at once", error), list)
      rt.call(rt.function_node("after", function() end))
    ]] }, { env = "RAILTRACKS_SEED=" })
    local calls = rt.json.decode((helper.run { "show", "--journal", journal, "--json" })).calls
    local ids = { item = {}, ["at once"] = {}, after = {} }
    for _, call in ipairs(calls) do
      if ids[call.node] then table.insert(ids[call.node], call.id) end
    end
    assert.same({ "1.101" }, ids["at once"])
    assert.same({ "1.201" }, ids.after)
    assert.is_true(#ids.item >= 3 and #ids.item <= 4)
    for i, id in ipairs(ids.item) do assert.equal("1." .. i, id) end
  end)
end)

describe("rt.map with settle", function()
  it("returns every outcome in the order of the items", in_run(function()
    local value = {}
    local outcomes = rt.map(function(x)
      for _ = 1, 3 - x do rt.sleep(0) end
      if x == 2 then error(value) end
      return x, "second"
    end, { 1, 2, 3 }, { settle = true })
    assert.equal(3, outcomes.n)
    assert.same({ ok = true, value = 1 }, outcomes[1])
    assert.is_false(outcomes[2].ok)
    assert.is_true(rawequal(value, outcomes[2].error))
    assert.same({ ok = true, value = 3 }, outcomes[3])
  end))

  it("has no value for nothing and no error for nil", in_run(function()
    assert.same({ { ok = true }, { ok = false }, n = 2 }, rt.map(function(x)
      if x == 2 then error(nil) end
    end, { 1, 2 }, { settle = true }))
  end))

  it("starts all items, whatever fails", in_run(function()
    local began = 0
    local outcomes = rt.map(function(x)
      began = began + 1
      if x % 2 == 0 then error(x) end
      return x
    end, numbers(100), { settle = true, limit = 3 })
    assert.equal(100, began)
    for i = 1, 100 do assert.equal(i % 2 == 1, outcomes[i].ok) end
  end))

  it("keeps to the limit", in_run(function()
    local node, most = counter()
    rt.map(function(x) node(x) error "no" end, numbers(50), { settle = true, limit = 4 })
    assert.equal(4, most())
  end))

  it("lets rt.traceback tell of the failures", in_run(function()
    local outcomes = rt.map(function() error "no" end, { 1, 2 }, { settle = true })
    assert.matches("map_spec.lua", rt.traceback(outcomes[2].error), 1, true)
  end))
end)
