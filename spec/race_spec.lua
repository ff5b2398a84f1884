local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleeper, refusal = helper.in_run, helper.sleeper, helper.refusal

--- Gives way `turns` times, then returns the rest.
local function later(turns, ...)
  for _ = 1, turns do rt.sleep(0) end
  return ...
end

local function fail_later(turns, value)
  later(turns)
  error(value, 0)
end

describe("rt.race", function()
  it("returns the first result of the first to end, and its index", in_run(function()
    assert.same({ "b", 2, n = 2 }, table.pack(rt.race(rt.spawn(later, 5, "a"),
      rt.spawn(later, 1, "b", "more"), rt.spawn(sleeper))))
  end))

  it("takes a list", in_run(function()
    assert.same({ "b", 2, n = 2 },
      table.pack(rt.race { rt.spawn(sleeper), rt.spawn(later, 0, "b") }))
  end))

  it("of one task is its result", in_run(function()
    assert.same({ "a", 1, n = 2 }, table.pack(rt.race(rt.spawn(later, 2, "a"))))
  end))

  it("returns nil for a winner without a result", in_run(function()
    assert.same({ nil, 1, n = 2 }, table.pack(rt.race(rt.spawn(later, 0), rt.spawn(sleeper))))
  end))

  it("raises the failure of the first to end, as the same value", in_run(function()
    local value = {}
    local ok, err = pcall(rt.race, rt.spawn(later, 5, "fine"), rt.spawn(fail_later, 1, value))
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.matches("race_spec.lua", rt.traceback(err), 1, true)
  end))

  it("raises nil where nil was raised", in_run(function()
    assert.same({ false, nil, n = 2 },
      table.pack(pcall(rt.race, rt.spawn(sleeper), rt.spawn(fail_later, 1, nil))))
  end))

  it("has a cancelled task that ends first win, as a failure of kind cancelled",
    in_run(function()
      local a, b = rt.spawn(sleeper), rt.spawn(sleeper)
      rt.spawn(function() a:cancel("by hand") end)
      local ok, err = pcall(rt.race, a, b)
      assert.is_false(ok)
      assert.equal("cancelled", rt.kind(err))
      assert.equal("by hand", err.reason)
      assert.equal("cancelled", b:status())
    end))

  it("cancels the others, and they have ended when it returns", in_run(function()
    local closed = 0
    local function careful()
      local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      assert(guard)
      rt.sleep(3600)
    end
    local a, b, c = rt.spawn(careful), rt.spawn(later, 2, "b"), rt.spawn(careful)
    assert.equal("b", (rt.race(a, b, c)))
    assert.equal(2, closed)
    assert.equal("cancelled", a:status())
    assert.equal("cancelled", c:status())
  end))

  it("names the winner in the reason of the cancellation", in_run(function()
    local a, b = rt.spawn(sleeper), rt.spawn(later, 1)
    rt.race(a, b)
    local err = rt.settle(a)[1].error
    assert.equal("cancelled", rt.kind(err))
    assert.matches(b.id, err.reason, 1, true)
  end))

  it("cancels what has not begun: it never begins", in_run(function()
    local ran = 0
    local tasks = { rt.spawn(later, 0, "first") }
    for i = 2, 10 do tasks[i] = rt.spawn(function() ran = ran + 1 end) end
    assert.equal("first", (rt.race(tasks)))
    assert.equal(0, ran)
  end, helper.unshuffled))

  it("cancels also what others have spawned", in_run(function()
    local foreign
    rt.spawn(function() foreign = rt.spawn(sleeper) end)
    rt.sleep(0)
    rt.race(foreign, rt.spawn(later, 1))
    assert.equal("cancelled", foreign:status())
  end))

  it("has the first to have ended win where several ended before", in_run(function()
    local a, b, c = rt.spawn(later, 2, "a"), rt.spawn(later, 0, "b"), rt.spawn(sleeper)
    later(5)
    assert.same({ "b", 2, n = 2 }, table.pack(rt.race(a, b, c)))
    assert.equal("cancelled", c:status())
  end))

  it("has a failure from before win over a later result", in_run(function()
    local a, b = rt.spawn(later, 3, "a"), rt.spawn(fail_later, 0, "no")
    later(5)
    assert.same({ false, "no", n = 2 }, table.pack(pcall(rt.race, a, b)))
  end))

  it("may be given a task twice", in_run(function()
    local a = rt.spawn(later, 1, "a")
    assert.same({ "a", 1, n = 2 }, table.pack(rt.race(a, a)))
    assert.same({ "a", 1, n = 2 }, table.pack(rt.race { a, a }))
    local b = rt.spawn(sleeper)
    assert.same({ "c", 3, n = 2 }, table.pack(rt.race(b, b, rt.spawn(later, 0, "c"))))
    assert.equal("cancelled", b:status())
  end))

  it("counts its losers as observed", function()
    local function stubborn()
      local guard <close> = setmetatable({}, { __close = function() error "in cleanup" end })
      assert(guard)
      rt.sleep(3600)
    end
    assert.equal("won", rt.run(function()
      local before = rt.spawn(fail_later, 1, "before")
      local first = rt.spawn(later, 0, "won")
      later(5)
      return (rt.race(rt.spawn(stubborn), first, before))
    end))
  end)

  it("lets others run on that were not given to it", in_run(function()
    local other = rt.spawn(later, 5, "fine")
    rt.race(rt.spawn(later, 0), rt.spawn(sleeper))
    assert.equal("fine", other:await())
  end))

  it("may be run by several tasks on the same tasks", in_run(function()
    local tasks = { rt.spawn(sleeper), rt.spawn(later, 3, "b") }
    local waiters = {}
    for i = 1, 10 do waiters[i] = rt.spawn(function() return (rt.race(tasks)) end) end
    for i = 1, 10 do assert.equal("b", waiters[i]:await()) end
  end))

  it("takes 10,000 tasks", in_run(function()
    local tasks = {}
    for i = 1, 10000 do tasks[i] = rt.spawn(i == 5000 and later or sleeper, 1, i) end
    assert.same({ 5000, 5000, n = 2 }, table.pack(rt.race(tasks)))
  end))

  it("survives collections all the while", in_run(function()
    for _ = 1, 20 do
      local value = rt.race(rt.spawn(sleeper), rt.spawn(function()
        collectgarbage()
        later(1)
        collectgarbage()
        return { 7 }
      end))
      assert.same({ 7 }, value)
    end
  end))
end)

