local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleeper, unshuffled = helper.in_run, helper.sleeper, helper.unshuffled

--- Gives way `turns` times, then returns the rest.
local function later(turns, ...)
  for _ = 1, turns do rt.sleep(0) end
  return ...
end

local function fail_later(turns, value)
  later(turns)
  error(value, 0)
end

for _, name in ipairs { "gather", "settle" } do
  local wait = rt[name]

  describe("rt." .. name, function()
    it("takes tasks as arguments", in_run(function()
      assert.equal(2, wait(rt.spawn(later, 0, 1), rt.spawn(later, 0, 2)).n)
    end))

    it("takes tasks as a list", in_run(function()
      assert.equal(2, wait({ rt.spawn(later, 0, 1), rt.spawn(later, 0, 2) }).n)
    end))

    it("takes a list with n", in_run(function()
      assert.equal(1, wait({ rt.spawn(later, 0), rt.spawn(later, 0), n = 1 }).n)
    end))

    it("of nothing is {n=0}", in_run(function()
      assert.same({ n = 0 }, wait())
      assert.same({ n = 0 }, wait {})
      assert.same({ n = 0 }, wait { n = 0 })
    end))

    it("waits for all of them", in_run(function()
      local tasks = {}
      for i = 1, 100 do tasks[i] = rt.spawn(later, i % 7) end
      wait(tasks)
      for i = 1, 100 do assert.equal("done", tasks[i]:status()) end
    end))

    it("leaves the list as it was", in_run(function()
      local a, b = rt.spawn(later, 1, 1), rt.spawn(later, 0, 2)
      local list = { a, b }
      wait(list)
      assert.equal(a, list[1])
      assert.equal(b, list[2])
      assert.is_nil(list.n)
    end))

    it("reads the list once, at the beginning", in_run(function()
      local list = { rt.spawn(later, 1), rt.spawn(later, 1) }
      rt.spawn(function() list[1], list[2] = nil, nil end)
      assert.equal(2, wait(list).n)
    end))

    it("takes tasks that have ended before", in_run(function()
      local tasks = { rt.spawn(later, 0), rt.spawn(later, 0) }
      later(3)
      assert.equal(2, wait(tasks).n)
    end))

    it("takes tasks that somebody else spawned", in_run(function()
      local tasks = {}
      local owner = rt.spawn(function()
        for i = 1, 3 do tasks[i] = rt.spawn(later, 2) end
      end)
      rt.sleep(0)
      assert.equal(3, wait(tasks).n)
      owner:await()
    end))

    it("takes tasks of a run that has ended", function()
      local task = rt.run(function() return (rt.spawn(later, 0, 5)) end)
      assert.equal(1, rt.run(function() return wait(task).n end))
    end)

    it("takes 100,000 tasks", in_run(function()
      local tasks = {}
      for i = 1, 100000 do tasks[i] = rt.spawn(math.abs, -i) end
      assert.equal(100000, wait(tasks).n)
    end))

    it("takes 200 tasks as arguments", in_run(function()
      local tasks = {}
      for i = 1, 200 do tasks[i] = rt.spawn(math.abs, -i) end
      assert.equal(200, wait(table.unpack(tasks)).n)
    end))

    it("refuses a non-Task among the arguments, naming its place", in_run(function()
      local ok, err = pcall(wait, rt.spawn(later, 0), "text")
      assert.is_false(ok)
      assert.equal("usage", rt.kind(err))
      assert.matches("2", tostring(err), 1, true)
      assert.matches("string", tostring(err), 1, true)
    end))

    it("refuses a non-Task in the list, naming its place", in_run(function()
      local ok, err = pcall(wait, { rt.spawn(later, 0), rt.spawn(later, 0), 7 })
      assert.is_false(ok)
      assert.equal("usage", rt.kind(err))
      assert.matches("3", tostring(err), 1, true)
      assert.matches("number", tostring(err), 1, true)
    end))

    it("refuses a hole in a list with n, naming its place", in_run(function()
      local ok, err = pcall(wait, { rt.spawn(later, 0), nil, rt.spawn(later, 0), n = 3 })
      assert.is_false(ok)
      assert.equal("usage", rt.kind(err))
      assert.matches("2", tostring(err), 1, true)
    end))

    it("refuses a hole behind which there is more, naming its place", in_run(function()
      local task = rt.spawn(later, 0)
      assert.matches("item 2", helper.refusal(wait, { task, nil, task }), 1, true)
      assert.matches("item 2", helper.refusal(wait, { [1] = task, [3] = task }), 1, true)
      assert.matches("item 1", helper.refusal(wait, { [2] = task }), 1, true)
      local list = {}
      for i = 1, 100 do list[i] = task end
      list[50] = nil
      assert.matches("item 50", helper.refusal(wait, list), 1, true)
      assert.matches("item 3", helper.refusal(wait, { task, task, n = 3 }), 1, true)
      assert.matches("item 1", helper.refusal(wait, { n = 2000000000 }), 1, true)
    end))

    it("refuses keys that no list has, naming them", in_run(function()
      local task = rt.spawn(later, 0)
      assert.matches('"first"', helper.refusal(wait, { first = task }), 1, true)
      assert.matches('"first"', helper.refusal(wait, { task, first = task }), 1, true)
      assert.matches("1.5", helper.refusal(wait, { task, [1.5] = task }), 1, true)
      assert.matches("0", helper.refusal(wait, { [0] = task, task }), 1, true)
      assert.matches("boolean", helper.refusal(wait, { task, [true] = task }), 1, true)
    end))

    it("refuses an n that is no length", in_run(function()
      local task = rt.spawn(later, 0)
      for shown, n in pairs { ["1.5"] = 1.5, ["-1"] = -1, ["1e+300"] = 1e300,
        ["string \"1\""] = "1", ["boolean"] = false, ["1099511627776 long"] = 1 << 40 } do
        local text = helper.refusal(wait, { task, n = n })
        assert.matches("rt." .. name, text, 1, true)
        assert.matches(shown:gsub("[-+.]", "%%%0"), text)
      end
      assert.equal(1, wait({ task, n = 1.0 }).n)
    end))

    it("takes a list that was filled from its end", in_run(function()
      local list = {}
      for i = 100, 1, -1 do list[i] = rt.spawn(later, 0) end
      assert.equal(100, wait(list).n)
    end))

    it("takes a list with a metatable", in_run(function()
      local tasks = { rt.spawn(later, 0), rt.spawn(later, 1) }
      assert.equal(2, wait(setmetatable({ unused = true }, { __index = tasks,
        __len = function() return 2 end })).n)
      assert.equal(2, wait(setmetatable(tasks, { __name = "list" })).n)
    end))

    it("refuses nil among the arguments", in_run(function()
      for _, args in ipairs { table.pack(nil), table.pack(rt.spawn(later, 0), nil) } do
        local ok, err = pcall(wait, table.unpack(args, 1, args.n))
        assert.is_false(ok)
        assert.equal("usage", rt.kind(err))
      end
    end))

    it("refuses a node, a function and another library's userdata", in_run(function()
      for _, value in ipairs { rt.function_node("n", later), later, io.stdout } do
        assert.equal("usage", rt.kind(select(2, pcall(wait, value))))
      end
    end))

    it("has cancelled and observed nothing when it refuses", in_run(function()
      local value = {}
      local task = rt.spawn(later, 2, value)
      pcall(wait, task, 1)
      assert.equal(value, task:await())
      local ok, err = pcall(rt.call, function()
        pcall(wait, rt.spawn(fail_later, 0, value), 1)
      end)
      assert.is_false(ok)
      assert.equal(value, err)
    end))

    it("may be called by many tasks on the same tasks", in_run(function()
      local tasks, waiters = {}, {}
      for i = 1, 10 do tasks[i] = rt.spawn(later, i) end
      for i = 1, 100 do waiters[i] = rt.spawn(function() return wait(tasks).n end) end
      for i = 1, 100 do assert.equal(10, waiters[i]:await()) end
    end))

    it("ends at once when all have ended", in_run(function()
      local a = rt.spawn(later, 0)
      a:await()
      local passed = false
      rt.spawn(function() passed = true end)
      wait(a)
      assert.is_false(passed)
      rt.sleep(0)
    end))
  end)
