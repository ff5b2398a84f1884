local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, sleeper = helper.in_run, helper.sleepy, helper.sleeper

--- The deadlock error that awaiting `task` has to raise, as text.
local function deadlock(task)
  local ok, err = pcall(task.await, task)
  assert.is_false(ok)
  assert.equal("deadlock", rt.kind(err))
  return tostring(err)
end

describe("an await that would wait for itself", function()
  it("tells a task that awaits itself so", in_run(function()
    local task
    task = rt.spawn(function()
      assert.equal("deadlock: task:await: a call cannot wait for itself", deadlock(task))
    end)
    task:await()
  end))

  it("names the task that waits for this one", in_run(function()
    local node = rt.function_node("outer", function(get)
      rt.spawn(function()
        local task = get()
        assert.equal(("deadlock: task:await: call %s (outer) waits for this one to end")
          :format(task.id), deadlock(task))
      end):await()
    end)
    local outer
    outer = rt.spawn(node, function() return outer end)
    outer:await()
  end))

  it("is found where the other waits for one of several children", in_run(function()
    local a, b
    a = rt.spawn(function()
      rt.spawn(sleepy)
      rt.spawn(function() pcall(b.await, b) end)
      rt.spawn(sleepy)
    end)
    b = rt.spawn(function()
      rt.sleep(0)
      deadlock(a)
    end)
    b:await()
    a:await()
  end))

  it("is found where a grandchild of the other awaits a call above", in_run(function()
    local a, b
    a = rt.spawn(function()
      for _ = 1, 10 do rt.spawn(sleepy) end
      rt.spawn(function()
        for _ = 1, 10 do rt.spawn(sleepy) end
        rt.spawn(function() pcall(b.await, b) end)
        rt.sleep(0)
      end)
      rt.sleep(0)
    end)
    b = rt.spawn(function()
      rt.sleep(0)
      rt.call(function() rt.call(function() deadlock(a) end) end)
    end)
    b:await()
  end))

  it("is found among a thousand who wait for the same", in_run(function()
    local hub, last
    local tasks = {}
    hub = rt.spawn(function()
      rt.sleep(0)
      rt.sleep(0)
      deadlock(last)
    end)
    for i = 1, 1000 do tasks[i] = rt.spawn(function() hub:await() end) end
    last = rt.spawn(function()
      for i = 1, 100 do rt.spawn(function() tasks[i * 10]:await() end) end
    end)
    rt.gather(tasks)
  end))

  it("is found across a run inside the run", in_run(function()
    local outer
    outer = rt.spawn(function()
      rt.run(function() rt.call(function() deadlock(outer) end) end)
    end)
    outer:await()
  end))

  it("is found across a thousand calls and tasks by turns", in_run(function()
    local first, last
    local function down(n)
      if n == 0 then
        last:await()
      elseif n % 2 == 0 then
        rt.call(down, n - 1)
      else
        rt.spawn(down, n - 1):await()
      end
    end
    last = rt.spawn(function()
      for _ = 1, 2000 do rt.sleep(0) end
      deadlock(first)
    end)
    first = rt.spawn(down, 1000)
    first:await()
  end))

  it("leaves what was to be awaited unobserved and unharmed", in_run(function()
    local task
    task = rt.spawn(function()
      deadlock(task)
      return "fine"
    end)
    assert.equal("fine", task:await())
    assert.equal("done", task:status())
  end))

  it("is none where the other has given up its wait", in_run(function()
    local a, b
    a = rt.spawn(function() b:await() end)
    b = rt.spawn(function()
      rt.sleep(0)
      a:cancel()
      local ok, err = pcall(a.await, a)
      assert.is_false(ok)
      assert.equal("cancelled", rt.kind(err))
      return "fine"
    end)
    assert.equal("fine", b:await())
  end))

  it("is none where the other's wait is over", in_run(function()
    local c = rt.spawn(sleepy)
    local a = rt.spawn(function() c:await() return "a" end)
    local b = rt.spawn(function()
      c:await()
      return a:await()
    end)
    assert.equal("a", b:await())
  end))

  it("is none where many wait for the same without a circle", in_run(function()
    local one = rt.spawn(function() for _ = 1, 5 do rt.sleep(0) end return 1 end)
    local layer = { one }
    for _ = 1, 20 do
      local above = layer
      layer = {}
      for i = 1, 10 do
        layer[i] = rt.spawn(function()
          local sum = 0
          for _, task in ipairs(above) do sum = math.max(sum, task:await()) end
          return sum
        end)
      end
    end
    for _, task in ipairs(layer) do assert.equal(1, task:await()) end
  end))

  it("is none in a chain of 50,000, whichever way it grew", in_run(function()
    local count = 50000
    for step, first in pairs { [1] = 1, [-1] = count } do
      local tasks = {}
      for i = 1, count do
        tasks[i] = rt.spawn(function()
          local after = tasks[i + step]
          if after then return after:await() end
          rt.sleep(0)
          return "end"
        end)
      end
      assert.equal("end", tasks[first]:await())
    end
  end))

  it("is none where an old task is awaited from deep below", in_run(function()
    local old = rt.spawn(function() for _ = 1, 10 do rt.sleep(0) end return "old" end)
    local function down(n)
      if n == 0 then return old:await() end
      return rt.spawn(down, n - 1):await()
    end
    assert.equal("old", down(1000))
  end))
end)

