local helper = require "spec.helper"
local rt = require "railtracks"

local closing = helper.closing
local in_run, unshuffled = helper.in_run, helper.unshuffled

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

--- How many permits nobody has.
local function free(sem) return tonumber(tostring(sem):match "%((%d+) of") end

local function refuses(pattern, ...)
  assert.matches(pattern, helper.refusal(...), 1, true)
end

describe("rt.semaphore", function()
  it("takes a whole number of at least 1", function()
    assert.equal(1, free(rt.semaphore(1)))
    assert.equal(3, free(rt.semaphore(3.0)))
    assert.equal(math.maxinteger, free(rt.semaphore(math.maxinteger)))
  end)

  it("refuses anything else, saying what it got", function()
    for _, given in ipairs { 0, -1, 1.5, math.huge, -math.huge, 0 / 0, 2 ^ 70 } do
      refuses(tostring(given), rt.semaphore, given)
    end
    for _, given in ipairs { "2", {}, true, print } do
      refuses("got " .. type(given), rt.semaphore, given)
    end
    refuses("got nil", rt.semaphore, nil)
    refuses("rt.semaphore: argument 1", rt.semaphore)
  end)

  it("may be made outside a run and used in several, one after the other", function()
    local sem = rt.semaphore(1)
    for _ = 1, 3 do
      rt.run(function()
        sem:acquire()
        sem:release()
      end)
    end
    assert.equal(1, free(sem))
  end)

  it("keeps its permits from one run to the next", function()
    local sem = rt.semaphore(1)
    rt.run(sem.acquire, sem)
    assert.equal("deadlock", rt.kind(select(2, pcall(rt.run, sem.acquire, sem))))
    sem:release()
    rt.run(sem.acquire, sem)
  end)

  it("is shared by a run and one inside it", in_run(function()
    local sem, order = rt.semaphore(1), {}
    sem:acquire()
    local inner = rt.spawn(function()
      rt.run(function()
        sem:acquire()
        order[#order + 1] = "inner"
        sem:release()
      end)
    end)
    later(5)
    order[#order + 1] = "outer"
    sem:release()
    inner:await()
    assert.same({ "outer", "inner" }, order)
  end))

  it("tells its number, its permits and where it was made", function()
    local sem = rt.semaphore(7)
    local line = debug.getinfo(1, "l").currentline - 1
    assert.matches("^Semaphore %d+ %(7 of 7 permits free, made at .*semaphore_spec.lua:" .. line
      .. "%)$", tostring(sem))
    assert.not_equal(tostring(sem):match "%d+", tostring(rt.semaphore(7)):match "%d+")
  end)

  it("does not show its metatable", function()
    assert.equal("railtracks.Semaphore", getmetatable(rt.semaphore(1)))
  end)

  it("that nobody has is collected", function()
    local kept = setmetatable({}, { __mode = "v" })
    rt.run(function()
      kept[1] = rt.semaphore(1)
      kept[1]:with(later, 1)
    end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(kept[1])
  end)
end)

describe("semaphore:acquire", function()
  it("does not wait while a permit is free", in_run(function()
    local sem, ran = rt.semaphore(3), false
    rt.spawn(function() ran = true end)
    for _ = 1, 3 do sem:acquire() end
    assert.is_false(ran)
    assert.equal(0, free(sem))
  end))

  it("returns nothing", in_run(function()
    local sem = rt.semaphore(1)
    assert.equal(0, select("#", sem:acquire()))
    local waiter = rt.spawn(function() return select("#", sem:acquire()) end)
    later(1)
    assert.equal(0, select("#", sem:release()))
    assert.equal(0, waiter:await())
  end))

  it("waits until a permit is given back", in_run(function()
    local sem, got = rt.semaphore(2), false
    sem:acquire()
    sem:acquire()
    local waiter = rt.spawn(function()
      sem:acquire()
      got = true
    end)
    later(10)
    assert.is_false(got)
    sem:release()
    assert.is_false(got)
    waiter:await()
    assert.is_true(got)
  end))

  it("lets at most n have a permit", in_run(function()
    local sem, inside, most = rt.semaphore(3), 0, 0
    local list = {}
    for i = 1, 200 do list[i] = i end
    rt.map(function(i)
      sem:acquire()
      inside = inside + 1
      most = math.max(most, inside)
      later(i % 4)
      inside = inside - 1
      sem:release()
    end, list)
    assert.equal(3, most)
    assert.equal(3, free(sem))
  end))

  it("is first come, first served", in_run(function()
    local sem, order, tasks = rt.semaphore(1), {}, {}
    sem:acquire()
    for i = 1, 100 do
      tasks[i] = rt.spawn(function()
        sem:acquire()
        order[#order + 1] = i
        later(i % 3)
        sem:release()
      end)
    end
    later(1)
    sem:release()
    rt.gather(tasks)
    for i = 1, 100 do assert.equal(i, order[i]) end
  end, unshuffled))

  it("does not overtake those that wait already", in_run(function()
    local sem, order = rt.semaphore(1), {}
    sem:acquire()
    local waiter = rt.spawn(function()
      sem:acquire()
      order[#order + 1] = "waiter"
      sem:release()
    end)
    later(1)
    sem:release()
    sem:acquire()
    order[#order + 1] = "who came back"
    sem:release()
    waiter:await()
    assert.same({ "waiter", "who came back" }, order)
  end, unshuffled))

  it("gives each of four tasks the same share", in_run(function()
    local sem, shares, stop = rt.semaphore(1), { 0, 0, 0, 0 }, false
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = rt.spawn(function()
        while not stop do
          sem:acquire()
          shares[i] = shares[i] + 1
          stop = stop or shares[i] == 250
          rt.sleep(0)
          sem:release()
        end
      end)
    end
    rt.gather(tasks)
    for i = 1, 4 do assert.is_true(shares[i] >= 249, shares[i]) end
  end))

  it("serves thousands of waiters", in_run(function()
    local sem, count, tasks = rt.semaphore(1), 0, {}
    sem:acquire()
    for i = 1, 20000 do
      tasks[i] = rt.spawn(function()
        sem:acquire()
        count = count + 1
        sem:release()
      end)
    end
    later(1)
    sem:release()
    rt.gather(tasks)
    assert.equal(20000, count)
    assert.equal(1, free(sem))
  end))

  it("outside a run is an error that names rt.run, and takes no permit", function()
    local sem = rt.semaphore(1)
    refuses("rt.run", sem.acquire, sem)
    refuses("semaphore:acquire", sem.acquire, sem)
    refuses("semaphore:with", sem.with, sem, print)
    assert.equal(1, free(sem))
  end)

  it("where Lua cannot wait is an error, also while a permit is free", in_run(function()
    local sem = rt.semaphore(1)
    refuses("semaphore:acquire", string.gsub, "x", "x", function() sem:acquire() end)
    assert.equal(1, free(sem))
  end))

  it("raises the cancellation of its task, also while a permit is free", in_run(function()
    local sem, after = rt.semaphore(1), false
    local task
    task = rt.spawn(function()
      task:cancel "enough"
      sem:acquire()
      after = true
    end)
    assert.equal("cancelled", rt.kind(rt.settle(task)[1].error))
    assert.is_false(after)
    assert.equal(1, free(sem))
  end))

  it("of something else is an error that shows the colon", in_run(function()
    local sem = rt.semaphore(1)
    refuses("got nothing (a method wants a colon)", sem.acquire)
    refuses("got number", sem.acquire, 1)
    refuses("got userdata", sem.release, io.stdout)
    refuses("got table", sem.with, {}, print)
    refuses("got userdata", sem.acquire, rt.channel())
  end))
end)

describe("semaphore:release", function()
  it("beyond n is an error, and changes nothing", in_run(function()
    local sem = rt.semaphore(2)
    refuses("semaphore:release", sem.release, sem)
    sem:acquire()
    sem:release()
    refuses("semaphore:release", sem.release, sem)
    assert.equal(2, free(sem))
  end))

  it("may be called by any task", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    rt.call(function() sem:release() end)
    assert.equal(1, free(sem))
  end))

  it("may be called outside a run", function()
    local sem = rt.semaphore(1)
    rt.run(sem.acquire, sem)
    sem:release()
    assert.equal(1, free(sem))
  end)

  it("may be called where Lua cannot wait", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    local waiter = rt.spawn(sem.acquire, sem)
    later(1)
    string.gsub("x", "x", function() sem:release() end)
    waiter:await()
  end))

  it("may be called by the cleanup of a cancelled task", in_run(function()
    local sem = rt.semaphore(1)
    local holder = rt.spawn(function()
      sem:acquire()
      local guard <close> = closing(function() sem:release() end)
      assert(guard)
      rt.sleep(3600)
    end)
    local waiter = rt.spawn(sem.acquire, sem)
    later(1)
    holder:cancel()
    waiter:await()
    assert.equal(0, free(sem))
  end))

  it("is nobody's business at the end of a task: acquire alone keeps the permit",
    in_run(function()
      local sem = rt.semaphore(1)
      rt.call(sem.acquire, sem)
      pcall(rt.call, function() error "no" end)
      assert.equal(0, free(sem))
    end))
end)

describe("a run whose tasks wait for permits only", function()
  it("fails with a deadlock error that lists who waits for what", function()
    local sem = rt.semaphore(2)
    local line = debug.getinfo(1, "l").currentline - 1
    local ok, err = pcall(rt.run, function()
      sem:acquire()
      sem:acquire()
      local task = rt.spawn(sem.acquire, sem)
      rt.spawn(sem.with, sem, print)
      task:await()
    end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    local where = "semaphore %d+ %(2 permits, made at .*semaphore_spec.lua:" .. line .. "%)"
    assert.matches("call 1 %(.-%) waits for task 1.1 ", tostring(err))
    assert.matches("call 1.1 %(.-%) waits for semaphore:acquire on " .. where, tostring(err))
    assert.matches("call 1.2 %(.-%) waits for semaphore:with on " .. where, tostring(err))
  end)

  it("gives back what was held by with", function()
    local a, b = rt.semaphore(1), rt.semaphore(1)
    local function both(first, second)
      first:with(function()
        later(1)
        second:with(later, 1)
      end)
    end
    local _, err = pcall(rt.run, function()
      rt.gather(rt.spawn(both, a, b), rt.spawn(both, b, a))
    end)
    assert.equal("deadlock", rt.kind(err))
    assert.equal(1, free(a))
    assert.equal(1, free(b))
  end)

  it("does not fail while a sleeper can give one back", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    rt.spawn(function()
      rt.sleep(0.005)
      sem:release()
    end)
    sem:acquire()
  end))
end)
