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

describe("rt.any", function()
  it("returns the first result of the first to succeed, and its index", in_run(function()
    assert.same({ "c", 3, n = 2 }, table.pack(rt.any(rt.spawn(fail_later, 0, "no"),
      rt.spawn(sleeper), rt.spawn(later, 3, "c", "more"))))
  end))

  it("takes a list", in_run(function()
    assert.same({ "b", 2, n = 2 },
      table.pack(rt.any { rt.spawn(fail_later, 0, "no"), rt.spawn(later, 1, "b") }))
  end))

  it("returns nil for a success without a result", in_run(function()
    assert.same({ nil, 2, n = 2 },
      table.pack(rt.any(rt.spawn(fail_later, 0, "no"), rt.spawn(later, 1))))
  end))

  it("cancels the others, and they have ended when it returns", in_run(function()
    local closed = false
    local slow = rt.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      assert(guard)
      rt.sleep(3600)
    end)
    local quick = rt.spawn(later, 2, "b")
    assert.equal("b", (rt.any(slow, quick)))
    assert.is_true(closed)
    assert.equal("cancelled", slow:status())
    assert.matches(quick.id, rt.settle(slow)[1].error.reason, 1, true)
  end))

  it("cancels nothing when one fails", in_run(function()
    local a = rt.spawn(later, 5, "a")
    assert.equal("a", (rt.any(rt.spawn(fail_later, 0, "no"), a)))
  end))

  it("takes the first to have succeeded where several ended before", in_run(function()
    local a, b, c = rt.spawn(later, 3, "a"), rt.spawn(later, 1, "b"),
      rt.spawn(fail_later, 0, "no")
    local slow = rt.spawn(sleeper)
    later(6)
    assert.same({ "b", 2, n = 2 }, table.pack(rt.any(a, b, c, slow)))
    assert.equal("cancelled", slow:status())
  end))

  it("counts the failures as observed when one succeeds", function()
    assert.equal("fine", rt.run(function()
      local before = rt.spawn(fail_later, 0, "before")
      rt.sleep(0)
      return (rt.any(before, rt.spawn(fail_later, 0, "no"), rt.spawn(later, 3, "fine")))
    end))
  end)

  it("may be given a task twice", in_run(function()
    local a, b = rt.spawn(fail_later, 0, "no"), rt.spawn(later, 2, "b")
    assert.same({ "b", 3, n = 2 }, table.pack(rt.any(a, a, b, b)))
  end))

  it("refuses nothing at all", in_run(function()
    assert.matches("rt.any", refusal(rt.any), 1, true)
    refusal(rt.any, {})
  end))

  it("refuses what is no Task, naming its place, and cancels nothing", in_run(function()
    local task = rt.spawn(later, 2, "fine")
    assert.matches("argument 2", refusal(rt.any, task, nil), 1, true)
    assert.matches("item 1", refusal(rt.any, { {}, task }), 1, true)
    assert.equal("fine", task:await())
  end))
end)

describe("rt.any of tasks that all fail", function()
  it("raises an error of kind any with every failure, in the order of the tasks",
    in_run(function()
      local one, two = {}, {}
      local ok, err = pcall(rt.any, rt.spawn(fail_later, 3, one), rt.spawn(fail_later, 0, two),
        rt.spawn(fail_later, 1, "three"))
      assert.is_false(ok)
      assert.equal("any", rt.kind(err))
      assert.equal(3, #err.errors)
      assert.is_true(rawequal(one, err.errors[1]))
      assert.is_true(rawequal(two, err.errors[2]))
      assert.equal("three", err.errors[3])
    end))

  it("tells how many there were, and the first failure", in_run(function()
    local _, err = pcall(rt.any, rt.spawn(fail_later, 2, "late"), rt.spawn(fail_later, 0, "early"))
    assert.matches("all 2 tasks failed", tostring(err), 1, true)
    assert.matches("early", tostring(err), 1, true)
    assert.not_matches("\n", tostring(err))
  end))

  it("tells of the only one", in_run(function()
    local _, err = pcall(rt.any, rt.spawn(fail_later, 0, "no"))
    assert.matches("the only task failed: no", tostring(err), 1, true)
    assert.same({ "no" }, err.errors)
  end))

  it("does so too if they had failed before", in_run(function()
    local a, b = rt.spawn(fail_later, 1, "a"), rt.spawn(fail_later, 0, "b")
    later(5)
    local _, err = pcall(rt.any, a, b)
    assert.same({ "a", "b" }, err.errors)
    assert.matches(": b", tostring(err), 1, true)
  end))

  it("counts a cancelled one as a failure of kind cancelled", in_run(function()
    local a = rt.spawn(sleeper)
    rt.spawn(function() a:cancel("by hand") end)
    local _, err = pcall(rt.any, a, rt.spawn(fail_later, 3, "no"))
    assert.equal("any", rt.kind(err))
    assert.equal("cancelled", rt.kind(err.errors[1]))
    assert.equal("no", err.errors[2])
  end))

  it("has a hole where nil was raised", in_run(function()
    local _, err = pcall(rt.any, rt.spawn(fail_later, 0, nil), rt.spawn(fail_later, 0, "b"))
    assert.is_nil(err.errors[1])
    assert.equal("b", err.errors[2])
  end))

  it("counts them as observed, and its own error can be caught", function()
    assert.equal("fine", rt.run(function()
      pcall(rt.any, rt.spawn(fail_later, 0, "a"), rt.spawn(fail_later, 1, "b"))
      return "fine"
    end))
  end)

  it("lets rt.traceback tell of the error and of each failure", in_run(function()
    local _, err = pcall(rt.any, rt.spawn(fail_later, 0, "a"), rt.spawn(fail_later, 1, { "b" }))
    assert.matches("any_spec.lua", rt.traceback(err.errors[1]), 1, true)
    assert.matches("any_spec.lua:%d+: in", rt.traceback(err.errors[2]))
    local _, passed = pcall(rt.call, function()
      rt.any(rt.spawn(fail_later, 0, "a"))
    end)
    assert.matches("any_spec.lua", rt.traceback(passed), 1, true)
  end))
end)

describe("an rt.any given up", function()
  it("cancels its waiter's own tasks and lets the others run on", in_run(function()
    local own
    local foreign = rt.spawn(later, 10, "fine")
    local waiter = rt.spawn(function()
      own = rt.spawn(sleeper)
      return rt.any(foreign, own)
    end)
    later(2)
    waiter:cancel()
    assert.equal("fine", foreign:await())
    assert.equal("cancelled", waiter:status())
    assert.equal("cancelled", own:status())
  end))

  it("at the moment it has been decided returns the result", in_run(function()
    local got
    local winner = rt.spawn(later, 2, "won")
    local waiter = rt.spawn(function() got = table.pack(rt.any(winner)) end)
    winner:await()
    waiter:cancel()
    rt.settle(waiter)
    assert.same({ "won", 1, n = 2 }, got)
  end))

  it("leaves the failures it has seen unobserved", in_run(function()
    local value = {}
    local ok, err = pcall(rt.call, function()
      local bad, slow = rt.spawn(fail_later, 1, value), rt.spawn(sleeper)
      local waiter = rt.spawn(function() rt.any(bad, slow) end)
      later(4)
      waiter:cancel()
      slow:cancel()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end))
end)
