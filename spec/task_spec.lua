local rt = require "railtracks"
local helper = require "spec.helper"

--- rt.run of `fn` in which every assertion may be made.
local function in_run(fn) return function() rt.run(fn) end end

local function sleepy(...)
  rt.sleep(0)
  return ...
end

local function fail_with(value)
  return function() error(value, 0) end
end

--- A task that sleeps until it is cancelled.
local function sleeper() rt.sleep(3600) end

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
  end))

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

describe("task:await", function()
  it("returns all results, nils kept", in_run(function()
    local task = rt.spawn(sleepy, 1, nil, 3, nil)
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(task:await()))
  end))

  it("returns nothing for a node that returns nothing", in_run(function()
    assert.equal(0, select("#", rt.spawn(function() end):await()))
  end))

  it("returns 100,000 results", in_run(function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local task = rt.spawn(function() return table.unpack(values) end)
    for _ = 1, 2 do
      local got = table.pack(task:await())
      assert.equal(100000, got.n)
      assert.equal(100000, got[100000])
    end
  end))

  it("may be called many times", in_run(function()
    local value, ran = {}, 0
    local task = rt.spawn(function() ran = ran + 1 return value, nil end)
    for _ = 1, 10 do
      assert.same({ value, nil, n = 2 }, table.pack(task:await()))
      rt.sleep(0)
    end
    assert.equal(1, ran)
  end))

  it("may be called from many tasks at once", in_run(function()
    local value = {}
    local task = rt.spawn(function() rt.sleep(0) rt.sleep(0) return value end)
    local waiters = {}
    for i = 1, 1000 do waiters[i] = rt.spawn(function() return (task:await()) end) end
    local results = rt.gather(waiters)
    for i = 1, 1000 do assert.is_true(rawequal(value, results[i])) end
  end))

  it("wakes its waiters in the order they came", in_run(function()
    local task, order = rt.spawn(function() rt.sleep(0) rt.sleep(0) end), {}
    local waiters = {}
    for i = 1, 100 do
      waiters[i] = rt.spawn(function() task:await() order[#order + 1] = i end)
    end
    rt.gather(waiters)
    for i = 1, 100 do assert.equal(i, order[i]) end
  end))

  it("raises the same value each time, in each waiter", in_run(function()
    local value = {}
    local task = rt.spawn(function() rt.sleep(0) rt.sleep(0) error(value) end)
    local function waiter() return select(2, pcall(task.await, task)) end
    local results = rt.gather(rt.spawn(waiter), rt.spawn(waiter), rt.spawn(waiter))
    for i = 1, 3 do assert.is_true(rawequal(value, results[i])) end
    assert.is_true(rawequal(value, waiter()))
  end))

  it("raises nil where nil was raised", in_run(function()
    local task = rt.spawn(fail_with(nil))
    for _ = 1, 2 do
      assert.same({ false, nil, n = 2 }, table.pack(pcall(task.await, task)))
    end
  end))

  it("takes a task that somebody else spawned", in_run(function()
    local task
    local owner = rt.spawn(function()
      task = rt.spawn(sleepy, 5)
      rt.sleep(0)
      rt.sleep(0)
    end)
    rt.sleep(0)
    assert.equal(5, task:await())
    owner:await()
  end))

  it("refuses what is no Task, hinting at the colon", in_run(function()
    local task = rt.spawn(math.abs, 1)
    local ok, err = pcall(task.await)
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
    assert.matches("colon", tostring(err), 1, true)
    for _, value in ipairs { 1, "task", {}, io.stdout } do
      assert.equal("usage", rt.kind(select(2, pcall(task.await, value))))
    end
  end))

  it("raises that the other was cancelled, which is an ordinary error", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    task:cancel()
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.equal(1, rt.call(sleepy, 1))
  end))

  it("of one task by 50,000 others ends for all", in_run(function()
    local one, waiters = rt.spawn(sleepy, 1), {}
    for i = 1, 50000 do waiters[i] = rt.spawn(function() return (one:await()) end) end
    assert.equal(50000, rt.gather(waiters).n)
  end))

  it("of 50,000 tasks in a chain ends", in_run(function()
    local last = rt.spawn(sleepy, 0)
    for _ = 1, 50000 do
      local one = last
      last = rt.spawn(function() return one:await() + 1 end)
    end
    assert.equal(50000, last:await())
  end))

  it("of 50,000 tasks that each wait for the next ends", in_run(function()
    local tasks = {}
    for i = 1, 50000 do
      tasks[i] = rt.spawn(function()
        if i == 50000 then return 0 end
        return tasks[i + 1]:await() + 1
      end)
    end
    assert.equal(49999, tasks[1]:await())
  end))
end)

