--- How long the cleanup of a cancelled task may wait.

local rt = require "railtracks"
local core = require "railtracks.core"
local helper = require "spec.helper"

local closing = helper.closing

--- A test in virtual time: rt.sleep(1) returns when all others wait.
local function virtual(test) return helper.in_run(test, { clock = "virtual" }) end

local function everyone_waits() rt.sleep(1) end

--- Cancels a task that runs `body`, once it waits, and waits for its end. Returns how long
--- that took, its error and the task.
local function cancelled(body)
  local task = rt.spawn(body)
  everyone_waits()
  local since = rt.now()
  assert.is_true(task:cancel "why")
  local err = rt.settle(task)[1].error
  assert.equal("cancelled", task:status())
  assert.equal("cancelled", rt.kind(err))
  assert.equal("why", err.reason)
  return rt.now() - since, err, task
end

describe("the grace of a cancelled task", function()
  it("is five seconds", virtual(function()
    local took = cancelled(function()
      local _ <close> = closing(function() rt.sleep(1e6) end)
      rt.sleep(1e6)
    end)
    assert.equal(5, took)
  end))

  it("is what core.configure sets, in seconds", virtual(function()
    local _ <close> = closing(function() core.configure { grace = 5 } end)
    core.configure { grace = 0.25 }
    assert.equal(0.25, (cancelled(function()
      local _ <close> = closing(function() rt.sleep(1e6) end)
      rt.sleep(1e6)
    end)))
  end))

  it("may be none: then cleanup does not wait at all", virtual(function()
    local _ <close> = closing(function() core.configure { grace = 5 } end)
    core.configure { grace = 0 }
    local log = {}
    local took = cancelled(function()
      local _ <close> = closing(function() log[#log + 1] = "closed" end)
      local _ <close> = closing(function()
        rt.sleep(0)
        log[#log + 1] = "never"
      end)
      rt.sleep(1e6)
    end)
    assert.equal(0, took)
    assert.same({ "closed" }, log)
  end))

  it("is for all of its cleanup together; later waits fail at once", virtual(function()
    local log = {}
    local function guard(name, seconds)
      return closing(function()
        log[#log + 1] = name
        rt.sleep(seconds)
        log[#log + 1] = name .. " done"
      end)
    end
    local took = cancelled(function()
      local _ <close> = guard("fourth", 1)
      local _ <close> = guard("third", 1)
      local _ <close> = guard("second", 3)
      local _ <close> = guard("first", 3)
      rt.sleep(1e6)
    end)
    assert.equal(5, took)
    assert.same({ "first", "first done", "second", "third", "fourth" }, log)
  end))

  it("when it is over leaves what closes without a wait to run", virtual(function()
    local log = {}
    cancelled(function()
      local _ <close> = closing(function() log[#log + 1] = "outer" end)
      coroutine.wrap(function()
        local _ <close> = closing(function() log[#log + 1] = "inner" end)
        local _ <close> = closing(function()
          pcall(rt.sleep, 1e6)
          log[#log + 1] = "never"
        end)
        rt.sleep(1e6)
      end)()
    end)
    assert.same({ "inner", "outer" }, log)
  end))

  it("begins with its own unwinding, not with that of those below it", virtual(function()
    local function slow(seconds)
      return closing(function() rt.sleep(seconds) end)
    end
    local reached
    local took = cancelled(function()
      local _ <close> = closing(function()
        rt.sleep(4)
        reached = true
      end)
      rt.call(function()
        local _ <close> = slow(4)
        rt.call(function()
          local _ <close> = slow(4)
          rt.sleep(1e6)
        end)
      end)
    end)
    assert.equal(12, took)
    assert.is_true(reached)
  end))

  it("begins with its unwinding, also when it waits late", virtual(function()
    local took = cancelled(function()
      local _ <close> = closing(function() rt.sleep(1e6) end)
      local _ <close> = closing(function() rt.sleep(3) end)
      rt.sleep(1e6)
    end)
    assert.equal(5, took)
  end))

  it("ends whatever its cleanup waits for", virtual(function()
    local never = rt.channel()
    for name, wait in pairs {
      call = function() rt.call(rt.sleep, 1e6) end,
      await = function() rt.spawn(rt.sleep, 1e6):await() end,
      gather = function() rt.gather(rt.spawn(rt.sleep, 1e6)) end,
      map = function() rt.map(rt.sleep, { 1e6 }) end,
      shield = function() rt.shield(rt.sleep, 1e6) end,
      run = function() rt.run(rt.sleep, 1e6) end,
      receive = function() never:receive() end,
      endless = function() rt.sleep(math.huge) end,
      pcall = function() while not pcall(rt.sleep, 1e6) do end end,
      generator = function() coroutine.wrap(rt.sleep)(1e6) end,
      scope = function() rt.scope(function() rt.spawn(rt.sleep, 1e6) end) end,
      children = function() rt.call(function() rt.spawn(rt.sleep, 1e6) end) end,
      retry = function() rt.retry({ delay = 1e6, max_delay = 1e6 }, error) end,
    } do
      local took = cancelled(function()
        local _ <close> = closing(wait)
        rt.sleep(1e6)
      end)
      assert.equal(5, took, name)
    end
  end))

  it("is longer for what cleanup calls than for none: that has a timeout of its own",
    virtual(function()
      local kind
      local took = cancelled(function()
        local _ <close> = closing(function()
          kind = rt.kind(select(2, pcall(rt.timeout, 2, rt.sleep, 1e6)))
          rt.sleep(1)
        end)
        rt.sleep(1e6)
      end)
      assert.equal(3, took)
      assert.equal("timeout", kind)
    end))
end)

describe("cleanup past its grace", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  local stuck = [[
    local function closing(fn) return setmetatable({}, { __close = fn }) end
    local task = rt.spawn(rt.function_node("stuck", function()
      local _ <close> = closing(function() print "still closed" end)
      local _ <close> = closing(function()
        rt.sleep(3600)
        print "never"
      end)
      rt.sleep(3600)
    end))
    rt.sleep(0)
    task:cancel "why"
    rt.settle(task)
    print(task:status())
  ]]

  it("is named on standard error and in the traceback, with file and line", function()
    local found = helper.record(folder, stuck, { "--grace", "0.02" })
    assert.equal("still closed\ncancelled\n", found.output)
    local told = "cleanup was cut off after its grace of 0.02 s, at script.lua:5, "
      .. "while waiting for sleep"
    assert.matches("call 1.1 (stuck): " .. told, found.said, 1, true)
    local call = found.by_id["1.1"]
    assert.equal("cancelled", call.status)
    assert.equal("cancelled", call.error.kind)
    assert.matches(told, call.error.traceback, 1, true)
  end)

  it("is cut off at the second Ctrl-C, long before", function()
    local running <close> = helper.start({ "run", "--journal", folder .. "/journal.db",
      "--grace", "3600", "-e", [[
        local rt = require "railtracks"
        local function say(text) print(text) io.stdout:flush() end
        local outer <close> = setmetatable({}, { __close = function() say "closed" end })
        local inner <close> = setmetatable({}, { __close = function()
          say "cleaning"
          rt.sleep(3600)
          say "never"
        end })
        say "ready"
        rt.sleep(3600)
      ]] })
    running:wait_for_output "ready"
    running:kill "INT"
    running:wait_for_output "cleaning"
    running:kill "INT"
    local output, _, status = running:wait()
    assert.equal("ready\ncleaning\nclosed\n", output)
    assert.equal(130, status)
    assert.equal("cancelled", helper.recorded(folder .. "/journal.db", "@1").run.status)
  end)
end)

describe("a shield when the run ends", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  it("by a signal has one grace period", function()
    local running <close> = helper.start({ "run", "--journal", folder .. "/journal.db",
      "--grace", "0.05", "-e", [[
        local rt = require "railtracks"
        rt.shield(function()
          local guard <close> = setmetatable({}, { __close = function() print "closed" end })
          print "ready" io.stdout:flush()
          rt.sleep(3600)
        end)
      ]] })
    running:wait_for_output "ready"
    running:kill "TERM"
    local output, _, status = running:wait()
    assert.equal("ready\nclosed\n", output)
    assert.equal(143, status)
    local found = helper.recorded(folder .. "/journal.db", "@1")
    assert.same({ "cancelled", "cancelled" }, { found.run.status, found.by_id["1.1"].status })
  end)

  it("by a signal may end in that time", function()
    local running <close> = helper.start({ "run", "--journal", folder .. "/journal.db",
      "--grace", "3600", "-e", [[
        local rt = require "railtracks"
        local path = ...
        rt.shield(function()
          print "ready" io.stdout:flush()
          repeat rt.sleep(0.005) until io.open(path)
          print "saved"
        end)
        rt.sleep(3600)
      ]], folder .. "/go" })
    running:wait_for_output "ready"
    running:kill "TERM"
    helper.write(folder .. "/go", "")
    local output, _, status = running:wait()
    assert.equal("ready\nsaved\n", output)
    assert.equal(143, status)
    local found = helper.recorded(folder .. "/journal.db", "@1")
    assert.same({ "cancelled", "done" }, { found.run.status, found.by_id["1.1"].status })
  end)

  it("by a fatal error has one grace period", function()
    local found = helper.record(folder, [[
      rt.spawn(function() rt.sleep(0) rt.fatal "the end" end)
      rt.shield(rt.sleep, 3600)
    ]], { "--grace", "0.02", status = 1 })
    assert.equal("failed", found.run.status)
    assert.equal("fatal", found.run.error.kind)
    assert.equal("cancelled", found.by_id["1.2"].status)
  end)
end)
