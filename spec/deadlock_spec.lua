local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, unshuffled = helper.in_run, helper.sleepy, helper.unshuffled

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
  end, unshuffled))

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
  end, unshuffled))

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

describe("a run that stands still", function()
  local function stand_still()
    local a, b
    a = rt.spawn(function() rt.gather(b) end)
    b = rt.spawn(function() rt.gather(a) end)
    rt.gather(a, b)
  end

  it("fails with a deadlock error", function()
    local ok, err = pcall(rt.run, stand_still)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)

  it("lists who waits for what", function()
    local _, err = pcall(rt.run, stand_still)
    for _, word in ipairs { "call 1 ", "call 1.1 ", "call 1.2 ", "rt.gather" } do
      assert.matches(word, tostring(err), 1, true)
    end
  end)

  it("unwinds its tasks", function()
    local closed = 0
    pcall(rt.run, function()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = rt.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
          assert(guard)
          rt.gather(tasks[i % 10 + 1])
        end)
      end
      rt.gather(tasks)
    end)
    assert.equal(10, closed)
  end)

  it("does not stand still while somebody sleeps", function()
    assert.equal("woken", rt.run(function()
      local a, b
      a = rt.spawn(function() rt.gather(b) end)
      b = rt.spawn(function() rt.gather(a) end)
      rt.spawn(function() rt.sleep(0.01) a:cancel() end)
      rt.settle(a, b)
      return "woken"
    end))
  end)

  it("is not caught by pcall inside it", function()
    local ok, err = pcall(rt.run, function()
      pcall(stand_still)
      rt.sleep(0)
      return "went on"
    end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)

  it("inside another run fails alone, as an error of that rt.run", function()
    assert.equal("deadlock", rt.run(function()
      local _, err = pcall(rt.run, stand_still)
      rt.sleep(0)
      return rt.kind(err)
    end))
  end)

  it("leaves the next run undisturbed", function()
    for _ = 1, 10 do
      pcall(rt.run, stand_still)
      assert.equal(1, rt.run(sleepy, 1))
    end
  end)
end)
