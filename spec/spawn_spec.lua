local rt = require "railtracks"
local helper = require "spec.helper"
local testing = require "railtracks.testing"

local in_run, sleepy, fail_with, unshuffled =
  helper.in_run, helper.sleepy, helper.fail_with, helper.unshuffled

describe("rt.spawn", function()
  it("returns before the node has begun", in_run(function()
    local began = false
    local task = rt.spawn(function() began = true end)
    assert.is_false(began)
    task:await()
    assert.is_true(began)
  end))

  it("starts tasks in the order they were spawned", in_run(function()
    local order = {}
    for i = 1, 100 do rt.spawn(function() order[#order + 1] = i end) end
    rt.sleep(0)
    local expected = {}
    for i = 1, 100 do expected[i] = i end
    assert.same(expected, order)
  end, unshuffled))

  it("passes all arguments, nils kept", in_run(function()
    local task = rt.spawn(function(...) return table.pack(...) end, nil, 2, nil)
    assert.same({ nil, 2, nil, n = 3 }, task:await())
  end))

  it("passes 200 arguments", in_run(function()
    local values = {}
    for i = 1, 200 do values[i] = i end
    assert.same(values, { rt.spawn(sleepy, table.unpack(values)):await() })
  end))

  it("passes 100,000 arguments", in_run(function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local ok, task = pcall(rt.spawn, function(...) return select("#", ...) end,
      table.unpack(values))
    assert.is_true(ok, tostring(task))
    assert.equal(100000, task:await())
  end))

  it("makes a child of the current call", in_run(function()
    assert.equal("1.1", rt.spawn(function() return rt.current().call end):await())
    local inner = rt.call(function() return rt.spawn(math.abs, 1).id end)
    assert.equal("1.2.1", inner)
  end))
end)

describe("50,000 tasks", function()
  it("may be spawned and their handles dropped", function()
    local ran = 0
    rt.run(function()
      for i = 1, 50000 do
        rt.spawn(function() ran = ran + 1 end)
        if i % 10000 == 0 then collectgarbage() end
      end
    end)
    assert.equal(50000, ran)
  end)

  it("may be spawned by a call that returns at once", function()
    local ran = 0
    rt.run(function()
      for _ = 1, 50000 do rt.spawn(function() rt.sleep(0) ran = ran + 1 end) end
    end)
    assert.equal(50000, ran)
  end)

  it("may fail unobserved, and the first failure is the parent's", function()
    local function quiet()
      local values = {}
      for i = 1, 3 do values[i] = {} end
      local ok, err = pcall(testing.run, function()
        for i = 1, 3 do rt.spawn(fail_with(values[i])) end
      end, unshuffled)
      assert.is_false(ok)
      assert.is_true(rawequal(values[1], err))
    end
    quiet()
  end)
end)