describe("a race given up", function()
  it("before it has begun never begins", in_run(function()
    local foreign, began = rt.spawn(later, 3, "fine"), false
    local waiter = rt.spawn(function()
      began = true
      return rt.race(foreign)
    end)
    waiter:cancel()
    assert.equal("fine", foreign:await())
    assert.is_false(began)
  end))

  it("cancels its waiter's own tasks and lets the others run on", in_run(function()
    local own
    local foreign = rt.spawn(later, 10, "fine")
    local waiter = rt.spawn(function()
      own = rt.spawn(sleeper)
      return rt.race(foreign, own)
    end)
    later(2)
    waiter:cancel()
    assert.equal("fine", foreign:await())
    assert.equal("cancelled", waiter:status())
    assert.equal("cancelled", own:status())
  end))

  it("by a child of the waiter lets the others run on", in_run(function()
    local foreign, waiter = rt.spawn(later, 10, "fine"), nil
    waiter = rt.spawn(function()
      rt.spawn(function() waiter:cancel() end)
      return rt.race(foreign)
    end)
    assert.equal("fine", foreign:await())
    assert.equal("cancelled", waiter:status())
  end))

  it("at the moment it has been decided returns the winner", in_run(function()
    local got
    local winner = rt.spawn(later, 2, "won")
    local waiter = rt.spawn(function() got = table.pack(rt.race(winner)) end)
    winner:await()
    waiter:cancel()
    rt.settle(waiter)
    assert.same({ "won", 1, n = 2 }, got)
    assert.equal("done", waiter:status())
  end))

  it("while its losers end gives no winner", in_run(function()
    local function deep(n)
      if n == 0 then return sleeper() end
      rt.spawn(deep, n - 1):await()
    end
    local got
    local loser, winner = rt.spawn(deep, 20), rt.spawn(later, 30, "won")
    local waiter = rt.spawn(function() got = table.pack(rt.race(loser, winner)) end)
    winner:await()
    assert.equal("running", loser:status())
    waiter:cancel()
    rt.settle(waiter, loser)
    assert.is_nil(got)
    assert.equal("cancelled", waiter:status())
    assert.equal("cancelled", loser:status())
  end))

  it("ends also where it stands below one of the losers", in_run(function()
    local outer, waiter
    outer = rt.spawn(function()
      waiter = rt.spawn(function()
        return rt.race(outer, rt.spawn(later, 2))
      end)
      rt.sleep(3600)
    end)
    assert.equal("cancelled", rt.kind(rt.settle(outer)[1].error))
    assert.equal("cancelled", waiter:status())
  end))

  it("ends also where it cancels itself at once", in_run(function()
    local done, outer, waiter = rt.spawn(later, 0), nil, nil
    outer = rt.spawn(function()
      waiter = rt.spawn(function()
        later(3)
        return rt.race(outer, done)
      end)
      rt.sleep(3600)
    end)
    assert.equal("cancelled", rt.kind(rt.settle(outer)[1].error))
    assert.equal("cancelled", waiter:status())
  end))
end)

