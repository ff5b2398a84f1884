local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal, unshuffled = helper.in_run, helper.refusal, helper.unshuffled

describe("rt.sleep", function()
  it("returns nothing", in_run(function()
    assert.equal(0, select("#", rt.sleep(0)))
    assert.equal(0, select("#", rt.sleep(0.001)))
  end))

  it("lasts at least as long as was asked for", in_run(function()
    for _, seconds in ipairs { 0, 0.001, 0.0105, 0.02 } do
      local before = rt.now()
      rt.sleep(seconds)
      assert.is_true(rt.now() - before >= seconds)
    end
  end))

  it("wakes sleepers in the order of their times", in_run(function()
    local order = {}
    rt.map(function(x) rt.sleep(x / 100) order[#order + 1] = x end, { 5, 1, 4, 2, 3 })
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end, unshuffled))

  it("of 0 gives way once to everybody who is ready", in_run(function()
    local order = {}
    local function turns(name)
      for i = 1, 3 do
        order[#order + 1] = name .. i
        rt.sleep(0)
      end
    end
    rt.gather(rt.spawn(turns, "a"), rt.spawn(turns, "b"), rt.spawn(turns, "c"))
    assert.same({ "a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3" }, order)
  end, unshuffled))

  it("of 0 wakes its sleepers in the order they came", in_run(function()
    local order = {}
    for i = 1, 1000 do rt.spawn(function() rt.sleep(0) order[#order + 1] = i end) end
    rt.sleep(0)
    rt.sleep(0)
    for i = 1, 1000 do assert.equal(i, order[i]) end
  end, unshuffled))

  it("takes integers and tiny numbers", in_run(function()
    rt.sleep(0)
    rt.sleep(1e-12)
    rt.sleep(-0.0)
  end))

  it("of 10,000 tasks at once ends for all", in_run(function()
    local ended = 0
    local list = {}
    for i = 1, 10000 do list[i] = i % 10 / 1000 end
    rt.map(function(seconds) rt.sleep(seconds) ended = ended + 1 end, list)
    assert.equal(10000, ended)
  end))

  it("may last for ever, until it is cancelled", in_run(function()
    for _, seconds in ipairs { math.huge, 1e300, 1e12, 9.3e9 } do
      local task = rt.spawn(rt.sleep, seconds)
      rt.sleep(0.001)
      assert.equal("running", task:status())
      task:cancel()
      rt.settle(task)
      assert.equal("cancelled", task:status())
    end
  end))

  for name, value in pairs { ["a negative number"] = -1, NaN = 0 / 0,
    ["minus infinity"] = -math.huge, ["a string"] = "1", ["a table"] = {}, ["true"] = true } do
    it("refuses " .. name, in_run(function()
      assert.matches("rt.sleep", refusal(rt.sleep, value), 1, true)
    end))
  end

  it("refuses nothing and nil", in_run(function()
    refusal(rt.sleep)
    refusal(rt.sleep, nil)
  end))
end)

describe("rt.now", function()
  it("is a float number of seconds, inside a run and outside", function()
    assert.equal("float", math.type(rt.now()))
    assert.equal("float", math.type(rt.run(rt.now)))
  end)

  it("never goes back", function()
    local last = rt.now()
    for _ = 1, 1000 do
      local now = rt.now()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("goes on while a task computes", in_run(function()
    local before = rt.now()
    local clock = os.clock()
    while os.clock() == clock do end -- luacheck: ignore 542
    assert.is_true(rt.now() > before)
  end))
end)