describe("awaiting", function()
  local function deadlock(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end

  it("oneself is a deadlock error at once", in_run(function()
    local task
    task = rt.spawn(function() deadlock(task.await, task) return "survived" end)
    assert.equal("survived", task:await())
  end))

  it("the call that spawned one is a deadlock error at once", in_run(function()
    local outer
    outer = rt.spawn(function()
      rt.spawn(function() deadlock(outer.await, outer) end):await()
      return "survived"
    end)
    assert.equal("survived", outer:await())
  end))

  it("a call far above is a deadlock error at once", in_run(function()
    local outer
    local function down(n)
      if n == 0 then deadlock(outer.await, outer) return "survived" end
      if n % 2 == 0 then return (rt.call(down, n - 1)) end
      return (rt.spawn(down, n - 1):await())
    end
    outer = rt.spawn(down, 50)
    assert.equal("survived", outer:await())
  end))

  it("each other is a deadlock error for the one that closes the circle", in_run(function()
    local a, b
    a = rt.spawn(function() return b:await() end)
    b = rt.spawn(function() deadlock(a.await, a) return "b" end)
    assert.equal("b", a:await())
  end))

  it("in a circle of a thousand is a deadlock error for the one that closes it", in_run(function()
    local tasks, closed = {}, 0
    for i = 1, 1000 do
      tasks[i] = rt.spawn(function()
        local next_task = tasks[i % 1000 + 1]
        if i == 1000 then deadlock(next_task.await, next_task) closed = closed + 1
        else next_task:await() end
      end)
    end
    rt.gather(tasks)
    assert.equal(1, closed)
  end))

  it("a task whose child awaits this one is a deadlock error", in_run(function()
    local a, b
    a = rt.spawn(function() rt.spawn(function() pcall(b.await, b) end) end)
    b = rt.spawn(function()
      rt.sleep(0)
      deadlock(a.await, a)
    end)
    b:await()
  end))
end)

describe("a task", function()
  it("is pending, then running, then done", in_run(function()
    local task = rt.spawn(function() rt.sleep(0) rt.sleep(0) end)
    assert.equal("pending", task:status())
    rt.sleep(0)
    assert.equal("running", task:status())
    task:await()
    assert.equal("done", task:status())
  end))

  it("is running in its own eyes", in_run(function()
    local task
    task = rt.spawn(function() return task:status() end)
    assert.equal("running", task:await())
  end))

  it("is running while it waits for its children", in_run(function()
    local child
    local task = rt.spawn(function() child = rt.spawn(sleeper) end)
    rt.sleep(0)
    rt.sleep(0)
    assert.equal("running", task:status())
    child:cancel()
    task:await()
    assert.equal("done", task:status())
  end))

  it("is failed after an error", in_run(function()
    local task = rt.spawn(fail_with "no")
    rt.settle { task }
    assert.equal("failed", task:status())
  end))

  it("is cancelled after it was cancelled", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    assert.equal("cancelled", task:status())
  end))

  it("has the id of its call", in_run(function()
    local task = rt.spawn(function() return rt.current().call end)
    assert.equal("1.1", task.id)
    assert.equal(task.id, task:await())
    assert.equal("1.2", rt.spawn(math.abs, 1).id)
  end))

  it("has the name of its node", in_run(function()
    assert.equal("named", rt.spawn(rt.function_node("named", function() end)).node)
  end))

  it("has no other fields", in_run(function()
    local task = rt.spawn(math.abs, 1)
    assert.is_nil(task.name)
    assert.is_nil(task[1])
    assert.has_error(function() task.id = "2" end)
  end))

  it("shows id, node and status with tostring", in_run(function()
    local task = rt.spawn(rt.function_node("shown", function() end))
    for _, word in ipairs { "Task", "1.1", "shown", "pending" } do
      assert.matches(word, tostring(task), 1, true)
    end
    task:await()
    assert.matches("done", tostring(task), 1, true)
  end))

  it("keeps its results after its run has ended", function()
    local task = rt.run(function() return (rt.spawn(sleepy, 1, nil, {})) end)
    assert.equal("done", task:status())
    assert.equal("1.1", task.id)
    local results = rt.run(function() return table.pack(task:await()) end)
    assert.same({ 1, nil, {}, n = 3 }, results)
  end)

  it("keeps its error after its run has ended", function()
    local value, task = {}, nil
    pcall(rt.run, function() task = rt.spawn(fail_with(value)) end)
    assert.equal("failed", task:status())
    local _, err = rt.run(function() return pcall(task.await, task) end)
    assert.is_true(rawequal(value, err))
  end)

  it("may be awaited by a run inside the run", in_run(function()
    local task = rt.spawn(sleepy, 5)
    assert.equal(5, rt.run(function() return (task:await()) end))
  end))

  it("may be collected before it has begun, and runs all the same", in_run(function()
    local ran = 0
    for _ = 1, 100 do rt.spawn(function() ran = ran + 1 end) end
    collectgarbage()
    collectgarbage()
    rt.sleep(0)
    assert.equal(100, ran)
  end))

  it("may be collected while it waits, and goes on all the same", in_run(function()
    local ran = 0
    for _ = 1, 100 do rt.spawn(function() rt.sleep(0) rt.sleep(0) ran = ran + 1 end) end
    rt.sleep(0)
    collectgarbage()
    collectgarbage()
    rt.sleep(0)
    rt.sleep(0)
    assert.equal(100, ran)
  end))

  it("is collected once nobody holds it and its call has ended", in_run(function()
    local weak = setmetatable({}, { __mode = "v" })
    for i = 1, 10 do weak[i] = rt.spawn(sleepy, {}) end
    rt.sleep(0)
    rt.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end))

  it("lets go of its arguments once it has begun", in_run(function()
    local weak = setmetatable({}, { __mode = "v" })
    weak[1] = {}
    local task = rt.spawn(function(t)
      assert.truthy(t)
      t = nil -- luacheck: ignore 311
      rt.sleep(0)
      collectgarbage()
      collectgarbage()
      return weak[1] == nil
    end, weak[1])
    assert.is_true(task:await())
  end))
end)

