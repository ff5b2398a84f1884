local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, fail_with = helper.in_run, helper.fail_with

describe("the failure of a task that nobody awaited", function()
  it("fails its parent when that ends, as the same value", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      rt.spawn(fail_with(value))
      rt.sleep(0)
      return "fine"
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("fails its parent also when it fails after the body has returned", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      rt.spawn(function() rt.sleep(0) rt.sleep(0) error(value) end)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("fails the run", function()
    local value = {}
    local ok, err = pcall(rt.run, function() rt.spawn(fail_with(value)) end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("fails its parent with nil where nil was raised", in_run(function()
    assert.same({ false, nil, n = 2 },
      table.pack(pcall(rt.call, function() rt.spawn(fail_with(nil)) end)))
  end))

  it("does not stop the parent's body before its end", in_run(function()
    local reached = false
    pcall(rt.call, function()
      rt.spawn(fail_with "no")
      rt.sleep(0)
      rt.sleep(0)
      reached = true
    end)
    assert.is_true(reached)
  end))

  it("does not stop its siblings", in_run(function()
    local sibling
    pcall(rt.call, function()
      rt.spawn(fail_with "no")
      sibling = rt.spawn(function() rt.sleep(0) rt.sleep(0) return 5 end)
    end)
    assert.equal("done", sibling:status())
  end))

  it("makes a spawned parent failed in turn", in_run(function()
    local value = {}
    local task = rt.spawn(function() rt.spawn(fail_with(value)) end)
    local outcome = rt.settle { task }[1]
    assert.is_true(rawequal(value, outcome.error))
    assert.equal("failed", task:status())
  end))

  it("is the earliest of several", in_run(function()
    local early, late = {}, {}
    local _, err = pcall(rt.call, function()
      rt.spawn(function() rt.sleep(0) rt.sleep(0) error(late) end)
      rt.spawn(fail_with(early))
    end)
    assert.is_true(rawequal(early, err))
  end))

  it("gives way to the error of the body itself", in_run(function()
    local own = {}
    local _, err = pcall(rt.call, function()
      rt.spawn(fail_with "other")
      rt.sleep(0)
      error(own)
    end)
    assert.is_true(rawequal(own, err))
  end))

  it("survives the collection of its handle", in_run(function()
    local value = {}
    local _, err = pcall(rt.call, function()
      rt.spawn(fail_with(value))
      rt.sleep(0)
      collectgarbage()
      collectgarbage()
    end)
    assert.is_true(rawequal(value, err))
  end))

  it("is told on standard error when it happens", function()
    local _, said, status = helper.run { "run", "-e", [[
      local rt = require "railtracks"
      rt.spawn(function() error("lost and found", 0) end)
      rt.sleep(0)
      io.stderr:write "afterwards\n"
    ]] }
    assert.equal(1, status)
    assert.matches("warning[^\n]*lost and found.*afterwards", said)
  end)
end)

describe("the failure of a task is observed", function()
  local function fine(name, use)
    it("once " .. name, function()
      assert.equal("fine", rt.run(function()
        rt.call(function()
          local task = rt.spawn(fail_with "no")
          use(task)
        end)
        return "fine"
      end))
    end)
  end

  fine("it was awaited", function(task) pcall(task.await, task) end)
  fine("it was awaited after it had failed", function(task)
    rt.sleep(0)
    pcall(task.await, task)
  end)
  fine("it was gathered", function(task) pcall(rt.gather, task) end)
  fine("it was settled", function(task) rt.settle(task) end)
  fine("it was settled after it had failed", function(task)
    rt.sleep(0)
    rt.settle { task }
  end)
  fine("another task has awaited it", function(task)
    rt.spawn(function() pcall(task.await, task) end)
  end)
  fine("it was gathered with one that failed before", function(task)
    local first = rt.spawn(fail_with "first")
    rt.sleep(0)
    pcall(rt.gather, first, task)
  end)

  it("not by task:status()", in_run(function()
    local ok = pcall(rt.call, function()
      local task = rt.spawn(fail_with "no")
      rt.sleep(0)
      assert.equal("failed", task:status())
    end)
    assert.is_false(ok)
  end))

  it("not by a wait for it that was cancelled", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      local task = rt.spawn(function()
        for _ = 1, 5 do rt.sleep(0) end
        error(value)
      end)
      local waiter = rt.spawn(function() task:await() end)
      rt.sleep(0)
      waiter:cancel()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))
end)
