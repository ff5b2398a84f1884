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

--- All that the iterator hands out, as a list of {index, ok, value}.
local function all(next_one)
  local list = {}
  for index, ok, value in next_one do list[#list + 1] = { index, ok, value } end
  return list
end

describe("rt.as_completed", function()
  it("hands out index, true and first result in the order they end", in_run(function()
    assert.same({ { 2, true, "b" }, { 3, true, "c" }, { 1, true, "a" } },
      all(rt.as_completed { rt.spawn(later, 5, "a"), rt.spawn(later, 0, "b", "more"),
        rt.spawn(later, 2, "c") }))
  end))

  it("takes tasks as arguments", in_run(function()
    assert.same({ { 2, true, "b" }, { 1, true, "a" } },
      all(rt.as_completed(rt.spawn(later, 3, "a"), rt.spawn(later, 0, "b"))))
  end))

  it("hands out false and the error of one that failed", in_run(function()
    local value = {}
    local got = all(rt.as_completed(rt.spawn(later, 2, "a"), rt.spawn(fail_later, 0, value)))
    assert.is_false(got[1][2])
    assert.is_true(rawequal(value, got[1][3]))
    assert.same({ 1, true, "a" }, got[2])
  end))

  it("hands out nil for no result and for an error nil", in_run(function()
    assert.same({ { 1, true }, { 2, false } },
      all(rt.as_completed(rt.spawn(later, 0), rt.spawn(fail_later, 1, nil))))
  end))

  it("hands out a cancelled one as a failure of kind cancelled", in_run(function()
    local a = rt.spawn(sleeper)
    rt.spawn(function() a:cancel() end)
    for _, ok, err in rt.as_completed(a) do
      assert.is_false(ok)
      assert.equal("cancelled", rt.kind(err))
    end
  end))

  it("of nothing is an empty loop", in_run(function()
    assert.same({}, all(rt.as_completed()))
    assert.same({}, all(rt.as_completed {}))
  end))

  it("hands out first those that had ended before, as they ended", in_run(function()
    local a, b, c = rt.spawn(later, 3, "a"), rt.spawn(later, 1, "b"), rt.spawn(later, 9, "c")
    later(6)
    assert.same({ { 2, true, "b" }, { 1, true, "a" }, { 3, true, "c" } },
      all(rt.as_completed { a, b, c }))
  end))

  it("keeps the order of those that end while the loop is busy", in_run(function()
    local order = {}
    for index in rt.as_completed(rt.spawn(later, 0), rt.spawn(later, 3), rt.spawn(later, 2),
      rt.spawn(later, 1)) do
      order[#order + 1] = index
      later(10)
    end
    assert.same({ 1, 4, 3, 2 }, order)
  end))

  it("hands out both places of a task given twice", in_run(function()
    local a = rt.spawn(later, 1, "a")
    assert.same({ { 1, true, "a" }, { 2, true, "a" } }, all(rt.as_completed(a, a)))
    assert.same({ { 1, true, "a" }, { 2, true, "a" } }, all(rt.as_completed { a, a }))
  end))

  it("reads the list once, at the beginning", in_run(function()
    local list = { rt.spawn(later, 1, "a"), rt.spawn(later, 2, "b") }
    local next_one = rt.as_completed(list)
    list[1], list[2] = nil, nil
    collectgarbage()
    assert.equal(2, #all(next_one))
  end))

  it("ends again and again once all have been handed out", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 0))
    next_one()
    assert.is_nil(next_one())
    assert.is_nil(next_one())
  end))

  it("cancels nothing when the loop is left", in_run(function()
    local a, b = rt.spawn(later, 0, "a"), rt.spawn(later, 5, "b")
    for index in rt.as_completed(a, b) do
      if index == 1 then break end
    end
    assert.equal("b", b:await())
  end))

  it("may be left and collected while its tasks run", in_run(function()
    local tasks = {}
    for i = 1, 100 do tasks[i] = rt.spawn(later, i % 5, i) end
    for _ = 1, 20 do
      for index in rt.as_completed(tasks) do
        if index then break end
      end
      rt.as_completed(tasks)
    end
    collectgarbage()
    collectgarbage()
    local sum = 0
    for _, value in ipairs(rt.gather(tasks)) do sum = sum + value end
    assert.equal(5050, sum)
  end))

  it("may be gone on with after the loop was left", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 0, "a"), rt.spawn(later, 1, "b"))
    for index in next_one do
      if index == 1 then break end
    end
    assert.same({ { 2, true, "b" } }, all(next_one))
  end))

  it("may be taken from by a task that did not make it", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 2, "a"), rt.spawn(fail_later, 3, "b"))
    local taker = rt.spawn(all, next_one)
    assert.same({ { 1, true, "a" }, { 2, false, "b" } }, taker:await())
  end))

  it("may be taken from in turns by several tasks", in_run(function()
    local tasks, seen = {}, {}
    for i = 1, 10 do tasks[i] = rt.spawn(later, i) end
    later(20)
    local next_one = rt.as_completed(tasks)
    local function take()
      for index in next_one do
        seen[#seen + 1] = index
        rt.sleep(0)
      end
    end
    rt.gather(rt.spawn(take), rt.spawn(take), rt.spawn(take))
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, seen)
  end))

  it("refuses a second one to wait in it, naming the first", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 5, "a"))
    local first = rt.spawn(next_one)
    rt.sleep(0)
    assert.matches(first.id, refusal(next_one), 1, true)
    assert.equal(1, (first:await()))
  end))

  it("lets rt.traceback tell of the failures", in_run(function()
    for _, _, err in rt.as_completed(rt.spawn(fail_later, 1, "no")) do
      assert.matches("as_completed_spec.lua:%d+: in", rt.traceback(err))
    end
  end))

  it("hands out 10,000 tasks", in_run(function()
    local tasks, seen = {}, 0
    for i = 1, 10000 do tasks[i] = rt.spawn(later, i % 3, i) end
    for index, ok, value in rt.as_completed(tasks) do
      assert(ok and index == value)
      seen = seen + 1
    end
    assert.equal(10000, seen)
  end))

  it("lets go of what it has handed out", in_run(function()
    local slow = rt.spawn(sleeper)
    local next_one = rt.as_completed(rt.spawn(function() return {} end), slow)
    local weak = setmetatable({ (select(3, next_one())) }, { __mode = "v" })
    rt.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    slow:cancel()
  end))
