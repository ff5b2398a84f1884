--- How a cancelled task is unwound. The time its cleanup may take is in grace_spec.

local rt = require "railtracks"
local helper = require "spec.helper"

local closing, fail_with = helper.closing, helper.fail_with

--- A test in virtual time: rt.sleep(1) returns when all others wait.
local function virtual(test, options)
  options = options or {}
  options.clock = "virtual"
  return helper.in_run(test, options)
end

local function everyone_waits() rt.sleep(1) end

--- Cancels a task that runs `body`, once it waits. Returns its error and the task.
local function cancelled(body, ...)
  local task = rt.spawn(body, ...)
  everyone_waits()
  assert.is_true(task:cancel "why")
  local err = rt.settle(task)[1].error
  assert.equal("cancelled", task:status())
  assert.equal("cancelled", rt.kind(err))
  assert.equal("why", err.reason)
  return err, task
end

--- A list, and a function that makes something whose closing appends a name to it.
local function new_log()
  local log = {}
  return log, function(name, fn)
    return closing(function(...)
      if fn then fn(...) end
      log[#log + 1] = name
    end)
  end
end

describe("cancellation closes what is open", function()
  it("innermost first, in functions and generators alike", virtual(function()
    local log, guard = new_log()
    cancelled(function()
      local _ <close> = guard "body"
      local step = coroutine.wrap(function()
        local _ <close> = guard "generator"
        pcall(function()
          local _ <close> = guard "pcall in it"
          coroutine.wrap(function()
            local _ <close> = guard "generator in it"
            rt.sleep(1e6)
          end)()
        end)
      end)
      local _ <close> = guard "loop"
      for _ in step do log[#log + 1] = "never" end
    end)
    assert.same({ "generator in it", "pcall in it", "generator", "loop", "body" }, log)
  end))

  it("with the error that unwinds it", virtual(function()
    local seen
    local err = cancelled(function()
      local _ <close> = closing(function(_, e) seen = e end)
      rt.sleep(1e6)
    end)
    assert.equal(err, seen)
  end))

  local waits = {
    ["for rt.sleep"] = function() rt.sleep(1) end,
    ["for rt.call"] = function() assert.equal(5, rt.call(helper.sleepy, 5)) end,
    ["for rt.gather"] = function()
      assert.equal(5, rt.gather(rt.spawn(helper.sleepy, 5), rt.spawn(rt.sleep, 1))[1])
    end,
    ["for rt.map"] = function() assert.equal(5, rt.map(helper.sleepy, { 5 }, { limit = 1 })[1]) end,
    ["for a channel"] = function()
      local ch = rt.channel()
      rt.spawn(function() ch:send(5) end)
      assert.equal(5, (ch:receive()))
    end,
    ["for a semaphore"] = function()
      local sem = rt.semaphore(1)
      sem:acquire()
      rt.spawn(function() rt.sleep(1) sem:release() end)
      sem:with(function() end)
    end,
    ["for rt.run"] = function() assert.equal(5, rt.run(helper.sleepy, 5)) end,
    ["in a generator"] = function()
      assert.equal(5, coroutine.wrap(function() return rt.call(helper.sleepy, 5) end)())
    end,
    ["inside pcall"] = function() assert.is_true(pcall(rt.sleep, 1)) end,
    ["in rt.scope"] = function() rt.scope(function() rt.spawn(rt.sleep, 1) end) end,
    ["in rt.timeout"] = function() assert.equal(5, rt.timeout(1, helper.sleepy, 5)) end,
  }
  for name, wait in pairs(waits) do
    it("and that may wait " .. name, virtual(function()
      local log, guard = new_log()
      cancelled(function()
        local _ <close> = guard("outer", wait)
        coroutine.wrap(function()
          local _ <close> = guard("inner", wait)
          rt.sleep(1e6)
        end)()
      end)
      assert.same({ "inner", "outer" }, log)
    end))
  end

  describe("and refuses coroutine.yield in what it closes of a coroutine", function()
    local refusal = "attempt to yield across a C-call boundary"

    --- Cancels a task that waits in `body` in a coroutine of its own; what that yields, and
    --- what its resumer does then, is to be nothing.
    local function unwound(body)
      local log = {}
      local err = cancelled(function()
        local co = coroutine.create(body)
        log[#log + 1] = table.pack(coroutine.resume(co))
        log[#log + 1] = "gone on"
      end)
      assert.same({}, log)
      return err
    end

    it("with the cancellation going on", virtual(function()
      local ok, said, yieldable
      local log, guard = new_log()
      unwound(function()
        local _ <close> = guard "outer"
        local _ <close> = closing(function()
          yieldable = coroutine.isyieldable()
          ok, said = pcall(coroutine.yield, "out")
        end)
        rt.sleep(1e6)
      end)
      assert.same({ false, refusal, false }, { ok, said, yieldable })
      assert.same({ "outer" }, log)
    end))

    it("also where nobody catches that", virtual(function()
      local log, guard = new_log()
      unwound(function()
        local _ <close> = guard("outer", function(_, e) assert.equal(refusal, e) end)
        local _ <close> = closing(coroutine.yield)
        rt.sleep(1e6)
      end)
      assert.same({ "outer" }, log)
    end))

    it("also under a pcall, which it passes", virtual(function()
      local ok, said
      unwound(function()
        pcall(function()
          local _ <close> = closing(function() ok, said = pcall(coroutine.yield, "out") end)
          rt.sleep(1e6)
        end)
        coroutine.yield "never"
      end)
      assert.same({ false, refusal }, { ok, said })
    end))

    it("also in rt.scope", virtual(function()
      local ok, said
      unwound(function()
        rt.scope(function()
          local _ <close> = closing(function() ok, said = pcall(coroutine.yield, "out") end)
          rt.sleep(1e6)
        end)
      end)
      assert.same({ false, refusal }, { ok, said })
    end))

    it("also after a wait", virtual(function()
      local ok, said
      unwound(function()
        local _ <close> = closing(function()
          rt.sleep(1)
          ok, said = pcall(coroutine.yield, "out")
        end)
        rt.sleep(1e6)
      end)
      assert.same({ false, refusal }, { ok, said })
    end))

    it("but not in one that cleanup has made", virtual(function()
      local got
      unwound(function()
        local _ <close> = closing(function()
          local step = coroutine.wrap(function()
            pcall(function()
              local _ <close> = closing(function() coroutine.yield(rt.call(helper.sleepy, 1)) end)
              error "x"
            end)
            coroutine.yield(2)
          end)
          got = { step(), step() }
        end)
        rt.sleep(1e6)
      end)
      assert.same({ 1, 2 }, got)
    end))
  end)

  it("but leaves a coroutine that nobody waits in as it is", virtual(function()
    local log, guard = new_log()
    local co = coroutine.create(function()
      local _ <close> = guard "closed"
      coroutine.yield()
    end)
    cancelled(function()
      coroutine.resume(co)
      rt.sleep(1e6)
    end)
    assert.same({}, log)
    assert.equal("suspended", coroutine.status(co))
    assert.is_true(coroutine.close(co))
    assert.same({ "closed" }, log)
  end))

  it("and does not reach what that starts, however often it is asked for", virtual(function()
    local got
    local task = rt.spawn(function()
      local _ <close> = closing(function()
        local child = rt.spawn(function() rt.sleep(2) return 5 end)
        got = child:await()
      end)
      rt.sleep(1e6)
    end)
    everyone_waits()
    for _ = 1, 2 do
      assert.is_true(task:cancel())
      everyone_waits()
    end
    rt.settle(task)
    assert.equal(5, got)
  end))

  it("of a normal exit too: a wait there is interrupted, unless it is a shield's",
    virtual(function()
      local log, guard = new_log()
      local function leave(wait)
        return function()
          local _ <close> = guard "outer"
          local _ <close> = guard("inner", wait)
        end
      end
      cancelled(leave(function() rt.sleep(2) end))
      assert.same({ "outer" }, log)
      local task = rt.spawn(leave(function() rt.shield(rt.sleep, 2) end))
      everyone_waits()
      task:cancel()
      rt.settle(task)
      assert.equal("done", task:status())
      assert.same({ "outer", "inner", "outer" }, log)
    end))
end)

describe("cancellation is raised again", function()
  it("at each later wait that is not cleanup", virtual(function()
    local raised = {}
    local err = cancelled(function()
      for i = 1, 3 do raised[i] = select(2, rt.raw.pcall(rt.sleep, 1e6)) end
      return "returned"
    end)
    assert.same({ err, err, err }, raised)
  end))

  it("before anything is started", virtual(function()
    local ran = false
    cancelled(function()
      rt.raw.pcall(rt.sleep, 1e6)
      rt.raw.pcall(rt.call, function() ran = true end)
      rt.raw.pcall(rt.map, function() ran = true end, { 1 })
    end)
    assert.is_false(ran)
  end))

  it("until a loop that tries again with pcall has ended", virtual(function()
    local tries = 0
    cancelled(function()
      while not pcall(function()
        tries = tries + 1
        rt.sleep(1e6)
      end) do tries = tries + 1 end
    end)
    assert.equal(1, tries)
  end))

  local raw = rt.raw.pcall
  local function forever() rt.sleep(1e6) end
  local loops = {
    ["a loop that tries again"] = function() while not raw(forever) do end end,
    ["a loop in a call"] = function() rt.call(function() while not raw(forever) do end end) end,
    ["a loop in a generator"] = function()
      coroutine.wrap(function() while not raw(forever) do end end)()
    end,
    ["a loop of generators"] = function() while not raw(coroutine.wrap(forever)) do end end,
  }
  for name, loop in pairs(loops) do
    it("until " .. name .. " with Lua's own pcall has ended, too", virtual(function()
      local log, guard = new_log()
      cancelled(function()
        local _ <close> = guard("waited", everyone_waits)
        local _ <close> = guard "closed"
        loop()
        log[#log + 1] = "never"
      end)
      assert.same({ "closed", "waited" }, log)
    end))
  end

  it("until loops around such loops have ended, if need be without cleanup", virtual(function()
    local function around(depth)
      if depth == 0 then return forever() end
      while not raw(around, depth - 1) do end
    end
    cancelled(function()
      rt.call(around, 2)
    end)
    cancelled(around, 4)
  end))
end)

describe("cancellation passes", function()
  local function waiting() rt.sleep(1e6) end
  local caught = false

  local ways = {
    ["pcall"] = function() pcall(waiting) end,
    ["pcall in pcall"] = function() pcall(pcall, waiting) end,
    ["xpcall, whose handler is not called"] = function()
      xpcall(waiting, function() caught = true end)
    end,
    ["coroutine.wrap"] = function() coroutine.wrap(waiting)() end,
    ["coroutine.resume"] = function() coroutine.resume(coroutine.create(waiting)) end,
    ["coroutine.close of what waits when it is closed"] = function()
      local co = coroutine.create(function()
        local _ <close> = closing(waiting)
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    end,
    ["pcall in a metamethod"] = function()
      pcall(function() return setmetatable({}, { __index = waiting }).x end)
    end,
    ["pcall around rt.call"] = function() pcall(rt.call, pcall, waiting) end,
    ["pcall around rt.scope"] = function() pcall(rt.scope, waiting) end,
    ["pcall around a semaphore's with"] = function()
      local sem = rt.semaphore(1)
      pcall(sem.with, sem, waiting)
    end,
  }
  for name, way in pairs(ways) do
    it("through " .. name, virtual(function()
      caught = false
      cancelled(function()
        way()
        caught = true
      end)
      assert.is_false(caught)
    end))
  end

  it("through a pcall also when a __close has put its own error in its place",
    virtual(function()
      local log, guard = new_log()
      local err = cancelled(function()
        local _ <close> = guard "outer"
        pcall(function()
          local _ <close> = closing(function() error("its own", 0) end)
          rt.sleep(1e6)
        end)
        log[#log + 1] = "never"
      end)
      assert.same({ "outer" }, log)
      assert.matches("and its cleanup failed: its own", rt.traceback(err), 1, true)
    end))

  it("and pcall that is entered in cleanup catches as usual", virtual(function()
    local got
    cancelled(function()
      local _ <close> = closing(function()
        local e = { "mine" }
        got = {
          table.pack(pcall(error, e))[2] == e,
          select(2, xpcall(error, function(m) return m .. ", handled" end, "mine")),
          select(2, pcall(rt.call, fail_with "below")),
          select(2, coroutine.resume(coroutine.create(fail_with "inside"))),
          rt.kind(select(2, pcall(rt.sleep, -1))),
        }
      end)
      rt.sleep(1e6)
    end)
    assert.same({ true, "mine, handled", "below", "inside", "usage" }, got)
  end))
end)

describe("the cancelled error of another task", function()
  local function one_that_is_cancelled()
    local task = rt.spawn(rt.sleep, 1e6)
    task:cancel "not yours"
    return task
  end

  it("is caught by pcall like any other", virtual(function()
    for _, wait in ipairs {
      function(task) task:await() end,
      function(task) rt.gather(task) end,
      function(task) rt.race(task) end,
      function(task) rt.call(task.await, task) end,
    } do
      local ok, err = pcall(wait, one_that_is_cancelled())
      assert.is_false(ok)
      assert.equal("not yours", err.reason)
      rt.sleep(1)
    end
  end))

  it("fails the call that does not catch it, with kind cancelled", virtual(function()
    for _, wait in ipairs {
      function(task) task:await() end,
      function(task) rt.gather(task) end,
    } do
      local task = rt.spawn(wait, one_that_is_cancelled())
      assert.equal("cancelled", rt.kind(rt.settle(task)[1].error))
      assert.equal("failed", task:status())
    end
  end))
end)

describe("the order of unwinding", function()
  --- A call whose body closes slowly, below which the others are.
  local function tower(guard, name, ...)
    local below = table.pack(...)
    return function()
      local _ <close> = guard(name, function() rt.sleep(1) end)
      if below.n == 0 then rt.sleep(1e6) end
      rt.call(tower(guard, table.unpack(below, 1, below.n)))
    end
  end

  it("of a cancelled call: those below it have ended before its body is unwound",
    virtual(function()
      local log, guard = new_log()
      cancelled(tower(guard, "a", "b", "c"))
      assert.same({ "c", "b", "a" }, log)
    end))

  it("of a cancelled call with spawned ones: all have ended before", virtual(function()
    local log, guard = new_log()
    cancelled(function()
      local _ <close> = guard "parent"
      for i = 1, 3 do
        rt.spawn(function()
          local _ <close> = guard("child", function() rt.sleep(i) end)
          rt.sleep(1e6)
        end)
      end
      rt.sleep(1e6)
    end)
    assert.same({ "child", "child", "child", "parent" }, log)
  end))

  it("of a body that fails by itself: its own come first, then its children",
    virtual(function()
      local log, guard = new_log()
      local ok, err = pcall(rt.call, function()
        local _ <close> = guard("body", everyone_waits)
        rt.spawn(function()
          local _ <close> = guard "child"
          rt.sleep(1e6)
        end)
        everyone_waits()
        error("by itself", 0)
      end)
      assert.is_false(ok)
      assert.equal("by itself", err)
      assert.same({ "body", "child" }, log)
    end))

  it("raises in a caller whose callee returned all the same", function()
    local folder <close> = helper.temporary()
    local found = helper.record(folder.path, [[
      local task
      task = rt.spawn(function()
        rt.call(function() task:cancel() return 5 end)
        print "never"
      end)
      rt.settle(task)
    ]])
    assert.equal("", found.output)
    assert.equal("cancelled", found.by_id["1.1"].status)
    assert.equal("done", found.by_id["1.1.1"].status)
    assert.same({ 5 }, found.by_id["1.1.1"].results)
  end)
end)

describe("a call whose cleanup fails when it is cancelled", function()
  it("ends with the cancellation; the other stands in the log and the traceback", function()
    local folder <close> = helper.temporary()
    local found = helper.record(folder.path, [[
      local task = rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() error("of cleanup", 0) end })
        rt.sleep(3600)
      end)
      rt.sleep(0)
      task:cancel "why"
      local err = rt.settle(task)[1].error
      print(rt.kind(err), err.reason)
    ]])
    assert.equal("cancelled\twhy\n", found.output)
    assert.matches("call 1.1 (script.lua:1) was cancelled, and its cleanup failed: of cleanup",
      found.said, 1, true)
    local call = found.by_id["1.1"]
    assert.equal("cancelled", call.status)
    assert.equal("cancelled", call.error.kind)
    assert.matches("and its cleanup failed: of cleanup", call.error.traceback, 1, true)
  end)
end)
