local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local uv = rt.uv

local function program(code, options)
  return helper.run({ "run", "--journal", "none", "-e",
    "local rt = require 'railtracks'; local uv = rt.uv; " .. code }, options)
end

describe("rt.uv", function()
  it("is luv, also for whoever requires that", function()
    assert.equal(uv, require "luv")
    assert.matches("^%d+%.%d+%.%d+", uv.version_string())
  end)

  it("has its callbacks run by the loop of the run", in_run(function()
    local ticks = 0
    rt.await(function(resume)
      local timer = uv.new_timer()
      timer:start(1, 1, function()
        ticks = ticks + 1
        if ticks == 3 then
          timer:close()
          resume()
        end
      end)
    end)
    assert.equal(3, ticks)
  end))

  it("has files, sockets and names", in_run(function()
    local err, stat = rt.await(function(resume) uv.fs_stat("/", resume) end)
    assert.is_nil(err)
    assert.equal("directory", stat.type)
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    local got = rt.await(function(resume)
      server:listen(1, function()
        local peer = uv.new_tcp()
        server:accept(peer)
        peer:read_start(function(_, data)
          peer:close()
          resume(data)
        end)
      end)
      local client = uv.new_tcp()
      client:connect("127.0.0.1", server:getsockname().port, function()
        client:write("hello", function() client:close() end)
      end)
    end)
    server:close()
    assert.equal("hello", got)
  end))

  it("starts with the program only when it is asked for", function()
    local output = helper.run { "run", "--journal", "none", "-e", [[
      local function loaded() return io.open("/proc/self/maps"):read("a"):find "luv" ~= nil end
      io.write(tostring(loaded()), " ")
      local _ = require "railtracks".uv
      print(loaded())]] }
    assert.equal("false true\n", output)
  end)

  describe("in a callback", function()
    it("fails the run with an error's traceback, whoever waits or catches", function()
      local output, said, status = program [[
        local timer = uv.new_timer()
        timer:start(1, 0, function() local function deep() error "in the callback" end deep() end)
        local _ <close> = setmetatable({}, { __close = function() print "cleaned" end })
        pcall(rt.call, function() pcall(rt.sleep, 3600) end)
        print "unreachable"]]
      assert.equal(1, status)
      assert.equal("cleaned\n", output)
      assert.matches("in the callback\nstack traceback:\n", said, 1, true)
      assert.matches("in upvalue 'deep'", (said:gsub("local 'deep'", "upvalue 'deep'")), 1, true)
      assert.matches("\n  in a callback of the event loop\n", said, 1, true)
    end)

    it("fails the run with the same error value", function()
      local value = {}
      local ok, err = pcall(rt.run, function()
        local timer = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          error(value)
        end)
        rt.sleep(3600)
      end)
      assert.is_false(ok)
      assert.equal(value, err)
      assert.matches("in a callback of the event loop", rt.traceback(err), 1, true)
    end)

    it("fails the outermost of nested runs, and leaves the next run undisturbed", function()
      local order = {}
      local ok, err = pcall(rt.run, function()
        local _ <close> = helper.closing(function() order[#order + 1] = "outer" end)
        pcall(rt.run, function()
          local _ <close> = helper.closing(function() order[#order + 1] = "inner" end)
          local timer = uv.new_timer()
          timer:start(0, 0, function()
            timer:close()
            error("both", 0)
          end)
          rt.sleep(3600)
        end)
        rt.sleep(0)
      end)
      assert.is_false(ok)
      assert.equal("both", err)
      assert.same({ "inner", "outer" }, order)
      assert.equal(1, rt.run(helper.sleepy, 1))
    end)

    it("is recorded as how the run has failed", function()
      local place = helper.workplace()
      local _ <close> = helper.closing(function() place:remove() end)
      local run = helper.record(place.folder, [[
        local timer = rt.uv.new_timer()
        timer:start(0, 0, function() error "recorded" end)
        rt.sleep(3600)]], { status = 1 })
      assert.equal("failed", run.run.status)
      assert.matches("recorded", run.by_id["1"].error.message)
      assert.matches("in a callback of the event loop", run.by_id["1"].error.traceback, 1, true)
    end)

    it("tells of a second failure on standard error", function()
      local _, said, status = program [[
        for i = 1, 2 do uv.new_timer():start(0, 0, function() error("number " .. i, 0) end) end
        rt.sleep(3600)]]
      assert.equal(1, status)
      assert.matches("railtracks: warning: a callback of the event loop failed as well: number 2",
        said, 1, true)
      assert.matches("railtracks: number 1", said, 1, true)
    end)

    it("nothing can wait, be spawned or run, and the error says so", in_run(function()
      local said = {}
      rt.await(function(resume)
        local timer = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          for name, fn in pairs { sleep = rt.sleep, spawn = rt.spawn, call = rt.call,
            run = rt.run, await = rt.await } do
            local ok, err = pcall(fn, function() end)
            said[name] = not ok and rt.kind(err) == "usage" and tostring(err)
          end
          resume(rt.current())
        end)
      end)
      for name, text in pairs(said) do
        assert.matches("rt." .. name .. " inside a callback of the event loop", text, 1, true)
      end
    end))

    it("semaphores can be released, channels closed and tasks cancelled", in_run(function()
      local sem, channel = rt.semaphore(1), rt.channel()
      sem:acquire()
      local sleeper = rt.spawn(helper.sleeper)
      local receiver = rt.spawn(function() return select(2, channel:receive()) end)
      rt.sleep(0)
      local timer = uv.new_timer()
      timer:start(0, 0, function()
        timer:close()
        sem:release()
        channel:close()
        sleeper:cancel()
      end)
      sem:acquire()
      assert.is_false(receiver:await())
      assert.is_false(rt.settle(sleeper)[1].ok)
    end))

    it("coroutines work", in_run(function()
      assert.same({ 1, 2 }, rt.await(function(resume)
        local timer = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          local list = {}
          for i in coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) do
            list[#list + 1] = i
          end
          resume(list)
        end)
      end))
    end))

    it("code that runs away is told of and stopped", function()
      local _, said, status = helper.run { "run", "--journal", "none", "--slice-limit", "0.2", "-e",
        [[local rt = require "railtracks"
          rt.uv.new_timer():start(0, 0, function() while true do end end)
          rt.sleep(3600)]] }
      assert.equal(1, status)
      assert.matches("budget: the slice limit of 0.2 s was spent", said, 1, true)
    end)

    it("the second Ctrl-C stops what runs", function()
      local running <close> = helper.start { "run", "--journal", "none", "-e", [[
        local rt = require "railtracks"
        rt.uv.new_timer():start(0, 0, function()
          io.write "ready\n"
          io.stdout:flush()
          while true do end
        end)
        rt.sleep(3600)]] }
      running:wait_for_output "ready"
      assert.equal(130, (select(3, running:kill_twice())))
    end)

    it("the memory limit holds", function()
      local _, said, status = helper.run { "run", "--journal", "none", "--memory-limit", "8M", "-e",
        [[local rt = require "railtracks"
          rt.uv.new_timer():start(0, 0, function()
            local list = {}
            while true do list[#list + 1] = ("x"):rep(1000) .. #list end
          end)
          rt.sleep(3600)]] }
      assert.equal(1, status)
      assert.matches("budget: the Lua heap would grow over its limit of 8M", said, 1, true)
    end)
  end)

  describe("run", function()
    it("is refused in a run and in a callback", in_run(function()
      local expected = "usage: rt.uv.run inside a run: its loop runs already; wait with rt.await"
      assert.equal(expected, refusal(uv.run))
      assert.equal(expected, rt.await(function(resume)
        local timer = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          resume(refusal(uv.run))
        end)
      end))
    end))

    it("runs the loop outside a run, and raises what a callback raises", function()
      local output, said, status = helper.stock { "-e", [[
        local rt = require "railtracks"
        local uv, value = rt.uv, {}
        uv.new_timer():start(1, 0, function() print "ticked" end)
        print(uv.run())
        local timer = uv.new_timer()
        timer:start(1, 1, function() error(value) end)
        local ok, err = pcall(uv.run)
        print(ok, err == value)
        timer:close()
        print(rt.run(function() rt.sleep(0) return "ran" end))]] }
      assert.equal("", said)
      assert.equal(0, status)
      assert.equal("ticked\nfalse\nfalse\ttrue\nran\n", output)
    end)
  end)

  it("walks over its own handles only", in_run(function()
    local before = 0
    uv.walk(function() before = before + 1 end)
    local timer, pipe, seen, count = uv.new_timer(), uv.new_pipe(), {}, 0
    uv.walk(function(handle)
      seen[handle], count = true, count + 1
    end)
    assert.equal(before + 2, count)
    assert.is_true(seen[timer] and seen[pipe])
    timer:close()
    pipe:close()
  end))

  it("tells of an error in a thread, and the process goes on", function()
    local output, said, status = program [[
      local thread = uv.new_thread(function(x) error(x) end, "in the thread")
      thread:join()
      uv.new_thread({ stack_size = 0 }, function(...) assert(select("#", ...) == 2) end, 1, nil)
        :join()
      print "went on"]]
    assert.equal(0, status)
    assert.equal("went on\n", output)
    assert.matches("railtracks: error: a thread of rt.uv failed: .*in the thread", said)
    assert.is_nil(said:find("stack traceback.*stack traceback"))
  end)

  it("is refused when luv was there before, with a loop of its own", function()
    local output = helper.stock { "-e", [[
      package.preload.luv = nil
      require "luv"
      local rt = require "railtracks"
      local ok, err = pcall(function() return rt.uv end)
      print(ok, err)]] }
    assert.equal("false\tusage: rt.uv: luv was loaded before railtracks, with a loop of its own: "
      .. "require 'railtracks' first\n", output)
  end)

  it("says what to install where there is no luv", function()
    local output = helper.stock { "-e", [[
      local rt = require "railtracks"
      package.cpath = "/nowhere/?.so"
      print(select(2, pcall(function() return rt.uv end)))]] }
    assert.matches("usage: rt.uv: there is no luv (on Debian it is in the package lua-luv):\n"
      .. "\tno file '/nowhere/luv.so'", output, 1, true)
  end)

  describe("at the end", function()
    local open = [[
      for i = 1, 10 do
        local timer = uv.new_timer()
        timer:start(3600000, 0, function() print "never" end)
        if i > 5 then timer:close(function() print "nor this" end) end
      end
      local server = uv.new_tcp()
      server:bind("127.0.0.1", 0)
      server:listen(8, function() print "never" end)
      local client = uv.new_tcp()
      client:connect("127.0.0.1", server:getsockname().port, function() print "never" end)
      local child = uv.spawn("sleep", { args = { "3600" } }, function() print "never" end)
      child:kill "sigkill"
      uv.fs_stat("/", function() print "never" end)
      uv.new_work(function() return 1 end, function() print "never" end):queue()
      uv.new_fs_event():start("/tmp", {}, function() end)
      uv.new_idle():start(function() end)
      print "over"]]

    it("a run does not wait for handles that are left open, which are closed", function()
      local output, said, status = program(open)
      assert.equal("", said)
      assert.equal(0, status)
      assert.equal("over\n", output)
    end)

    it("nor does one in stock Lua", function()
      local output, said, status = helper.stock { "-e", ([[
        local rt = require "railtracks"
        local uv = rt.uv
        rt.run(function() %s end)]]):format(open) }
      assert.equal("", said)
      assert.equal(0, status)
      assert.equal("over\n", output)
    end)

    it("the program does not wait longer than its grace for what cannot be stopped", function()
      local folder <close> = helper.temporary()
      helper.shell("mkfifo " .. folder.path .. "/pipe")
      local output, said, status = helper.run { "run", "--journal", folder.path .. "/journal.db",
        "--grace", "0.1", "-e", ([[
          local rt = require "railtracks"
          rt.uv.fs_open("%s/pipe", "r", 0, print)
          print "over"]]):format(folder.path) }
      assert.equal("", said)
      assert.equal(0, status)
      assert.equal("over\n", output)
      assert.equal("done", helper.recorded(folder.path .. "/journal.db", "@1").run.status)
    end)
  end)
end)
