local rt = require "railtracks"
local core = require "railtracks.core"
local helper = require "spec.helper"

local in_run, sleeper, sleepy = helper.in_run, helper.sleeper, helper.sleepy

--- Calls `fn` when it is closed: `local it <close> = closing(fn)`.
local function closing(fn) return setmetatable({}, { __close = function(_, e) fn(e) end }) end

--- Runs `body` as a task, cancels it once it waits, and returns its Task and error.
local function cancelled(body, ...)
  local task = rt.spawn(body, ...)
  for _ = 1, 5 do rt.sleep(0) end
  task:cancel "enough"
  local ok, err = pcall(task.await, task)
  assert.is_false(ok)
  return task, err
end

--- What standard error of a script says, run with these options, and its run as recorded.
local function run(options, text)
  local folder <close> = helper.temporary()
  local journal = folder.path .. "/journal.db"
  helper.write(folder.path .. "/s.lua", text)
  local words = { "run", "--journal", journal, table.unpack(options) }
  words[#words + 1] = "s.lua"
  local output, said, status = helper.run(words, { cd = folder.path })
  return { output = output, said = said, status = status,
    found = helper.recorded(journal, "@1") }
end

describe("cleanup of a cancelled task", function()
  it("runs innermost first, in coroutines too", in_run(function()
    local order = {}
    local function note(what)
      return closing(function() rt.sleep(0) order[#order + 1] = what end)
    end
    cancelled(function()
      local _ <close> = note "task"
      local generate = coroutine.wrap(function()
        local _ <close> = note "generator"
        for _ in coroutine.wrap(function()
          local _ <close> = note "inner generator"
          sleeper()
        end) do sleepy() end
      end)
      generate()
    end)
    assert.same({ "inner generator", "generator", "task" }, order)
  end))

  it("is given the error, which says who cancelled, why, where, and what was waited for",
    in_run(function()
      local seen
      cancelled(function()
        local _ <close> = closing(function(e) seen = e end)
        sleeper()
      end)
      assert.equal("cancelled", rt.kind(seen))
      assert.equal("enough", seen.reason)
      assert.matches("^cancelled: enough, by call 1 %(.*%) at .*cleanup_spec.lua:%d+, "
        .. "while waiting for sleep$", tostring(seen))
    end))

  it("may call nodes, spawn and gather them, and catch their errors", in_run(function()
    local got = {}
    cancelled(function()
      local _ <close> = closing(function()
        got[1] = rt.call(sleepy, 1)
        got[2] = rt.gather(rt.spawn(sleepy, 2), rt.spawn(sleepy, 3))[2]
        got[3] = select(2, pcall(rt.call, error, "caught", 0))
        got[4] = rt.map(sleepy, { 4 })[1]
      end)
      sleeper()
    end)
    assert.same({ 1, 3, "caught", 4 }, got)
  end))

  it("is not cancelled again, nor what it has started", in_run(function()
    local finished = false
    local task
    task = rt.spawn(function()
      local _ <close> = closing(function()
        rt.call(function() for _ = 1, 5 do rt.sleep(0) end end)
        finished = true
      end)
      sleeper()
    end)
    rt.sleep(0)
    for _ = 1, 4 do
      task:cancel()
      rt.sleep(0)
    end
    pcall(task.await, task)
    assert.is_true(finished)
  end))

  it("leaves the task cancelled when it fails; the failure stands behind the traceback", function()
    local it = run({}, [[
      local rt = require "railtracks"
      local work = rt.function_node("work", function()
        local _ <close> = setmetatable({}, { __close = function() error("broken", 0) end })
        rt.sleep(60)
      end)
      local task = rt.spawn(work)
      rt.sleep(0)
      task:cancel "enough"
      print(rt.kind(select(2, pcall(task.await, task))))
    ]])
    assert.equal("cancelled\n", it.output)
    assert.matches("call 1.1 %(work%) was cancelled, and its cleanup failed: broken", it.said)
    local call = it.found.by_id["1.1"]
    assert.equal("cancelled", call.status)
    assert.equal("cancelled", call.error.kind)
    assert.matches("and its cleanup failed: broken", call.error.traceback)
  end)
end)

describe("a cancellation that was raised", function()
  it("is raised again at every later wait, so that Lua's own pcall does not keep it",
    in_run(function()
      local caught = 0
      local task = cancelled(function()
        while not rt.raw.pcall(sleeper) and caught < 10 do caught = caught + 1 end
        while caught < 10 do caught = caught + 1 end
      end)
      assert.equal(10, caught)
      assert.equal("cancelled", task:status())
    end))

  it("passes pcall, xpcall without calling the handler, and coroutine.resume", in_run(function()
    local passed, handled = true, false
    cancelled(function()
      xpcall(function()
        coroutine.resume(coroutine.create(function()
          pcall(sleeper)
          passed = false
        end))
        passed = false
      end, function() handled = true end)
      passed = false
    end)
    assert.same({ true, false }, { passed, handled })
  end))

  it("passes where a <close> has put its own error in place of it", in_run(function()
    local caught = false
    cancelled(function()
      pcall(function()
        local _ <close> = closing(function() error "mine" end)
        sleeper()
      end)
      caught = true
    end)
    assert.is_false(caught)
  end))

  it("is an ordinary error in another task", in_run(function()
    local task = rt.spawn(sleeper)
    local ok, err = pcall(rt.call, function()
      rt.sleep(0)
      task:cancel "enough"
      task:await()
    end)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    local failed = rt.spawn(function() task:await() end)
    pcall(failed.await, failed)
    assert.equal("failed", failed:status())
  end))
end)

describe("the order of a cancellation", function()
  it("is descendants first", in_run(function()
    local order = {}
    local function node(name, below)
      return function()
        local _ <close> = closing(function() order[#order + 1] = name end)
        if below then rt.call(below) else sleeper() end
      end
    end
    cancelled(node("outer", node("middle", node("inner"))))
    assert.same({ "inner", "middle", "outer" }, order)
  end))

  it("is the body's own <close> first where it fails by itself, then its children",
    in_run(function()
      local order = {}
      pcall(rt.call, function()
        rt.spawn(function()
          local _ <close> = closing(function() order[#order + 1] = "child" end)
          sleeper()
        end)
        rt.sleep(0)
        local _ <close> = closing(function() order[#order + 1] = "body" end)
        error "failed"
      end)
      assert.same({ "body", "child" }, order)
    end))

  it("unwinds a caller although what it has called returns normally", in_run(function()
    local after = false
    local task = cancelled(function()
      rt.call(function() pcall(rt.shield, rt.sleep, 0.005) end)
      after = true
    end)
    assert.is_false(after)
    assert.equal("cancelled", task:status())
  end))
end)

describe("the grace of cleanup", function()
  local text = [[
    local rt = require "railtracks"
    local function closing(fn) return setmetatable({}, { __close = fn }) end
    local work = rt.function_node("work", function()
      local a <close> = closing(function() print "does not wait" end)
      local b <close> = closing(function()
        rt.sleep(3600)
      end)
      rt.sleep(60)
    end)
    local task = rt.spawn(work)
    rt.sleep(0)
    task:cancel "enough"
    print(task:status(), pcall(task.await, task))
    print(task:status())
  ]]

  it("cuts off what waits past it, named on standard error and in the journal", function()
    local it = run({ "--grace", "0.01" }, text)
    assert.equal(0, it.status)
    assert.matches("\ndoes not wait\n", "\n" .. it.output)
    assert.matches("\ncancelled\n$", it.output)
    assert.matches("call 1.1 %(work%): cleanup was cut off after its grace of 0.01 s, at s.lua:6, "
      .. "while waiting for sleep", it.said)
    assert.equal("cancelled", it.found.by_id["1.1"].status)
    assert.matches("cut off after its grace of 0.01 s, at s.lua:6",
      it.found.by_id["1.1"].error.traceback)
  end)

  it("ends what cleanup has called and spawned, and waits in line for", function()
    core.configure { grace = 0.01 }
    finally(function() core.configure { grace = 5 } end)
    rt.run(function()
      local channel, sem = rt.channel(), rt.semaphore(1)
      sem:acquire()
      for _, wait in ipairs {
        function() rt.call(sleeper) end,
        function() rt.gather(rt.spawn(sleeper), rt.spawn(sleeper)) end,
        function() rt.map(sleeper, { 1, 2 }) end,
        function() channel:receive() end,
        function() sem:acquire() end,
        function() rt.shield(sleeper) end,
        function() rt.run(sleeper) end,
        function() rt.call(function() local _ <close> = closing(sleeper) sleeper() end) end,
      } do
        local task = cancelled(function()
          local _ <close> = closing(wait)
          sleeper()
        end)
        assert.equal("cancelled", task:status())
      end
      sem:release()
    end)
  end)

  it("is what a shield has left when the program is told to end", function()
    local it = helper.start { "run", "--journal", "none", "--grace", "0.05", "-e", [[
      local rt = require "railtracks"
      io.stdout:setvbuf "no"
      print "begun"
      rt.shield(function()
        local _ <close> = setmetatable({}, { __close = function() print "closed" end })
        rt.sleep(3600)
      end)
    ]] }
    local process <close> = it
    process:wait_for_output "begun"
    process:kill "TERM"
    local output, _, status = process:wait()
    assert.equal("begun\nclosed\n", output)
    assert.equal(143, status)
  end)

  it("is ended by the second Ctrl-C", function()
    local process <close> = helper.start { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      io.stdout:setvbuf "no"
      local _ <close> = setmetatable({}, { __close = function()
        print "cleaning"
        rt.sleep(3600)
      end })
      print "begun"
      rt.sleep(3600)
    ]] }
    process:wait_for_output "begun"
    process:kill "INT"
    process:wait_for_output "cleaning"
    process:kill "INT"
    local _, said, status = process:wait()
    assert.matches("cleanup was cut off by the second signal, at .*, while waiting for sleep", said)
    assert.equal(130, status)
  end)
end)