end

describe("rt.gather", function()
  it("returns the first results in the order of the tasks", in_run(function()
    local results = rt.gather(rt.spawn(later, 5, "a", "x"), rt.spawn(later, 0, "b", "y"),
      rt.spawn(later, 2, "c"))
    assert.same({ "a", "b", "c", n = 3 }, results)
  end))

  it("keeps nil results in their places", in_run(function()
    local results = rt.gather { rt.spawn(later, 0), rt.spawn(later, 0, 2), rt.spawn(later, 0, nil) }
    assert.same({ nil, 2, nil, n = 3 }, results)
  end))

  it("keeps false results", in_run(function()
    assert.same({ false, n = 1 }, rt.gather(rt.spawn(later, 0, false)))
  end))

  it("returns a result of a task given twice in both places", in_run(function()
    local a, b = rt.spawn(later, 2, "a"), rt.spawn(later, 0, "b")
    assert.same({ "a", "b", "a", n = 3 }, rt.gather(a, b, a))
    assert.same({ "a", "b", "a", n = 3 }, rt.gather { a, b, a })
  end))

  it("of a task given twice that fails raises its failure", in_run(function()
    local value = {}
    local a = rt.spawn(fail_later, 2, value)
    local _, err = pcall(rt.gather, a, a)
    assert.equal(value, err)
  end))

  it("raises the first failure as the same value", in_run(function()
    local value = {}
    local ok, err = pcall(rt.gather, rt.spawn(sleeper), rt.spawn(fail_later, 1, value),
      rt.spawn(fail_later, 3, "later"))
    assert.is_false(ok)
    assert.equal(value, err)
  end))

  it("raises nil where nil was raised", in_run(function()
    assert.same({ false, nil, n = 2 },
      table.pack(pcall(rt.gather, rt.spawn(sleeper), rt.spawn(fail_later, 1, nil))))
  end))

  it("cancels the others when one fails, and they have ended before it is raised",
    in_run(function()
      local a, b, c = rt.spawn(sleeper), rt.spawn(fail_later, 1, "no"), rt.spawn(sleeper)
      pcall(rt.gather, a, b, c)
      assert.equal("cancelled", a:status())
      assert.equal("failed", b:status())
      assert.equal("cancelled", c:status())
    end))

  it("cancels what has not begun when one fails: it never begins", in_run(function()
    local ran = 0
    local tasks = { rt.spawn(error, "no") }
    for i = 2, 10 do tasks[i] = rt.spawn(function() ran = ran + 1 end) end
    pcall(rt.gather, tasks)
    assert.equal(0, ran)
  end, unshuffled))

  it("cancels also what others have spawned", in_run(function()
    local foreign
    rt.spawn(function() foreign = rt.spawn(sleeper) end)
    rt.sleep(0)
    pcall(rt.gather, foreign, rt.spawn(fail_later, 1, "no"))
    assert.equal("cancelled", foreign:status())
  end))

  it("waits for what the cancelled ones do in their cleanup", in_run(function()
    local closed = false
    local function careful()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      assert(guard)
      rt.sleep(3600)
    end
    local task = rt.spawn(careful)
    rt.sleep(0)
    pcall(rt.gather, task, rt.spawn(fail_later, 1, "no"))
    assert.is_true(closed)
  end))

  it("leaves those done before the failure done", in_run(function()
    local a, b = rt.spawn(later, 0, 5), rt.spawn(fail_later, 3, "no")
    pcall(rt.gather, a, b)
    assert.equal(5, a:await())
  end))

  it("names the failed one in the reason of the cancellation", in_run(function()
    local a, b = rt.spawn(sleeper), rt.spawn(fail_later, 1, "no")
    pcall(rt.gather, a, b)
    local err = rt.settle(a)[1].error
    assert.equal("cancelled", rt.kind(err))
    assert.matches(b.id, tostring(err), 1, true)
  end))

  it("raises the earliest failure of tasks that had failed before", in_run(function()
    local early, late = {}, {}
    local a, b = rt.spawn(fail_later, 2, late), rt.spawn(fail_later, 0, early)
    later(5)
    local _, err = pcall(rt.gather, a, b)
    assert.equal(early, err)
  end))

  it("raises a failure from before at once and cancels the others", in_run(function()
    local value = {}
    local a, b = rt.spawn(fail_later, 0, value), rt.spawn(sleeper)
    later(3)
    local _, err = pcall(rt.gather, b, a)
    assert.equal(value, err)
    assert.equal("cancelled", b:status())
  end))

  it("raises that a member was cancelled, as a failure of kind cancelled", in_run(function()
    local a, b = rt.spawn(sleeper), rt.spawn(sleeper)
    rt.spawn(function() a:cancel("by hand") end)
    local ok, err = pcall(rt.gather, a, b)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.equal("by hand", err.reason)
    assert.equal("cancelled", b:status())
  end))

  it("leaves the caller able to go on after a failure", in_run(function()
    pcall(rt.gather, rt.spawn(fail_later, 0, "no"), rt.spawn(sleeper))
    assert.same({ 1, n = 1 }, rt.gather(rt.spawn(later, 1, 1)))
  end))

  it("counts later failures as observed", function()
    assert.equal("fine", rt.run(function()
      local function stubborn()
        local guard <close> = setmetatable({}, { __close = function() error "in cleanup" end })
        assert(guard)
        rt.sleep(3600)
      end
      local a = rt.spawn(stubborn)
      rt.sleep(0)
      pcall(rt.gather, rt.spawn(fail_later, 0, "first"), a)
      return "fine"
    end))
  end)

  it("may be nested", in_run(function()
    local function sum(depth)
      if depth == 0 then return 1 end
      local halves = rt.gather(rt.spawn(sum, depth - 1), rt.spawn(sum, depth - 1))
      return halves[1] + halves[2]
    end
    assert.equal(1024, rt.call(sum, 10))
  end))

  it("of nested gathers raises the innermost failure through all", in_run(function()
    local value = {}
    local function tree(depth)
      if depth == 0 then fail_later(1, value) end
      rt.gather(rt.spawn(tree, depth - 1), rt.spawn(sleeper))
    end
    local _, err = pcall(rt.call, tree, 20)
    assert.equal(value, err)
  end))

  it("survives collections all the while", in_run(function()
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = rt.spawn(function()
        collectgarbage()
        later(i % 3)
        collectgarbage()
        return { i }
      end)
    end
    local results = rt.gather(tasks)
    for i = 1, 50 do assert.same({ i }, results[i]) end
  end))
end)