describe("50,000 tasks", function()
  it("may be spawned and their handles dropped", in_run(function()
    local ran = 0
    for i = 1, 50000 do
      rt.spawn(function() ran = ran + 1 end)
      if i % 10000 == 0 then collectgarbage() end
    end
    rt.sleep(0)
    assert.equal(50000, ran)
  end))

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
      local ok, err = pcall(rt.run, function()
        for i = 1, 3 do rt.spawn(fail_with(values[i])) end
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(values[1], err))
    end
    quiet()
  end)
end)

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
    local other = rt.spawn(sleepy, 5)
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

describe("a call ends after its children", function()
  it("when its body has returned", function()
    local ended = 0
    rt.run(function()
      rt.call(function()
        for _ = 1, 3 do rt.spawn(function() rt.sleep(0) rt.sleep(0) ended = ended + 1 end) end
      end)
      assert.equal(3, ended)
    end)
  end)

  it("and after those that its children started", function()
    local ended = 0
    rt.run(function()
      rt.call(function()
        rt.spawn(function()
          rt.spawn(function()
            rt.spawn(function() rt.sleep(0) ended = ended + 1 end)
            ended = ended + 1
          end)
          ended = ended + 1
        end)
      end)
      assert.equal(3, ended)
    end)
  end)

  it("and keeps the results of its body", in_run(function()
    local function busy() rt.spawn(sleepy) return 1, nil, 3 end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.call(busy)))
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.spawn(busy):await()))
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.run(busy)))
  end))

  it("when its body has failed: they are cancelled first", in_run(function()
    local value, child = {}, nil
    local ok, err = pcall(rt.call, function()
      child = rt.spawn(sleeper)
      rt.sleep(0)
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.equal("cancelled", child:status())
  end))

  it("when its body has failed: those not begun never begin", in_run(function()
    local ran = false
    pcall(rt.call, function()
      rt.spawn(function() ran = true end)
      error "no"
    end)
    assert.is_false(ran)
  end))

  it("and what their cleanup does when they are cancelled", in_run(function()
    local closed = false
    pcall(rt.call, function()
      rt.spawn(function()
        local guard <close> = setmetatable({}, { __close = function()
          closed = true
        end })
        assert(guard)
        rt.sleep(3600)
      end)
      rt.sleep(0)
      error "no"
    end)
    assert.is_true(closed)
  end))

  it("and a run after all of its calls", function()
    local ended = false
    rt.run(function() rt.spawn(function() rt.sleep(0.001) ended = true end) end)
    assert.is_true(ended)
  end)
end)

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
