-- What ends calls and runs before their time: timeouts, stop_on_error, rt.fatal.

local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run

local function nothing() end

--- The error that `fn(...)` has to raise.
local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("the timeout of a flow", function()
  it("ends a run of 0.3 s after 0.1 s with a timeout error", function()
    local flow = rt.flow { name = "slow", timeout = 0.1, entry = function() rt.sleep(0.3) end }
    local err = raised(flow.run, flow)
    assert.equal("timeout", rt.kind(err))
    assert.equal(0.1, err.seconds)
  end)

  it("reaches the caller of a nested run as a timeout error, not as a cancellation",
    in_run(function()
      local flow = rt.flow { timeout = 0.01, entry = helper.sleeper }
      assert.equal("timeout", rt.kind(raised(flow.run, flow)))
      local task = flow:spawn()
      assert.equal("timeout", rt.kind(raised(task.await, task)))
      assert.equal("failed", task:status())
    end))

  it("does nothing to a run that ends before it", function()
    assert.equal(1, rt.flow { timeout = 3600, entry = function() return 1 end }:run())
  end)

  it("of math.huge is none", function()
    assert.equal(1, rt.flow { timeout = math.huge, entry = helper.sleepy }:run(1))
  end)

  it("lets an error of the user's that looks the same pass unchanged", function()
    local own = setmetatable({ kind = "timeout", message = "mine" }, {})
    local flow = rt.flow { timeout = 3600, entry = helper.fail_with(own) }
    assert.equal(own, raised(flow.run, flow))
  end)

  it("can be changed with flow:with", function()
    local flow = rt.flow { timeout = 0.01, entry = function() rt.sleep(0.03) return 1 end }
    assert.equal(1, flow:with { timeout = 3600 }:run())
    assert.equal("timeout", rt.kind(raised(flow.run, flow)))
  end)
end)

describe("stop_on_error", function()
  local function parent()
    pcall(rt.call, helper.fail_with "caught by its parent")
    return "went on"
  end

  it("unset leaves a run alone whose parent caught its child's error", function()
    assert.equal("went on", rt.flow { entry = parent }:run())
    assert.equal("went on", rt.flow { entry = parent, stop_on_error = false }:run())
  end)

  it("fails the run although a parent caught the error, and says what failed", function()
    local went_on = false
    local flow = rt.flow { stop_on_error = true, entry = function()
      parent()
      went_on = true
      rt.sleep(0)
    end }
    assert.matches("caught by its parent", tostring(raised(flow.run, flow)), 1, true)
    assert.is_false(went_on)
  end)

  it("fails a run with settle, too", function()
    local flow = rt.flow { stop_on_error = true, entry = function()
      rt.settle(rt.spawn(helper.fail_with "no"), rt.spawn(nothing))
      rt.sleep(0)
    end }
    assert.matches("no", tostring(raised(flow.run, flow)), 1, true)
  end)

  it("in a nested run ends that one only", in_run(function()
    local flow = rt.flow { stop_on_error = true, entry = parent }
    local err = raised(flow.run, flow)
    assert.matches("caught by its parent", tostring(err), 1, true)
    rt.sleep(0)
  end))

  it("does not count an error that a body caught before it reached any caller", function()
    local flow = rt.flow { stop_on_error = true, entry = function()
      pcall(error, "no call failed")
      rt.sleep(0)
      return "done"
    end }
    assert.equal("done", flow:run())
  end)
end)

describe("the fatal error of a nested run", function()
  it("reaches the parent as an ordinary error of kind fatal", in_run(function()
    local flow = rt.flow { entry = function()
      rt.call(function()
        pcall(rt.fatal, "the end")
        rt.sleep(0)
      end)
    end }
    local err = raised(flow.run, flow)
    assert.equal("fatal", rt.kind(err))
    assert.matches("the end", tostring(err), 1, true)
    rt.sleep(0)
    local task = flow:spawn()
    assert.equal("fatal", rt.kind(raised(task.await, task)))
  end))
end)

describe("the timeout of a node", function()
  it("fails its call with a timeout error", in_run(function()
    local node = rt.function_node("slow", helper.sleeper, { timeout = 0.01 })
    local err = raised(rt.call, node)
    assert.equal("timeout", rt.kind(err))
    assert.equal(0.01, err.seconds)
  end))

  it("covers what the node is wrapped in", in_run(function()
    local node = rt.function_node("quick", nothing, { timeout = 0.01 })
    local wrapped = rt.wrap(node, function(next) rt.sleep(3600) return next() end)
    assert.equal("timeout", rt.kind(raised(rt.call, wrapped)))
  end))

  it("can be given to a copy, and taken away from one", in_run(function()
    local node = rt.function_node("slow", function() rt.sleep(0.03) return 1 end)
    assert.equal("timeout", rt.kind(raised(rt.call, node:with { timeout = 0.01 })))
    assert.equal(1, rt.call(node:with { timeout = 0.01 }:with { timeout = math.huge }))
  end))
end)

describe("retries", function()
  it("give each attempt the node's timeout", in_run(function()
    local attempts = 0
    local node = rt.function_node("slow", function()
      attempts = attempts + 1
      if attempts < 3 then rt.sleep(3600) end
      rt.sleep(0)
      return "done"
    end, { timeout = 0.02, retries = { times = 3, delay = 0.02 } })
    assert.equal("done", rt.call(node))
    assert.equal(3, attempts)
    attempts = 0
    local one = node:with { retries = 0 }
    assert.equal("done", rt.retry({ times = 3, delay = 0 }, one))
  end))

  it("end with the deadline they stand under", in_run(function()
    local err = raised(rt.timeout, 0.05, function()
      rt.retry({ times = math.huge, delay = 0.01 }, helper.fail_with "no")
    end)
    assert.equal("timeout", rt.kind(err))
  end))

  it("do not go on after a fatal error", function()
    local attempts = 0
    local err = raised(rt.run, function()
      rt.retry({ delay = 0, on = function() return true end }, function()
        attempts = attempts + 1
        rt.fatal "the end"
      end)
    end)
    assert.equal("fatal", rt.kind(err))
    assert.equal(1, attempts)
  end)

  it("do not run a nested run again that ended with a fatal error", in_run(function()
    local runs = 0
    local flow = rt.flow { entry = function()
      runs = runs + 1
      rt.fatal "the end"
    end }
    local err = raised(rt.retry, { delay = 0, on = function() return true end },
      function() return flow:run() end)
    assert.equal("fatal", rt.kind(err))
    assert.equal(1, runs)
  end))
end)

describe("rt.verify with a timeout", function()
  it("fails with a timeout error when the verifier takes longer, and does not run the node",
    in_run(function()
      local ran = false
      local node = rt.verify(function() ran = true end, helper.sleeper, { timeout = 0.01 })
      local err = raised(rt.call, node)
      assert.equal("timeout", rt.kind(err))
      assert.is_false(ran)
    end))

  it("does not limit the node itself", in_run(function()
    local node = rt.verify(function() rt.sleep(0.03) return 1 end, function() return true end,
      { timeout = 0.02 })
    assert.equal(1, rt.call(node))
  end))

  it("passes arguments and verdict as without", in_run(function()
    local node = rt.verify(function(...) return ... end, function(x) return true, x + 1 end,
      { timeout = 3600 })
    assert.equal(2, rt.call(node, 1))
  end))
end)