describe("rt.settle", function()
  it("returns every outcome in the order of the tasks", in_run(function()
    local value = {}
    local outcomes = rt.settle(rt.spawn(later, 3, "a"), rt.spawn(fail_later, 0, value),
      rt.spawn(later, 1, "c", "more"))
    assert.equal(3, outcomes.n)
    assert.same({ ok = true, value = "a" }, outcomes[1])
    assert.is_false(outcomes[2].ok)
    assert.is_true(rawequal(value, outcomes[2].error))
    assert.same({ ok = true, value = "c" }, outcomes[3])
  end))

  it("has no value for a task that returned nothing or nil", in_run(function()
    assert.same({ { ok = true }, { ok = true }, n = 2 },
      rt.settle(rt.spawn(later, 0), rt.spawn(later, 0, nil)))
  end))

  it("has false for a task that returned false", in_run(function()
    assert.same({ { ok = true, value = false }, n = 1 }, rt.settle(rt.spawn(later, 0, false)))
  end))

  it("has no error for a task that raised nil", in_run(function()
    assert.same({ { ok = false }, n = 1 }, rt.settle(rt.spawn(fail_later, 0, nil)))
  end))

  it("has the error false of a task that raised false", in_run(function()
    assert.same({ { ok = false, error = false }, n = 1 },
      rt.settle(rt.spawn(fail_later, 0, false)))
  end))

  it("cancels nothing when one fails", in_run(function()
    local outcomes = rt.settle(rt.spawn(fail_later, 0, "no"), rt.spawn(later, 5, "fine"))
    assert.equal("fine", outcomes[2].value)
  end))

  it("gives the outcomes of tasks that had ended before", in_run(function()
    local a, b = rt.spawn(later, 0, 1), rt.spawn(fail_later, 0, "no")
    later(3)
    assert.same({ { ok = true, value = 1 }, { ok = false, error = "no" }, n = 2 },
      rt.settle { a, b })
  end))

  it("has an error of kind cancelled for a cancelled task", in_run(function()
    local task = rt.spawn(sleeper)
    rt.sleep(0)
    task:cancel()
    local outcome = rt.settle(task)[1]
    assert.is_false(outcome.ok)
    assert.equal("cancelled", rt.kind(outcome.error))
  end))

  it("gives an outcome of its own for each place of a task given twice", in_run(function()
    local a = rt.spawn(later, 1, "a")
    local outcomes = rt.settle(a, a)
    assert.same({ { ok = true, value = "a" }, { ok = true, value = "a" }, n = 2 }, outcomes)
    assert.is_false(rawequal(outcomes[1], outcomes[2]))
  end))

  it("lets rt.traceback tell of the failures", in_run(function()
    local outcome = rt.settle(rt.spawn(fail_later, 1, "no"))[1]
    assert.matches("gather_spec.lua:%d+: in", rt.traceback(outcome.error))
  end))
end)

