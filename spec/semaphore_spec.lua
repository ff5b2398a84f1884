local rt = require "railtracks"

--- rt.run of `fn` in which every assertion may be made.
local function in_run(fn) return function() rt.run(fn) end end

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

local function closing(fn) return setmetatable({}, { __close = fn }) end

--- How many permits nobody has.
local function free(sem) return tonumber(tostring(sem):match "%((%d+) of") end

local function refuses(pattern, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("usage", rt.kind(err))
  assert.matches(pattern, tostring(err), 1, true)
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
  end))

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
  end))

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

describe("a waiter for a permit", function()
  --- A semaphore without a free permit, and a task that waits for one.
  local function waiting()
    local sem = rt.semaphore(1)
    sem:acquire()
    local seen = {}
    local task = rt.spawn(function()
      sem:acquire()
      seen.got = true
      later(1)
      seen.went_on = true
      sem:release()
    end)
    return sem, task, seen
  end

  it("that is cancelled before it starts takes no permit", in_run(function()
    local sem, task, seen = waiting()
    task:cancel()
    later(1)
    sem:release()
    assert.equal(1, free(sem))
    assert.equal("cancelled", task:status())
    assert.is_nil(seen.got)
  end))

  it("that is cancelled while it waits takes no permit", in_run(function()
    local sem, task, seen = waiting()
    later(1)
    task:cancel()
    sem:release()
    assert.equal(1, free(sem))
    rt.settle(task)
    assert.equal("cancelled", task:status())
    assert.is_nil(seen.got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled twice takes no permit", in_run(function()
    local sem, task = waiting()
    later(1)
    task:cancel "once"
    task:cancel "twice"
    later(2)
    task:cancel "again"
    sem:release()
    assert.equal(1, free(sem))
    assert.equal("once", rt.settle(task)[1].error.reason)
  end))

  it("that is cancelled by a call below it takes no permit", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    local got = false
    local parent
    parent = rt.spawn(function()
      rt.spawn(function() parent:cancel "by a child" end)
      sem:acquire()
      got = true
    end)
    rt.settle(parent)
    sem:release()
    assert.is_false(got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled by somebody's <close> takes no permit", in_run(function()
    local sem, task, seen = waiting()
    later(1)
    do
      local guard <close> = closing(function() task:cancel() end)
      assert(guard)
    end
    sem:release()
    rt.settle(task)
    assert.is_nil(seen.got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled after it was handed a permit has it, and its next wait raises",
    in_run(function()
      local sem, task, seen = waiting()
      later(1)
      sem:release()
      task:cancel()
      assert.equal(0, free(sem))
      rt.settle(task)
      assert.is_true(seen.got)
      assert.is_nil(seen.went_on)
      assert.equal("cancelled", task:status())
      assert.equal(0, free(sem))
      sem:release()
    end))

  it("that is cancelled while calls below it unwind is passed over", in_run(function()
    local sem, go_on = rt.semaphore(1), rt.semaphore(1)
    sem:acquire()
    go_on:acquire()
    local got = {}
    local doomed = rt.spawn(function()
      rt.spawn(function()
        local guard <close> = closing(function()
          sem:release()
        end)
        assert(guard)
        rt.sleep(3600)
      end)
      sem:acquire()
      got[#got + 1] = "doomed"
    end)
    later(1)
    local next_one = rt.spawn(function()
      sem:acquire()
      got[#got + 1] = "next"
      sem:release()
    end)
    later(2)
    doomed:cancel()
    rt.settle(doomed, next_one)
    assert.same({ "next" }, got)
    assert.equal("cancelled", doomed:status())
    assert.equal(1, free(sem))
  end))

  it("leaves the others in their order when it is cancelled", in_run(function()
    local sem, order, tasks = rt.semaphore(1), {}, {}
    sem:acquire()
    for i = 1, 9 do
      tasks[i] = rt.spawn(function()
        sem:acquire()
        order[#order + 1] = i
        sem:release()
      end)
    end
    later(1)
    for _, i in ipairs { 1, 5, 9, 4 } do tasks[i]:cancel() end
    later(1)
    tasks[10] = rt.spawn(function()
      sem:acquire()
      order[#order + 1] = 10
      sem:release()
    end)
    later(1)
    sem:release()
    rt.settle(tasks)
    assert.same({ 2, 3, 6, 7, 8, 10 }, order)
    assert.equal(1, free(sem))
  end))

  it("is told what it waited for", in_run(function()
    local sem, task = waiting()
    later(1)
    task:cancel "tired"
    local err = rt.settle(task)[1].error
    assert.matches("tired, while waiting for semaphore:acquire on semaphore", err.message, 1, true)
    assert.matches(tostring(sem):match "made at [^)]*", err.message, 1, true)
  end))

  it("may be one of 20,000 that are cancelled at once, from either end", in_run(function()
    for _, step in ipairs { 1, -1 } do
      local sem, tasks = rt.semaphore(1), {}
      sem:acquire()
      for i = 1, 20000 do tasks[i] = rt.spawn(sem.acquire, sem) end
      later(1)
      for i = step == 1 and 1 or 20000, step == 1 and 20000 or 1, step do tasks[i]:cancel() end
      sem:release()
      assert.equal(1, free(sem))
      rt.settle(tasks)
      assert.equal(1, free(sem))
    end
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

describe("semaphore:with", function()
  it("calls the function with its arguments and returns all results", in_run(function()
    local sem = rt.semaphore(1)
    assert.same({ 1, nil, 3, nil, n = 4 },
      table.pack(sem:with(function(...) return ... end, 1, nil, 3, nil)))
    assert.same({ n = 0 }, table.pack(sem:with(function() end)))
    assert.equal(200, select("#", sem:with(table.unpack, {}, 1, 200)))
  end))

  it("returns all results when it had to wait, and when the function waited", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    local task = rt.spawn(function()
      return sem:with(function(...)
        later(3)
        return "a", nil, ...
      end, nil, "b", nil)
    end)
    later(2)
    sem:release()
    assert.same({ "a", nil, nil, "b", nil, n = 5 }, table.pack(task:await()))
    assert.equal(1, free(sem))
  end))

  it("has the permit while the function runs, and gives it back then", in_run(function()
    local sem = rt.semaphore(2)
    sem:with(function()
      assert.equal(1, free(sem))
      sem:with(function() assert.equal(0, free(sem)) end)
      assert.equal(1, free(sem))
    end)
    assert.equal(2, free(sem))
  end))

  it("calls the function in place: it is no call of its own", in_run(function()
    local sem = rt.semaphore(1)
    local outside = rt.current().call
    assert.equal(outside, sem:with(function() return rt.current().call end))
    assert.equal(outside .. ".1", rt.spawn(function() return rt.current().call end).id)
  end))

  it("takes whatever can be called", in_run(function()
    local sem = rt.semaphore(1)
    local node = rt.function_node("double", function(n) return n * 2 end)
    assert.equal(42, sem:with(node, 21))
    assert.equal(5, sem:with(setmetatable({}, { __call = function(_, v) return v end }), 5))
    assert.equal(3, sem:with(math.max, 1, 3))
  end))

  it("refuses what cannot be called, and takes no permit", in_run(function()
    local sem = rt.semaphore(1)
    refuses("expected a function, got nothing", sem.with, sem)
    refuses("expected a function, got nil", sem.with, sem, nil)
    refuses("expected a function, got table", sem.with, sem, {})
    refuses("expected a function, got number", sem.with, sem, 1)
    assert.equal(1, free(sem))
  end))

  it("raises the same error value, and has given the permit back", in_run(function()
    local sem = rt.semaphore(1)
    for _, value in ipairs { {}, "text", false, 7, print } do
      local ok, err = pcall(sem.with, sem, error, value, 0)
      assert.is_false(ok)
      assert.equal(value, err)
      assert.equal(1, free(sem))
    end
    assert.same({ false, nil, n = 2 }, table.pack(pcall(sem.with, sem, error, nil)))
    assert.equal(1, free(sem))
  end))

  it("gives the permit back when the function fails after waiting", in_run(function()
    local sem, value = rt.semaphore(1), {}
    local function fail()
      later(2)
      error(value)
    end
    sem:acquire()
    local task = rt.spawn(function() sem:with(fail) end)
    later(1)
    sem:release()
    assert.equal(value, select(2, pcall(task.await, task)))
    assert.equal(1, free(sem))
    assert.equal(value, select(2, pcall(sem.with, sem, fail)))
    assert.equal(1, free(sem))
  end))

  it("gives the permit back when a call inside fails", in_run(function()
    local sem, value = rt.semaphore(1), {}
    assert.equal(value, select(2, pcall(sem.with, sem, rt.call, error, value)))
    assert.equal(1, free(sem))
  end))

  it("gives the permit back when its task is cancelled", in_run(function()
    local sem = rt.semaphore(1)
    local holder = rt.spawn(sem.with, sem, rt.sleep, 3600)
    local waiter = rt.spawn(sem.with, sem, later, 1)
    later(1)
    assert.equal(0, free(sem))
    holder:cancel()
    waiter:await()
    assert.equal("cancelled", holder:status())
    assert.equal(1, free(sem))
  end))

  it("gives the permit back when its task is cancelled after it was handed over",
    in_run(function()
      local sem, entered, left = rt.semaphore(1), false, false
      sem:acquire()
      local task = rt.spawn(sem.with, sem, function()
        entered = true
        later(1)
        left = true
      end)
      later(1)
      sem:release()
      task:cancel()
      rt.settle(task)
      assert.is_true(entered)
      assert.is_false(left)
      assert.equal(1, free(sem))
    end))

  it("takes no permit when it is cancelled while it waits for one", in_run(function()
    local sem, entered = rt.semaphore(1), false
    sem:acquire()
    local task = rt.spawn(sem.with, sem, function() entered = true end)
    later(1)
    task:cancel "tired"
    sem:release()
    local err = rt.settle(task)[1].error
    assert.matches("tired, while waiting for semaphore:with on semaphore", err.message, 1, true)
    assert.is_false(entered)
    assert.equal(1, free(sem))
  end))

  it("gives the permit back after what is to be closed inside has been closed", in_run(function()
    local sem, seen = rt.semaphore(1), nil
    pcall(sem.with, sem, function()
      local guard <close> = closing(function() seen = free(sem) end)
      assert(guard)
      error "no"
    end)
    assert.equal(0, seen)
    assert.equal(1, free(sem))
  end))

  it("is in the traceback of a failure inside by its function's frames alone", in_run(function()
    local sem = rt.semaphore(1)
    local function broken() error "broken" end
    local _, err = pcall(rt.call, function() sem:with(function() broken() end) end)
    local traceback = rt.traceback(err)
    assert.matches("in upvalue 'broken'", traceback, 1, true)
    assert.not_matches("[C]: in method 'with'", traceback, 1, true)
  end))

  it("tells of a permit that was given back behind its back", in_run(function()
    local sem = rt.semaphore(1)
    refuses("semaphore:with", sem.with, sem, function() sem:release() end)
    assert.equal(1, free(sem))
    local value = {}
    assert.equal(value, select(2, pcall(sem.with, sem, function()
      sem:release()
      error(value)
    end)))
    assert.equal(1, free(sem))
  end))

  it("may be nested a hundred deep, waiting at the bottom", in_run(function()
    local sem = rt.semaphore(100)
    local function down(n)
      if n == 0 then
        later(2)
        return free(sem)
      end
      return (sem:with(down, n - 1))
    end
    assert.equal(0, down(100))
    assert.equal(100, free(sem))
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

describe("permits under random cancellation", function()
  --- A generator of its own, so that every run of the spec is the same.
  local function generator(seed)
    return function(n)
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return (seed >> 8) % n + 1
    end
  end

  for seed = 1, 12 do
    it("are neither lost nor doubled, seed " .. seed, in_run(function()
      local random = generator(seed)
      local permits = random(4)
      local sem, held, tasks = rt.semaphore(permits), 0, {}

      local function hold()
        held = held + 1
        assert(held <= permits)
        local guard <close> = closing(function() held = held - 1 end)
        assert(guard)
        later(random(4) - 1)
        if random(10) == 1 then error "now and then" end
      end

      local function by_hand()
        sem:acquire()
        local guard <close> = closing(function() sem:release() end)
        assert(guard)
        hold()
      end

      for i = 1, 300 do
        tasks[i] = random(2) == 1 and rt.spawn(pcall, by_hand)
          or rt.spawn(pcall, sem.with, sem, hold)
        if random(3) == 1 then later(random(3)) end
        for _ = 1, random(3) - 1 do tasks[random(i)]:cancel() end
      end
      rt.settle(tasks)
      assert.equal(0, held)
      assert.equal(permits, free(sem))
      for _ = 1, permits do sem:acquire() end
    end))
  end
end)
