local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, sleeper, fail_with, unshuffled =
  helper.in_run, helper.sleepy, helper.sleeper, helper.fail_with, helper.unshuffled

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
  end, unshuffled))

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
