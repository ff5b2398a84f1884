local helper = require "spec.helper"

describe("the program", function()
  local place, folder, journal

  before_each(function()
    place = helper.workplace()
    folder, journal = place.folder, place.journal
  end)
  after_each(function() place:remove() end)

  local function write(name, text) return place:write(name, text) end

  --- Runs the program in the folder, with its journal there.
  local function program(words, options) return place:run(words, options) end

  describe("running a script", function()
    it("hands it the arguments as ...", function()
      write("script.lua", "print(select('#', ...), ...)")
      assert.equal("3\ta\t-b\t--json\n",
        (program { "run", "script.lua", "a", "-b", "--json" }))
    end)

    it("sets arg as lua does", function()
      write("script.lua", "print(arg[0], arg[1], arg[2], arg[-1], #arg)")
      assert.equal("script.lua\ta\tb\trun\t2\n", (program { "run", "script.lua", "a", "b" }))
    end)

    it("finds the modules in the script's folder first", function()
      os.execute("mkdir " .. folder .. "/lib")
      write("lib/neighbour.lua", "return 'found'")
      write("lib/script.lua", "print((require 'neighbour'))")
      assert.equal("found\n", (program { "run", "lib/script.lua" }))
    end)

    it("reads it from standard input when it is -", function()
      local output = program({ "run", "-", "a" }, { input = "print(arg[0], ...)" })
      assert.equal("-\ta\n", output)
    end)

    it("runs the CODE of -e with arguments", function()
      assert.equal("a\t-b\n", (program { "run", "-e", "print(...)", "a", "-b" }))
    end)

    it("passes over a first line that begins with #", function()
      write("script.lua", "#!/usr/bin/env railtracks\nprint 'on'")
      assert.equal("on\n", (program { "run", "script.lua" }))
      assert.equal("on\n", (program({ "-" }, { input = "#!x\nprint 'on'" })))
    end)

    it("runs a script that is a pipe", function()
      local output = helper.shell("printf 'print(\"ran\")' | " .. helper.quote(helper.program)
        .. " run --journal none /dev/stdin")
      assert.equal("ran\n", output)
    end)

    it("runs FILE.lua without a command", function()
      write("script.lua", "print('on', ...)")
      assert.equal("on\ta\n", (program { "script.lua", "a" }))
    end)

    it("runs -e CODE without a command", function()
      assert.equal("on\n", (program { "-e", "print 'on'" }))
    end)

    it("takes options before the script only", function()
      write("script.lua", "print(...)")
      assert.equal("--journal\tx\n", (program { "run", "script.lua", "--journal", "x" }))
    end)

    it("ends its options at --", function()
      write("-odd.lua", "print 'on'")
      assert.equal("on\n", (program { "run", "--", "-odd.lua" }))
    end)

    it("takes an option's value behind = too", function()
      program { "run", "--journal=" .. folder .. "/other.db", "-e", "" }
      assert.is_true(helper.exists(folder .. "/other.db"))
    end)

    it("neither prints what it returns nor exits with it", function()
      local output, said, status = program { "-e", "return 7" }
      assert.same({ "", "", 0 }, { output, said, status })
    end)

    it("reads standard input as lua does", function()
      assert.equal("HELLO", (program({ "-e", "io.write(io.read('a'):upper())" },
        { input = "hello" })))
    end)

    it("writes nothing of its own to standard output or, if all is well, anywhere", function()
      local output, said, status = program { "-e", "io.write 'mine'" }
      assert.same({ "mine", "", 0 }, { output, said, status })
    end)

    it("knows the libraries of Lua", function()
      assert.equal("table table function\n", (program { "-e",
        "print(type(string), type(utf8), type(debug.traceback))" }):gsub("\t", " "))
    end)
  end)

  describe("a failing run", function()
    it("tells message and traceback on standard error, with status 1", function()
      write("script.lua", "local rt = require 'railtracks'\nlocal bad = "
        .. "rt.function_node('bad', function() error 'it broke' end)\nrt.call(bad)")
      local output, said, status = program { "run", "script.lua" }
      assert.equal("", output)
      assert.matches("^railtracks: script.lua:2: it broke\n", said)
      assert.matches("stack traceback:.*script.lua:2:.*1%.1 %(bad%).*script.lua:3:", said)
      assert.equal(1, status)
    end)

    for value, message in pairs {
      ["nil"] = "nil", ["42"] = "42", ["false"] = "false", ["{}"] = "table: 0x",
      ["setmetatable({}, { __tostring = function() return 'my own' end })"] = "my own",
      ["setmetatable({}, { __tostring = function() error 'no' end })"] = ".",
      ["setmetatable({}, { __tostring = function() return 1 end })"] = ".",
      ["print"] = "function: ", ["coroutine.create(print)"] = "thread: 0x",
    } do
      it("is told when its error is " .. value, function()
        local _, said, status = program { "-e", ("error(%s, 0)"):format(value) }
        assert.matches("^railtracks: " .. message, said)
        assert.equal(1, status)
      end)
    end

    it("keeps what it printed before", function()
      local output, _, status = program { "-e", "io.write 'before'; error 'x'" }
      assert.equal("before", output)
      assert.equal(1, status)
    end)

    it("fails with the failure of a task that nobody awaited", function()
      local _, said, status = program { "-e",
        "local rt = require 'railtracks'; rt.spawn(function() error 'unseen' end)" }
      assert.matches("unseen", said)
      assert.equal(1, status)
    end)

    it("fails when its tasks wait for each other for ever", function()
      local _, said, status = program { "-e", [[
        local rt = require 'railtracks'
        local task
        task = rt.spawn(function() rt.sleep(0); task:await() end)
        task:await()
      ]] }
      assert.matches("^railtracks: ", said)
      assert.equal(1, status)
    end)
  end)

  describe("os.exit in a run", function()
    it("ends the program with its code", function()
      local _, said, status = program { "-e", "os.exit(3)" }
      assert.equal("", said)
      assert.equal(3, status)
    end)

    it("ends it with 0 for true and 1 for false", function()
      assert.equal(0, (select(3, program { "-e", "os.exit(true)" })))
      assert.equal(1, (select(3, program { "-e", "os.exit(false)" })))
      assert.equal(0, (select(3, program { "-e", "os.exit()" })))
    end)

    it("writes what was printed and recorded before", function()
      local output = program { "-e", [[
        local rt = require 'railtracks'
        io.write 'before'
        rt.map(function(n) return n end, { 1, 2, 3 })
        os.exit(3)
      ]] }
      assert.equal("before", output)
      local found = helper.recorded(journal, "@1")
      assert.equal("cancelled", found.run.status)
      assert.equal(4, #found.calls)
      assert.equal("done", found.by_id["1.3"].status)
    end)

    it("runs the cleanup of every call first", function()
      local output = program { "-e", [[
        local rt = require 'railtracks'
        local function closing(text)
          return setmetatable({}, { __close = function() print(text) end })
        end
        local outer <close> = closing "outer"
        rt.spawn(function() local it <close> = closing "other"; rt.sleep(60) end)
        rt.sleep(0.001)
        rt.call(function() local it <close> = closing "inner"; os.exit(3) end)
      ]] }
      local lines = {}
      for line in output:gmatch "[^\n]+" do lines[#lines + 1] = line end
      table.sort(lines)
      assert.same({ "inner", "other", "outer" }, lines)
      assert.matches("inner.*outer", output)
    end)

    it("is not stopped by pcall", function()
      local output, _, status = program { "-e", [[
        pcall(function() os.exit(4) end)
        local rt = require 'railtracks'
        pcall(rt.sleep, 0)
        rt.sleep(0)
        print "still here"
      ]] }
      assert.equal("", output)
      assert.equal(4, status)
    end)
  end)
end)
