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
  end, unshuffled))

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
    assert.matches("tired, .* while waiting for semaphore:with on semaphore", err.message)
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

  it("gives the permit back when it is cancelled in a coroutine of its task's own",
    in_run(function()
      local sem = rt.semaphore(1)
      for _, cancelled_when_waiting in ipairs { true, false } do
        if cancelled_when_waiting then sem:acquire() end
        local task = rt.spawn(function()
          coroutine.wrap(function() sem:with(rt.sleep, 3600) end)()
        end)
        later(2)
        assert.equal(0, free(sem))
        task:cancel()
        rt.settle(task)
        if cancelled_when_waiting then sem:release() end
        assert.equal(1, free(sem))
      end
    end))

  it("gives the permit back when a coroutine that has yielded inside is closed", in_run(function()
    local sem = rt.semaphore(1)
    local co = coroutine.create(function() sem:with(coroutine.yield, "inside") end)
    assert.same({ true, "inside" }, { coroutine.resume(co) })
    assert.equal(0, free(sem))
    assert.is_true(coroutine.close(co))
    assert.equal(1, free(sem))
  end))

  it("may be waited for in the cleanup of a cancelled task", in_run(function()
    local sem, cleaned = rt.semaphore(1), false
    sem:acquire()
    local task = rt.spawn(function()
      local guard <close> = closing(function()
        sem:with(function()
          later(2)
          cleaned = true
        end)
      end)
      assert(guard)
      rt.sleep(3600)
    end)
    later(1)
    task:cancel()
    later(2)
    assert.is_false(cleaned)
    sem:release()
    rt.settle(task)
    assert.is_true(cleaned)
    assert.equal("cancelled", task:status())
    assert.equal(1, free(sem))
  end))

  it("gives the permit back at a deadline, and after a fatal error", function()
    local sem = rt.semaphore(1)
    rt.run(function()
      local _, err = pcall(rt.timeout, 0.01, sem.with, sem, rt.sleep, 3600)
      assert.equal("timeout", rt.kind(err))
      assert.equal(1, free(sem))
    end)
    assert.equal("fatal", rt.kind(select(2, pcall(rt.run, sem.with, sem, rt.fatal, "no"))))
    assert.equal(1, free(sem))
  end)
end)
