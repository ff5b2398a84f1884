local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, fail_with, sleeper = helper.in_run, helper.fail_with, helper.sleeper

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

  -- A wait for `bad` and `slow` has seen `bad` fail and is cancelled then.
  for name, wait in pairs { settle = rt.settle, any = rt.any, ["settle, twice"] = function(a, b)
    rt.settle(a, b, a)
  end } do
    it("not by a cancelled wait that had seen it: " .. name, in_run(function()
      local value = {}
      local ok, err = pcall(rt.call, function()
        local bad, slow = rt.spawn(fail_with(value)), rt.spawn(sleeper)
        local waiter = rt.spawn(function() wait(bad, slow) end)
        for _ = 1, 3 do rt.sleep(0) end
        waiter:cancel()
        slow:cancel()
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
    end))
  end

  it("not by a cancelled gather that was to raise it", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      local bad = rt.spawn(fail_with(value))
      local waiter
      local last = rt.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() waiter:cancel() end })
        assert(guard)
        rt.sleep(3600)
      end)
      waiter = rt.spawn(function() rt.gather(bad, last) end)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("not by a cancelled wait that came after it", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      local bad, slow = rt.spawn(fail_with(value)), rt.spawn(sleeper)
      rt.sleep(0)
      local waiter = rt.spawn(function() rt.settle(bad, slow) end)
      rt.sleep(0)
      waiter:cancel()
      slow:cancel()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("by another wait, whichever is cancelled", in_run(function()
    assert.equal("fine", rt.call(function()
      local bad, slow = rt.spawn(fail_with "no"), rt.spawn(sleeper)
      local waiters = {}
      for i = 1, 3 do waiters[i] = rt.spawn(function() rt.settle(bad, slow) end) end
      for _ = 1, 3 do rt.sleep(0) end
      waiters[1]:cancel()
      waiters[3]:cancel()
      rt.sleep(0)
      slow:cancel()
      waiters[2]:await()
      return "fine"
    end))
  end))

  it("while a wait is pending that has seen it: the parent ends well", in_run(function()
    local outside = rt.spawn(sleeper)
    local bad
    local parent = rt.spawn(function()
      bad = rt.spawn(fail_with "no")
      rt.sleep(0)
      rt.sleep(0)
      return "fine"
    end)
    rt.sleep(0)
    local waiter = rt.spawn(function() return rt.settle(bad, outside)[1].error end)
    assert.equal("fine", parent:await())
    outside:cancel()
    assert.equal("no", waiter:await())
  end))

  it("survives collections while a wait that has seen it is pending", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      local slow = rt.spawn(sleeper)
      local waiter
      do
        local bad = rt.spawn(fail_with(value))
        waiter = rt.spawn(function(task) rt.settle(task, slow) end, bad)
      end
      for _ = 1, 3 do rt.sleep(0) end
      collectgarbage()
      waiter:cancel()
      rt.sleep(0)
      collectgarbage()
      collectgarbage()
      slow:cancel()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("not by waits that it brings to an end itself", in_run(function()
    local value, above = {}, nil
    local ok, err = pcall(rt.call, function()
      local bad = rt.spawn(function()
        for _ = 1, 3 do rt.sleep(0) end
        error(value)
      end)
      local slow = rt.spawn(sleeper)
      above = rt.spawn(function()
        rt.spawn(function() rt.settle(bad, slow) end)
        rt.spawn(function() rt.race(bad, above) end)
        rt.sleep(3600)
      end)
      rt.settle(above)
      slow:cancel()
    end)
    assert.equal("cancelled", above:status())
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))

  it("is told on standard error when the wait that had seen it is cancelled", function()
    local _, said, status = helper.run { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local bad = rt.spawn(function()
        rt.sleep(0)
        error("given up", 0)
      end)
      local slow = rt.spawn(rt.sleep, 3600)
      local waiter = rt.spawn(function() rt.settle(bad, slow) end)
      for _ = 1, 3 do rt.sleep(0) end
      io.stderr:write "seen\n"
      waiter:cancel()
      slow:cancel()
    ]] }
    assert.equal(1, status)
    assert.matches("^seen\n[^\n]*warning[^\n]*given up", said)
  end)

  it("is told on standard error once", function()
    local _, said = helper.run { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local bad = rt.spawn(function() error("given up", 0) end)
      local slow = rt.spawn(rt.sleep, 3600)
      rt.sleep(0)
      for _ = 1, 3 do
        local waiter = rt.spawn(function() rt.settle(bad, slow) end)
        rt.sleep(0)
        waiter:cancel()
        rt.sleep(0)
      end
      slow:cancel()
    ]] }
    assert.equal(1, select(2, said:gsub("warning", "")))
  end)
end)