for _, name in ipairs { "gather", "settle" } do
  local wait = rt[name]

  describe("rt." .. name, function()
    it("of the call itself is a deadlock error at once", in_run(function()
      local task
      task = rt.spawn(function()
        local other = rt.spawn(sleepy)
        local ok, err = pcall(wait, other, task)
        assert.is_false(ok)
        assert.equal("deadlock", rt.kind(err))
        assert.matches("rt." .. name .. ": a call cannot wait for itself", tostring(err), 1, true)
        assert.equal("pending", other:status())
      end)
      task:await()
    end))

    it("of a call above is a deadlock error at once", in_run(function()
      local outer
      outer = rt.spawn(function()
        rt.call(function()
          local ok, err = pcall(wait, rt.spawn(sleepy), outer)
          assert.is_false(ok)
          assert.equal("deadlock", rt.kind(err))
          assert.matches(outer.id, tostring(err), 1, true)
        end)
      end)
      outer:await()
    end))

    it("in a circle is found when the run stands still", function()
      local caught = false
      local _, err = pcall(rt.run, function()
        local a, b
        a = rt.spawn(function() wait(b) end)
        b = rt.spawn(function()
          caught = not pcall(wait, a)
        end)
        rt.sleep(0)
        assert.is_false(caught)
        a:await()
      end)
      assert.equal("deadlock", rt.kind(err))
    end)
  end)
end

describe("a wait that many have given up", function()
  it("leaves the task to those who still wait", in_run(function()
    local one = rt.spawn(function() for _ = 1, 9 do rt.sleep(0) end return "one" end)
    local given_up, kept = {}, {}
    for i = 1, 3000 do
      local list = i % 3 == 0 and kept or given_up
      list[#list + 1] = rt.spawn(function()
        if i % 2 == 0 then return one:await() end
        return rt.gather(one, one)[2]
      end)
    end
    rt.sleep(0)
    for i = #given_up, 1, -1 do given_up[i]:cancel() end
    for _, task in ipairs(kept) do assert.equal("one", task:await()) end
    for _, task in ipairs(given_up) do assert.equal("cancelled", task:status()) end
    assert.equal("done", one:status())
  end))

  it("wakes those who wait in the order they came", in_run(function()
    local one, order, tasks = rt.spawn(sleeper), {}, {}
    for i = 1, 20 do
      tasks[i] = rt.spawn(function()
        rt.settle(one)
        order[#order + 1] = i
      end)
    end
    rt.sleep(0)
    tasks[1]:cancel()
    tasks[7]:cancel()
    tasks[20]:cancel()
    rt.sleep(0)
    tasks[21] = rt.spawn(function()
      rt.settle(one)
      order[#order + 1] = 21
    end)
    rt.sleep(0)
    one:cancel()
    rt.settle(tasks)
    assert.same({ 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21 }, order)
  end, helper.unshuffled))
end)
