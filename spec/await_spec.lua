local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local uv = rt.uv

--- Calls `fn` from the loop after a few milliseconds.
local function later(fn)
  local timer = uv.new_timer()
  timer:start(2, 0, function()
    timer:close()
    fn()
  end)
  return timer
end

describe("rt.await", function()
  it("returns what resume was called with, later, nils and all", in_run(function()
    assert.same({ n = 4, 1, nil, "three", nil }, table.pack(rt.await(function(resume)
      later(function() resume(1, nil, "three", nil) end)
    end)))
    assert.equal(0, select("#", rt.await(function(resume) later(resume) end)))
  end))

  it("returns what resume was called with at once", in_run(function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(rt.await(function(resume)
      resume(nil, 2, nil)
    end)))
    assert.equal(0, select("#", rt.await(function(resume) resume() end)))
  end))

  it("passes more values than a C function has room for", in_run(function()
    local many = table.pack(table.unpack({}, 1, 5000))
    assert.equal(5000, select("#", rt.await(function(resume)
      later(function() resume(table.unpack(many, 1, 5000)) end)
    end)))
    assert.equal(5000, select("#", rt.await(function(resume)
      resume(table.unpack(many, 1, 5000))
    end)))
  end))

  it("raises what fail was called with, later or at once, the same value", in_run(function()
    local value = {}
    for _, when in ipairs { later, function(fn) fn() end } do
      local ok, err = pcall(rt.await, function(_, fail) when(function() fail(value) end) end)
      assert.is_false(ok)
      assert.equal(value, err)
    end
    local ok, err = pcall(rt.await, function(_, fail) later(fail) end)
    assert.is_false(ok)
    assert.is_nil(err)
  end))

  it("is ended by the first call: later ones do nothing and say so", in_run(function()
    local said, first, second = {}, nil, nil
    assert.equal("first", rt.await(function(resume, fail)
      first, second = resume, fail
      later(function()
        said[1] = resume "first"
        said[2] = resume "second"
        said[3] = fail "third"
      end)
    end))
    said[4] = first "much later"
    said[5] = second "and later"
    assert.same({ true, false, false, false, false }, said)
    assert.equal("at once", rt.await(function(resume, fail)
      assert.is_true(resume "at once")
      assert.is_false(fail "then")
    end))
  end))

  it("may be ended by another task", in_run(function()
    local wake
    local sleeper = rt.spawn(function() return rt.await(function(resume) wake = resume end) end)
    rt.sleep(0)
    while not wake do rt.sleep(0) end
    assert.is_true(wake "up")
    assert.equal("up", sleeper:await())
  end))

  it("raises what the function raises, and is over with that", in_run(function()
    local value, kept = {}, nil
    local ok, err = pcall(rt.await, function(resume)
      kept = resume
      error(value)
    end)
    assert.is_false(ok)
    assert.equal(value, err)
    kept "nobody waits"
    assert.equal(1, helper.sleepy(1))
  end))

  it("works in generators, metamethods and nested calls", in_run(function()
    local function soon(value)
      return rt.await(function(resume) later(function() resume(value) end) end)
    end
    local got = {}
    for v in coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(soon(i)) end
    end) do got[#got + 1] = v end
    assert.same({ 1, 2, 3 }, got)
    local object = setmetatable({}, { __index = function(_, key) return soon(key) end })
    assert.equal("field", object.field)
    assert.equal(7, rt.call(function() return rt.call(soon, 7) end))
  end))

  it("lets the function itself wait", in_run(function()
    assert.equal(2, rt.await(function(resume)
      rt.sleep(0)
      rt.await(function(other) later(other) end)
      resume(2)
    end))
  end))

  it("many at once are woken each with its own value", in_run(function()
    local list = {}
    for i = 1, 500 do list[i] = i end
    local got = rt.map(function(i)
      return rt.await(function(resume) later(function() resume(i * 2) end) end)
    end, list)
    for i = 1, 500 do assert.equal(i * 2, got[i]) end
  end))

  describe("when it is cancelled", function()
    --- A task that waits for ever, and how often its cancel function was called.
    local function waiting(cancel)
      local seen = { cancelled = 0 }
      seen.task = rt.spawn(function()
        local function start(resume, fail)
          seen.resume, seen.fail = resume, fail
          local timer = uv.new_timer()
          timer:start(3600000, 0, function() end)
          return function()
            seen.cancelled = seen.cancelled + 1
            timer:close()
            if cancel then cancel(seen) end
          end
        end
        seen.outcome = table.pack(rt.raw.pcall(rt.await, start))
        error(seen.outcome[2], 0)
      end)
      while not seen.resume do rt.sleep(0) end
      return seen
    end

    it("calls the cancel function once, and raises", in_run(function()
      local seen = waiting()
      seen.task:cancel "enough"
      rt.settle(seen.task)
      assert.equal(1, seen.cancelled)
      assert.equal("cancelled", seen.task:status())
      assert.equal("enough", seen.outcome[2].reason)
    end))

    it("is over: resume does nothing any more", in_run(function()
      local seen = waiting()
      seen.task:cancel()
      assert.is_false(seen.resume "too late")
      assert.is_false(seen.fail "too late")
      rt.settle(seen.task)
      assert.is_false(seen.resume "too late")
      assert.equal(1, seen.cancelled)
      assert.equal("cancelled", seen.task:status())
    end))

    it("after it was resumed, it returns and calls nothing", in_run(function()
      local cancelled, wake, got = 0, nil, nil
      local task = rt.spawn(function()
        got = rt.await(function(resume)
          wake = resume
          return function() cancelled = cancelled + 1 end
        end)
      end)
      while not wake do rt.sleep(0) end
      wake "came first"
      task:cancel()
      rt.settle(task)
      assert.equal("came first", got)
      assert.equal(0, cancelled)
      assert.equal("done", task:status())
    end))

    it("by a deadline, calls the cancel function and says what was waited for", in_run(function()
      local cancelled = 0
      local ok, err = pcall(rt.timeout, 0.005, function()
        rt.await(function()
          local timer = later(function() end)
          timer:stop()
          timer:start(3600000, 0, function() end)
          return function()
            cancelled = cancelled + 1
            timer:close()
          end
        end)
      end)
      assert.is_false(ok)
      assert.equal("timeout", rt.kind(err))
      assert.matches("while waiting for rt%.await %(at %S*spec/await_spec%.lua:%d+%)",
        tostring(err))
      assert.equal(1, cancelled)
    end))

    it("by the function itself, never waits", in_run(function()
      local order = {}
      local task
      task = rt.spawn(function()
        rt.await(function()
          task:cancel()
          return function() order[#order + 1] = "cancel" end
        end)
        order[#order + 1] = "unreachable"
      end)
      rt.settle(task)
      assert.same({ "cancel" }, order)
      assert.equal("cancelled", task:status())
    end))

    it("runs the cancel function before <close>, which may use rt.await itself", in_run(function()
      local order = {}
      local started
      local task = rt.spawn(function()
        local _ <close> = helper.closing(function()
          order[#order + 1] = rt.await(function(resume) later(function() resume "closed" end) end)
        end)
        rt.await(function()
          started = true
          return function() order[#order + 1] = "cancel" end
        end)
      end)
      while not started do rt.sleep(0) end
      task:cancel()
      rt.settle(task)
      assert.same({ "cancel", "closed" }, order)
    end))

    it("ends as cancelled even if the cancel function raises or tries to wait", function()
      for _, body in ipairs { "error 'no'", "rt.sleep(1)" } do
        local output, said, status = helper.run { "run", "--journal", "none", "-e", ([[
          local rt = require "railtracks"
          local timer = rt.uv.new_timer()
          timer:start(3600000, 0, print)
          local task = rt.spawn(function()
            rt.await(function() return function() %s end end)
          end)
          rt.sleep(0)
          rt.sleep(0)
          task:cancel()
          rt.settle(task)
          print(task:status())]]):format(body) }
        assert.equal(0, status, said)
        assert.equal("cancelled\n", output)
        assert.matches("the cancel function of an rt.await failed: ", said, 1, true)
      end
    end)
  end)

  it("refuses what is no function, before and after", in_run(function()
    assert.equal("usage: rt.await: argument 1: expected a function, got nothing", refusal(rt.await))
    assert.equal("usage: rt.await: argument 1: expected a function, got number",
      refusal(rt.await, 1))
    assert.equal("usage: rt.await: the function must return a function that cancels, or nothing, "
      .. "got string", refusal(rt.await, function() return "x" end))
  end))

  it("is refused where Lua cannot wait, before the function is called", in_run(function()
    local called = false
    local said = refusal(table.sort, { 2, 1 }, function()
      rt.await(function() called = true end)
    end)
    assert.matches("rt.await cannot wait inside table.sort", said, 1, true)
    assert.is_false(called)
  end))

  it("outside a run names rt.run", function()
    assert.matches("rt.await outside a run: start one with rt.run",
      refusal(rt.await, function() end), 1, true)
  end)

  it("that nothing can end is a deadlock, which names where it was started", function()
    local ok, err = pcall(rt.run, function()
      rt.spawn(function() rt.await(function() end) end)
      rt.await(function() end)
    end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("call 1 (%S+) waits for rt.await %(at %S*spec/await_spec.lua:%d+%)",
      tostring(err))
    assert.matches("call 1.1 (%S+) waits for rt.await %(at %S*spec/await_spec.lua:%d+%)",
      tostring(err))
  end)

  it("is none while a handle could end it", in_run(function()
    assert.equal("woken", rt.await(function(resume)
      later(function() resume "woken" end)
    end))
  end))

  it("is one although handles are open that the loop does not count", function()
    local timer = uv.new_timer()
    timer:start(3600000, 0, function() end)
    timer:unref()
    local ok, err = pcall(rt.run, function() rt.await(function() end) end)
    timer:close()
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)
end)
