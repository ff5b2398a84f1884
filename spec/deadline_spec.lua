local rt = require "railtracks"
local testing = require "railtracks.testing"
local helper = require "spec.helper"

local sleeper = helper.sleeper

--- Runs fn as a task in virtual time.
local function in_time(fn) return testing.task(fn, { clock = "virtual" }) end

local function timed_out(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("timeout", rt.kind(err), tostring(err))
  return err
end

describe("rt.timeout", function()
  it("returns all results of a call that ends in time", in_time(function()
    local got = table.pack(rt.timeout(1, function(...) return nil, ... end, 2, nil))
    assert.same({ n = 3, nil, 2, nil }, got)
  end))

  it("raises a timeout that says where it was set and what was waited for", in_time(function()
    local began = rt.now()
    local err = timed_out(rt.timeout, 2, rt.sleep, 3600)
    assert.equal(2, rt.now() - began)
    assert.equal(2, err.seconds)
    assert.matches("^deadline of 2 s set at .*deadline_spec.lua:%d+ has passed, "
      .. "while waiting for sleep$", err.message)
    assert.is_string(err.call)
    assert.is_string(err.node)
  end))

  it("cancels what is below, which may clean up, and has waited for it", in_time(function()
    local seen, task
    timed_out(rt.timeout, 1, function()
      local _ <close> = setmetatable({}, { __close = function(_, e) rt.sleep(1) seen = e end })
      task = rt.spawn(sleeper)
      task:await()
    end)
    assert.equal("cancelled", rt.kind(seen))
    assert.matches("deadline of 1 s set at", seen.message)
    assert.equal("cancelled", task:status())
  end))

  it("is caught by no pcall below it", in_time(function()
    local passed = true
    timed_out(rt.timeout, 1, function() pcall(sleeper) passed = false end)
    assert.is_true(passed)
  end))

  it("nests: the nearest counts, and its own caller is told", in_time(function()
    local inner
    local err = timed_out(rt.timeout, 3, function()
      inner = timed_out(rt.timeout, 1, sleeper)
      sleeper()
    end)
    assert.same({ 1, 3 }, { inner.seconds, err.seconds })
    local reached = false
    err = timed_out(rt.timeout, 1, function()
      pcall(rt.timeout, 3, sleeper)
      reached = true
    end)
    assert.equal(1, err.seconds)
    assert.is_false(reached)
  end))

  it("keeps the results of a call that returns without waiting again", function()
    assert.equal("late", testing.run(function()
      return rt.timeout(0.001, function()
        local began = os.clock()
        while os.clock() - began < 0.003 do end
        return "late"
      end)
    end))
  end)

  it("does not mistake a user's error of the same look", in_time(function()
    local own = { kind = "timeout", seconds = 1 }
    local ok, err = pcall(rt.timeout, 1, error, own)
    assert.is_false(ok)
    assert.equal(own, err)
  end))

  it("lets the error of a call pass that fails in time", in_time(function()
    local err = { "mine" }
    assert.same({ false, err }, { pcall(rt.timeout, 1, error, err) })
  end))

  it("ends waits of every kind", in_time(function()
    local ch, sem = rt.channel(), rt.semaphore(1)
    sem:acquire()
    for _, wait in ipairs {
      sleeper, function() ch:receive() end, function() ch:send(1) end,
      function() sem:acquire() end, function() rt.gather(rt.spawn(sleeper)) end,
      function() rt.map(sleeper, { 1, 2 }) end, function() rt.run(sleeper) end,
      function() rt.call(sleeper) end, function() rt.spawn(sleeper) end,
      function() coroutine.wrap(sleeper)() end,
    } do
      timed_out(rt.timeout, 1, wait)
    end
    sem:release()
    assert.is_true(ch:close() == nil)
  end))

  it("takes math.huge for no deadline", in_time(function()
    assert.equal(1, rt.timeout(math.huge, function() rt.sleep(3600) return 1 end))
  end))

  for what, seconds in pairs { ["0"] = 0, ["-1"] = -1, ["nan"] = 0 / 0, string = "1" } do
    it("refuses " .. what .. " seconds", in_time(function()
      assert.matches("rt.timeout: argument 1: expected a number of seconds above 0, got .*"
        .. what, helper.refusal(rt.timeout, seconds, sleeper))
    end))
  end

  it("refuses what is no node, before anything was started", in_time(function()
    assert.matches("rt.timeout: argument 2: expected a node or a function, got nil",
      helper.refusal(rt.timeout, 1, nil))
  end))
end)

describe("the timeout of a node", function()
  local slow = rt.function_node { name = "slow", timeout = 1, run = function(seconds)
    rt.sleep(seconds)
    return seconds
  end }

  it("holds for calls, spawned tasks and the items of a map", in_time(function()
    assert.equal(0.5, rt.call(slow, 0.5))
    timed_out(rt.call, slow, 2)
    local task = rt.spawn(slow, 2)
    timed_out(task.await, task)
    assert.equal("failed", task:status())
    local outcomes = rt.map(slow, { 0.5, 2 }, { settle = true })
    assert.is_true(outcomes[1].ok)
    assert.equal("timeout", rt.kind(outcomes[2].error))
  end))

  it("runs from when the call starts, not from when it was queued", in_time(function()
    assert.same({ n = 3, 0.9, 0.9, 0.9 }, rt.map(slow, { 0.9, 0.9, 0.9 }, { limit = 1 }))
  end))

  it("is recorded as the failure of the call; calls below are cancelled", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    local script = helper.write(folder.path .. "/s.lua", [[
      local rt = require "railtracks"
      local nap = rt.function_node("nap", function() rt.sleep(60) end)
      local outer = rt.function_node{ name = "outer", timeout = 0.01, run = function() nap() end }
      pcall(outer)
    ]])
    helper.run { "run", "--journal", journal, script }
    local found = helper.recorded(journal, "@1")
    assert.equal("failed", found.by_id["1.1"].status)
    assert.equal("timeout", found.by_id["1.1"].error.kind)
    assert.equal("cancelled", found.by_id["1.1.1"].status)
    assert.equal("done", found.run.status)
  end)
end)

describe("--timeout", function()
  it("ends a run as a timeout, and says so", function()
    local _, said, status = helper.run { "run", "--journal", "none", "--timeout", "0.05", "-e",
      "require('railtracks').sleep(60)" }
    assert.equal(1, status)
    assert.matches("^railtracks: timeout: deadline of 0.05 s set by %-%-timeout has passed, "
      .. "while waiting for sleep", said)
  end)

  it("does not keep a run alive that stands still", function()
    local _, said, status = helper.run { "run", "--journal", "none", "--timeout", "3600", "-e",
      "require('railtracks').channel():receive()" }
    assert.equal(1, status)
    assert.matches("^railtracks: deadlock", said)
  end)
end)