end)

describe("a failure in rt.as_completed", function()
  it("is observed once it was handed out", function()
    assert.equal("fine", rt.run(function()
      for _ in rt.as_completed(rt.spawn(fail_later, 0, "a"), rt.spawn(fail_later, 1, "b")) do
        rt.sleep(0)
      end
      return "fine"
    end))
  end)

  it("is not observed when the loop was left before", function()
    local value = {}
    local ok, err = pcall(rt.run, function()
      local tasks = { rt.spawn(later, 0), rt.spawn(fail_later, 1, value) }
      rt.as_completed(tasks)()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("that had happened before is observed once it was handed out", function()
    assert.equal("fine", rt.run(function()
      local task = rt.spawn(fail_later, 0, "a")
      later(3)
      for _ in rt.as_completed(task) do later(1) end
      return "fine"
    end))
  end)

  it("is no warning if the loop waits for it", function()
    local _, said, status = helper.run { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local task = rt.spawn(function() rt.sleep(0) error "handled" end)
      for _, ok in rt.as_completed(task) do assert(not ok) end
    ]] }
    assert.equal("", said)
    assert.equal(0, status)
  end)
end)

describe("a step of rt.as_completed", function()
  it("is cancelled with its task, and another may take the next", in_run(function()
    local tasks = { rt.spawn(later, 5, "a"), rt.spawn(later, 6, "b") }
    local next_one = rt.as_completed(tasks)
    local waiter = rt.spawn(all, next_one)
    later(2)
    waiter:cancel()
    assert.same({ { 1, true, "a" }, { 2, true, "b" } }, all(next_one))
    assert.equal("cancelled", waiter:status())
  end))

  it("is cancelled before it has begun, and nothing is taken", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 1, "a"))
    local waiter = rt.spawn(all, next_one)
    waiter:cancel()
    assert.same({ { 1, true, "a" } }, all(next_one))
  end))

  it("has completed if it is cancelled after that", in_run(function()
    local task, got = rt.spawn(later, 2, "a"), nil
    local next_one = rt.as_completed(task)
    local waiter = rt.spawn(function() got = table.pack(next_one()) end)
    task:await()
    waiter:cancel()
    rt.settle(waiter)
    assert.same({ 1, true, "a", n = 3 }, got)
  end))

  it("is cancelled by a child, and the others' tasks run on", in_run(function()
    local foreign, waiter = rt.spawn(later, 10, "fine"), nil
    waiter = rt.spawn(function()
      rt.spawn(function() waiter:cancel() end)
      return all(rt.as_completed(foreign))
    end)
    assert.equal("fine", foreign:await())
    assert.equal("cancelled", waiter:status())
  end))

  it("of a cancelled task raises also where something is there to be taken", in_run(function()
    local task, reached = rt.spawn(later, 0, "a"), false
    task:await()
    local next_one = rt.as_completed(task)
    local waiter
    waiter = rt.spawn(function()
      waiter:cancel()
      next_one()
      reached = true
    end)
    rt.settle(waiter)
    assert.is_false(reached)
    assert.same({ { 1, true, "a" } }, all(next_one))
  end))
end)

describe("rt.as_completed refuses", function()
  it("what is no Task, naming its place", in_run(function()
    local task = rt.spawn(later, 2, "fine")
    assert.matches("argument 2", refusal(rt.as_completed, task, "text"), 1, true)
    assert.matches("item 2", refusal(rt.as_completed, { task, 7 }), 1, true)
    assert.matches("argument 1", refusal(rt.as_completed, nil), 1, true)
    assert.equal("fine", task:await())
  end))

  it("to be made or asked outside a run, naming rt.run", function()
    assert.matches("rt.run", refusal(rt.as_completed), 1, true)
    local next_one = rt.run(function() return (rt.as_completed(rt.spawn(later, 0))) end)
    assert.matches("rt.run", refusal(next_one), 1, true)
    assert.same({ { 1, true } }, rt.run(all, next_one))
  end)

  it("to be asked where Lua cannot wait", in_run(function()
    local next_one = rt.as_completed(rt.spawn(later, 2, "fine"))
    local message
    pcall(table.sort, { 1, 2, 3 }, function()
      message = refusal(next_one)
      return false
    end)
    assert.matches("rt.as_completed", message, 1, true)
    assert.same({ { 1, true, "fine" } }, all(next_one))
  end))

  it("to stand still unnoticed", function()
    local _, err = pcall(rt.run, function()
      local task
      task = rt.spawn(function() all(rt.as_completed(task)) end)
    end)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("rt.as_completed of 1 tasks, 1 still to end", tostring(err), 1, true)
  end)
end)