describe("a cancelled gather", function()
  it("that had not begun never begins", function()
    rt.run(function()
      local foreign, began = rt.spawn(later, 3, "alive"), false
      local waiter = rt.spawn(function()
        began = true
        rt.gather(foreign)
      end)
      waiter:cancel()
      assert.equal("alive", foreign:await())
      assert.is_false(began)
    end)
  end)

  it("at the moment all have ended returns the results", function()
    rt.run(function()
      local got
      local task = rt.spawn(later, 2, "a")
      local waiter = rt.spawn(function() got = rt.gather(task) end)
      task:await()
      waiter:cancel()
      rt.settle(waiter)
      assert.same({ "a", n = 1 }, got)
    end)
  end)

  it("by a child leaves tasks alone that its caller did not start", function()
    rt.run(function()
      local foreign, waiter = rt.spawn(later, 10, "alive"), nil
      waiter = rt.spawn(function()
        rt.spawn(function() waiter:cancel() end)
        rt.gather(foreign)
      end)
      assert.equal("alive", foreign:await())
      assert.equal("cancelled", waiter:status())
    end)
  end)

  it("leaves tasks alone that its caller did not start", function()
    rt.run(function()
      local foreign = rt.spawn(function() rt.sleep(0.01) return "alive" end)
      local waiter = rt.spawn(function()
        return rt.gather(foreign, rt.spawn(rt.sleep, 60))
      end)
      rt.sleep(0.001)
      waiter:cancel()
      assert.is_false((pcall(waiter.await, waiter)))
      assert.equal("alive", foreign:await())
    end)
  end)

  it("looks at each item of its list once", function()
    rt.run(function()
      local task, looks = rt.spawn(function() end), 0
      task:await()
      local list = setmetatable({}, {
        __len = function() return 1 end,
        __index = function(_, key)
          if key == "n" then return nil end
          looks = looks + 1
          return looks == 1 and task or 42
        end,
      })
      assert.equal(1, rt.gather(list).n)
      assert.equal(1, looks)
    end)
  end)
end)
