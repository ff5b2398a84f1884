local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, sleeper, fail_with =
  helper.in_run, helper.sleepy, helper.sleeper, helper.fail_with

describe("task:cancel", function()
  it("of a task that has not begun: it never runs", in_run(function()
    local ran = false
    local task = rt.spawn(function() ran = true end)
    assert.is_true(task:cancel())
    rt.settle { task }
    rt.sleep(0)
    assert.is_false(ran)
    assert.equal("cancelled", task:status())
  end))

  it("of a sleeping task: it ends at once, as cancelled", in_run(function()
    local after = false
    local task = rt.spawn(function() rt.sleep(3600) after = true end)
    rt.sleep(0)
    assert.is_true(task:cancel())
    rt.settle { task }
    assert.is_false(after)
    assert.equal("cancelled", task:status())
  end))

  it("of a task that waits for a call: the call is cancelled too", in_run(function()
    local inner
    local task = rt.spawn(function()
      rt.call(function() inner = rt.spawn(sleeper) inner:await() end)
    end)
    rt.sleep(0)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    assert.equal("cancelled", inner:status())
    assert.equal("cancelled", task:status())
  end))

  it("of a task that waits for another: that one goes on", in_run(function()
    local other = rt.spawn(function()
      rt.sleep(0)
      return sleepy(5)
    end)
    local task = rt.spawn(function() other:await() end)
    rt.sleep(0)
    task:cancel()
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
    assert.equal(5, other:await())
  end))

  it("of a task that waits in gather, settle and map: it ends as cancelled", in_run(function()
    for _, wait in ipairs {
      function() rt.gather(rt.spawn(sleeper), rt.spawn(sleeper)) end,
      function() rt.settle { rt.spawn(sleeper), rt.spawn(sleeper) } end,
      function() rt.map(sleeper, { 1, 2, 3 }) end,
      function() rt.map(sleeper, { 1, 2, 3 }, { limit = 1 }) end,
      function() rt.map(sleeper, { 1, 2, 3 }, { settle = true }) end,
      function() rt.run(sleeper) end,
    } do
      local task = rt.spawn(wait)
      rt.sleep(0)
      rt.sleep(0)
      assert.is_true(task:cancel())
      assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
      assert.equal("cancelled", task:status())
    end
  end))

  it("of a task whose body has returned: its children are cancelled, and it is too",
    in_run(function()
      local child
      local task = rt.spawn(function() child = rt.spawn(sleeper) end)
      rt.sleep(0)
      rt.sleep(0)
      task:cancel()
      rt.settle { task }
      assert.equal("cancelled", child:status())
      assert.equal("cancelled", task:status())
    end))

  it("does not wait", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    task:cancel()
    assert.equal("running", task:status())
    rt.settle { task }
  end))

  it("returns true as long as the task has not ended", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    assert.is_true(task:cancel())
    assert.is_true(task:cancel())
    rt.settle { task }
    assert.is_false(task:cancel())
  end))

  it("returns false for a task that is done, and changes nothing", in_run(function()
    local task = rt.spawn(sleepy, 5)
    task:await()
    assert.is_false(task:cancel())
    assert.equal("done", task:status())
    assert.equal(5, task:await())
  end))

  it("returns false for a task that has failed", in_run(function()
    local task = rt.spawn(fail_with "no")
    rt.settle { task }
    assert.is_false(task:cancel())
    assert.equal("failed", task:status())
  end))

  it("gives its reason to the error", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    task:cancel("no longer needed")
    local err = rt.settle { task }[1].error
    assert.equal("no longer needed", err.reason)
    assert.matches("no longer needed", tostring(err), 1, true)
  end))

  it("puts call, node and what it waited for into the error", in_run(function()
    local task = rt.spawn(rt.function_node("dozer", sleeper))
    rt.sleep(0)
    task:cancel()
    local err = rt.settle { task }[1].error
    assert.equal(task.id, err.call)
    assert.equal("dozer", err.node)
    assert.matches("sleep", tostring(err), 1, true)
  end))

  it("of oneself is raised at the next wait", in_run(function()
    local task, before, after
    task = rt.spawn(function()
      assert.is_true(task:cancel())
      before = true
      rt.sleep(0)
      after = true
    end)
    rt.settle { task }
    assert.is_true(before)
    assert.is_nil(after)
    assert.equal("cancelled", task:status())
  end))

  it("of oneself does nothing to a body that does not wait again", in_run(function()
    local task
    task = rt.spawn(function() task:cancel() return 5 end)
    assert.equal(5, task:await())
    assert.equal("done", task:status())
  end))

  it("does not take back a wait that is over", in_run(function()
    local first = rt.spawn(math.abs, -5)
    local task = rt.spawn(function()
      local value = first:await()
      return value
    end)
    rt.sleep(0)
    first:await()
    task:cancel()
    assert.equal(5, task:await())
  end))

  it("runs <close> variables, innermost first", in_run(function()
    local order = {}
    local function guard(name)
      return setmetatable({}, { __close = function() order[#order + 1] = name end })
    end
    local task = rt.spawn(function()
      local a <close> = guard "outer"
      local b <close> = guard "inner"
      assert(a and b)
      rt.sleep(3600)
    end)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    assert.same({ "inner", "outer" }, order)
  end))

  it("ends the calls below before the body is unwound", in_run(function()
    local order = {}
    local function guarded(name, fn)
      local guard <close> = setmetatable({}, { __close = function() order[#order + 1] = name end })
      assert(guard)
      fn()
    end
    local task = rt.spawn(function()
      guarded("above", function()
        rt.call(function() guarded("below", sleeper) end)
      end)
    end)
    rt.sleep(0)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    assert.same({ "below", "above" }, order)
  end))

  it("is not a failure: the parent goes on and ends well", function()
    assert.equal("fine", rt.run(function()
      local task = rt.spawn(sleeper)
      rt.sleep(0)
      task:cancel()
      return "fine"
    end))
  end)

  it("may be called by a task that is done with it long after", function()
    local task = rt.run(function() return (rt.spawn(math.abs, 1)) end)
    assert.is_false(task:cancel())
  end)
end)
