local rt = require "railtracks"
local helper = require "spec.helper"

local sleepy = helper.sleepy

describe("the collector", function()
  --- Everything at once, with `between` called wherever Lua runs.
  local function everything(between)
    local function node(x)
      between()
      rt.sleep(0)
      between()
      if x % 3 == 0 then error { x } end
      return { x }
    end
    local good, bad = 0, 0
    for _ = 1, 3 do
      for _, outcome in ipairs(rt.map(node, { 1, 2, 3, 4, 5, 6 }, { limit = 2, settle = true })) do
        if outcome.ok then good = good + outcome.value[1] else bad = bad + outcome.error[1] end
      end
      between()
      local a, b = rt.spawn(node, 1), rt.spawn(node, 2)
      between()
      good = good + rt.gather(a, b)[2][1]
      local ok, err = pcall(rt.gather, rt.spawn(node, 3), rt.spawn(rt.sleep, 3600))
      between()
      assert(not ok)
      assert(rt.traceback(err))
      bad = bad + err[1] + select(2, pcall(rt.call, node, 6))[1]
      between()
      good = good + rt.run(node, 5)[1]
      good = good + rt.call(setmetatable({}, { __index = {} }).x or node, 1)[1]
    end
    return good, bad
  end

  it("may run anywhere in a run", function()
    assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage() end) })
  end)

  it("may step anywhere in a run", function()
    assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage("step", 1) end) })
  end)

  it("may be generational", function()
    local mode = collectgarbage "generational"
    finally(function() collectgarbage(mode) end)
    for _ = 1, 20 do
      assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage("step", 1) end) })
    end
  end)

  it("may change its mode inside a run", function()
    finally(function() collectgarbage "incremental" end)
    local turn = 0
    assert.same({ 60, 54 }, { rt.run(everything, function()
      turn = turn + 1
      collectgarbage(turn % 2 == 0 and "generational" or "incremental")
    end) })
  end)

  it("may run with all its pauses off", function()
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    finally(function()
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", step)
    end)
    assert.same({ 60, 54 }, { rt.run(everything, function() end) })
  end)

  it("leaves nothing of a thousand runs behind", function()
    local function runs(count)
      for i = 1, count do
        pcall(rt.run, function()
          rt.map(sleepy, { 1, 2, 3 })
          local task = rt.spawn(rt.sleep, 3600)
          rt.sleep(0)
          task:cancel()
          pcall(rt.call, error, {})
          local bad = rt.spawn(error, {})
          if i % 100 > 0 then rt.settle(bad) end
        end)
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    runs(200)
    local before = runs(200)
    assert.is_true(runs(1000) - before < 64)
  end)
end)
