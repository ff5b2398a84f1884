local helper = require "spec.helper"

describe("code that does not give way", function()
  local place, scripts

  before_each(function()
    place = helper.workplace()
    scripts = 0
  end)
  after_each(function() place:remove() end)

  local head = [[
    local rt = require "railtracks"
    local function say(...) print(...) io.stdout:flush() end
  ]]

  --- Starts the code as a script; what else is given stands before it.
  local function start(code, ...)
    scripts = scripts + 1
    local name = scripts == 1 and "script.lua" or ("script%d.lua"):format(scripts)
    place:write(name, head .. code)
    local words = { "run", ... }
    words[#words + 1] = name
    return place:start(words)
  end

  --- Runs it to its end. Returns output, errors and status.
  local function run(code, ...)
    local running <close> = start(code, ...)
    return running:wait()
  end

  local function count(text, pattern) return select(2, text:gsub(pattern, "")) end

  -- told -----------------------------------------------------------------------------

  describe("is told", function()
    it("with its node, its call and its line", function()
      local running <close> = start [[
        rt.call(function() end)
        local spin = rt.function_node("spin", function()
          while true do
          end
        end)
        rt.call(spin)
      ]]
      running:wait_for_errors "without a wait"
      assert.matches("^railtracks: warning: call 1%.2 %(spin%) has run for 1 s without a wait, "
        .. "at script.lua:[56]\n$", helper.read(running.errors))
      running:kill "KILL"
    end)

    it("once, however long it goes on", function()
      local _, said = run [[
        local function spin(seconds)
          local till = rt.now() + seconds
          while rt.now() < till do end
        end
        spin(2.3)
      ]]
      assert.equal(1, count(said, "\n"))
    end)

    it("again when it has given way in between", function()
      local _, said = run [[
        for _ = 1, 2 do
          local till = rt.now() + 1.4
          while rt.now() < till do end
          rt.sleep(0)
        end
      ]]
      assert.equal(2, count(said, "without a wait, at script.lua:5\n"))
    end)

    it("when it is the script itself, before and behind a wait", function()
      local running <close> = start [[
        rt.sleep(0.001)
        while true do end
      ]]
      running:wait_for_errors "call 1 (script.lua) has run for 1 s without a wait, at script.lua:4"
    end)

    it("after the loop has slept for long", function()
      local running <close> = start [[
        rt.sleep(0.5)
        while true do end
      ]]
      running:wait_for_errors "without a wait, at script.lua:4"
    end)

    it("inside a coroutine, and between coroutines", function()
      local inside <close> = start [[
        local function endless() while true do end end
        rt.call(function() coroutine.wrap(endless)() end)
      ]]
      local between <close> = start [[
        rt.call(function()
          while true do
            for _ in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do end
          end
        end)
      ]]
      inside:wait_for_errors "without a wait, at script.lua:3"
      between:wait_for_errors "without a wait, at script2.lua:5"
      assert.matches("^railtracks: warning: call 1%.1 [^\n]+\n$", helper.read(between.errors))
    end)

    it("while it sits in a C function: a pattern, a read, a program", function()
      os.execute("mkfifo " .. place.folder .. "/pipe")
      local holder = assert(io.open(place.folder .. "/pipe", "r+"))
      local function stuck(code)
        return start(("rt.call(rt.function_node('stuck', function() %s end))"):format(code))
      end
      local pattern <close> = stuck "string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))"
      local read <close> = stuck "io.open('pipe'):read 'a'"
      local program <close> = stuck "os.execute 'exec sleep 60'"
      for _, running in ipairs { pattern, read, program } do
        running:wait_for_errors "in a C function"
        assert.equal("railtracks: warning: call 1.1 (stuck) has run for 1 s without a wait and "
          .. "is in a C function\n", helper.read(running.errors))
        running:kill "KILL"
      end
      holder:close()
    end)

    it("with its line as well, once the C function has returned", function()
      local output, said = run [[
        say(os.execute "sleep 1.5; echo from the program")
      ]]
      assert.equal("from the program\ntrue\texit\t0\n", output)
      assert.matches("^[^\n]+ in a C function\n[^\n]+ without a wait, at script.lua:3\n$", said)
    end)
  end)

  it("is told with its line where the coroutine that was in C has gone", function()
    local _, said = run [[
      coroutine.wrap(os.execute) "sleep 1.3"
      collectgarbage()
    ]]
    assert.matches("^[^\n]+ in a C function\n[^\n]+ without a wait, at script.lua:[34]\n$", said)
  end)

  it("is not told where it gives way in time", function()
    local part = "local function part() local till = rt.now() + 0.1 "
      .. "while rt.now() < till do end end "
    local calls <close> = start(part .. "for _ = 1, 14 do rt.call(part) end")
    local waits <close> = start(part .. "for _ = 1, 14 do part() rt.sleep(0) end")
    local tasks <close> = start(part .. "rt.map(part, {1,2,3,4,5,6,7,8,9,10,11,12,13,14})")
    for _, running in ipairs { calls, waits, tasks } do
      local _, said, status = running:wait()
      assert.same({ "", 0 }, { said, status })
    end
  end)

  it("is neither told of nor looked for while the loop sleeps", function()
    local output, said = run [[
      local function switches()
        for line in io.lines "/proc/self/status" do
          local count = line:match "^voluntary_ctxt_switches:%s*(%d+)"
          if count then return tonumber(count) end
        end
      end
      rt.sleep(0.6)                           -- the watch falls asleep within it
      local before = switches()
      rt.sleep(1.5)
      say(switches() - before <= 4)           -- the sleep, and the watch falling asleep again
    ]]
    assert.same({ "true\n", "" }, { output, said })
  end)

  -- stopped --------------------------------------------------------------------------

  describe("past --slice-limit", function()
    local limit = { "--slice-limit", "0.2" }

    it("fails with an error of kind budget that says where it was", function()
      local output, said, status = run([[
        local spin = rt.function_node("spin", function()
          while true do
          end
        end)
        local ok, e = rt.settle(rt.spawn(spin))[1]
        e = ok.error
        say(rt.kind(e), e.seconds, e.call, e.node)
        error(e)
      ]], table.unpack(limit))
      assert.equal("budget\t0.2\t1.1\tspin\n", output)
      assert.matches("^railtracks: budget: the slice limit of 0.2 s was spent without a wait, "
        .. "at script.lua:[45]\nstack traceback:\n\tscript.lua:[45]: in .-1%.1 %(spin%)", said)
      assert.equal(1, status)
    end)

    it("closes what it has open, which may wait", function()
      local output, _, status = run([[
        local function work()
          local outer <close> = setmetatable({}, { __close = function()
            rt.call(function() say "outer" end)
          end })
          local inner <close> = setmetatable({}, { __close = function()
            for i = 1, 100000 do i = i + 1 end
            say "inner"
          end })
          while true do end
        end
        work()
      ]], table.unpack(limit))
      assert.equal("inner\nouter\n", output)
      assert.equal(1, status)
    end)

    it("is stopped when what closes does not give way either", function()
      local output, said, status = run([[
        local function spin() while true do end end
        rt.call(function()
          local it <close> = setmetatable({}, { __close = function()
            say "closing"
            spin()
          end })
          spin()
        end)
      ]], table.unpack(limit))
      assert.equal("closing\n", output)
      assert.matches("^railtracks: budget: ", said)
      assert.equal(1, status)
    end)

    it("is stopped whatever it catches", function()
      local _, said, status = run([[
        rt.call(function()
          while true do pcall(function() while true do end end) end
        end)
      ]], table.unpack(limit))
      assert.matches("^railtracks: budget: ", said)
      assert.equal(1, status)
    end)

    for how, code in pairs {
      ["in a coroutine"] = "coroutine.wrap(spin)()",
      ["in coroutines that catch it"] = [[
        while true do coroutine.resume(coroutine.create(function()
          while true do pcall(coroutine.wrap(spin)) end
        end)) end]],
      ["in short coroutines"] = "while true do coroutine.wrap(function() end)() end",
      ["where Lua cannot yield"] = "table.sort({ 1, 2, 3 }, spin)",
    } do
      it("is stopped " .. how, function()
        local _, said, status = run("local function spin() while true do end end " .. code,
          table.unpack(limit))
        assert.matches("^railtracks: budget: ", said)
        assert.equal(1, status)
      end)
    end

    it("is stopped when it returns from a C function", function()
      local output, said, status = run([[
        os.execute "sleep 0.6"
        say "never"
      ]], table.unpack(limit))
      assert.equal("", output)
      assert.matches("^railtracks: budget: ", said)
      assert.equal(1, status)
    end)

    it("leaves other tasks alone", function()
      local output, _, status = run([[
        local other = rt.spawn(function() rt.sleep(0.3) return "went on" end)
        rt.settle(rt.spawn(function() while true do end end))
        say(other:await())
      ]], table.unpack(limit))
      assert.equal("went on\n", output)
      assert.equal(0, status)
    end)

    it("is told too where the limit is longer than a second", function()
      local _, said, status = run("while true do end", "--slice-limit", "1.3")
      assert.matches("^railtracks: warning: [^\n]+\nrailtracks: budget: the slice limit of 1.3 s",
        said)
      assert.equal(1, status)
    end)

    it("does not concern code that gives way in time", function()
      local output, said, status = run([[
        for _ = 1, 50 do
          local till = rt.now() + 0.02
          while rt.now() < till do end
          rt.sleep(0)
        end
        say "done"
      ]], "--slice-limit", "0.5")
      assert.same({ "done\n", "", 0 }, { output, said, status })
    end)
  end)

  it("still ends at the second Ctrl-C when it has been told", function()
    local running <close> = start [[
      rt.call(function() while true do pcall(function() while true do end end) end end)
    ]]
    running:wait_for_errors "without a wait"
    assert.equal(130, (select(3, running:kill_twice())))
  end)
end)