describe("rt.race refuses", function()
  it("nothing", in_run(function()
    assert.matches("rt.race", refusal(rt.race), 1, true)
    refusal(rt.race, {})
    refusal(rt.race, { n = 0 })
  end))

  it("what is no Task, naming its place, and cancels nothing", in_run(function()
    local task = rt.spawn(later, 2, "fine")
    assert.matches("argument 2", refusal(rt.race, task, "text"), 1, true)
    assert.matches("item 2", refusal(rt.race, { task, 7 }), 1, true)
    assert.equal("fine", task:await())
  end))

  it("a hole, naming it", in_run(function()
    local task = rt.spawn(later, 2, "fine")
    assert.matches("item 2", refusal(rt.race, { [1] = task, [3] = task }), 1, true)
    assert.equal("fine", task:await())
  end))

  it("the call it is called by, as a deadlock", in_run(function()
    local task
    task = rt.spawn(function()
      local ok, err = pcall(rt.race, task, rt.spawn(later, 1))
      assert.is_false(ok)
      assert.equal("deadlock", rt.kind(err))
    end)
    task:await()
  end))

  it("to be called outside a run, naming rt.run", function()
    local task = rt.run(function() return (rt.spawn(later, 0)) end)
    assert.matches("rt.run", refusal(rt.race, task), 1, true)
  end)

  it("to wait where Lua cannot, and cancels nothing", in_run(function()
    local task = rt.spawn(later, 2, "fine")
    local message
    pcall(table.sort, { 1, 2, 3 }, function()
      message = refusal(rt.race, task)
      return false
    end)
    assert.matches("rt.race", message, 1, true)
    assert.equal("fine", task:await())
  end))
end)

describe("a race that stands still", function()
  it("is described by its name and who is still to end", function()
    local _, err = pcall(rt.run, function()
      local a, b
      a = rt.spawn(function() rt.race(b) end)
      b = rt.spawn(function() rt.race(a) end)
      rt.race(a, b)
    end)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("rt.race of 2 tasks, 2 still to end", tostring(err), 1, true)
  end)
end)
