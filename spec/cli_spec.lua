local helper = require "spec.helper"

describe("the program", function()
  local folder, journal

  before_each(function()
    folder = helper.folder()
    journal = folder .. "/journal.db"
  end)
  after_each(function() helper.remove(folder) end)

  local function write(name, text) return helper.write(folder .. "/" .. name, text) end

  --- Runs the program in the folder, with its journal there.
  local function program(words, options)
    local given = { cd = folder, env = "RAILTRACKS_JOURNAL=" .. journal }
    for key, value in pairs(options or {}) do given[key] = value end
    return helper.run(words, given)
  end

  local function one_line(text)
    assert.matches("^railtracks: [^\n]+\n$", text)
  end

  -- run ------------------------------------------------------------------------------

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

  -- wrong usage ----------------------------------------------------------------------

  for _, wrong in ipairs {
    { { "run", "--bogus", "script.lua" }, "%-%-bogus" },
    { { "run", "-x" }, "%-x" },
    { { "run" }, "script" },
    { { "run", "--journal" }, "%-%-journal" },
    { { "run", "-e" }, "%-e" },
    { { "run", "--record-limit", "much", "-e", "" }, "much" },
    { { "run", "--journal-max", "-1", "-e", "" }, "%-1" },
    { { "run", "nowhere.lua" }, "nowhere.lua.*No such file" },
    { { "nowhere.lua" }, "nowhere.lua.*No such file" },
    { { "run", "." }, "%..*directory" },
    { { "run", "broken.lua" }, "broken.lua:2:" },
    { { "-e", "x x" }, "syntax error" },
    { { "bogus" }, "bogus" },
    { { "--bogus" }, "bogus" },
    { { "help", "bogus" }, "bogus" },
    { { "show", "--bogus" }, "%-%-bogus" },
    { { "show", "@1", "@2" }, "@2" },
    { { "show", "--limit", "many" }, "many" },
    { { "show", "--json=yes" }, "%-%-json" },
    { { "show", "--journal", "none" }, "none" },
    { { "runs", "x" }, "x" },
  } do
    it("refuses '" .. table.concat(wrong[1], " ") .. "' in one line, with status 2", function()
      write("broken.lua", "print 'never'\nlocal = 1")
      local output, said, status = program(wrong[1])
      assert.equal("", output)
      one_line(said)
      assert.matches(wrong[2], said)
      assert.equal(2, status)
    end)
  end

  it("opens no journal for a script that does not compile", function()
    program { "-e", "x x" }
    assert.is_false(helper.exists(journal))
  end)

  -- failing --------------------------------------------------------------------------

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

  -- os.exit --------------------------------------------------------------------------

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

  -- signals --------------------------------------------------------------------------

  local napping = [[
    local rt = require "railtracks"
    local closing <close> = setmetatable({}, { __close = function() print "cleaned" end })
    local nap = rt.function_node("nap", function() rt.sleep(60) end)
    rt.map(function(n) return n end, { 1, 2, 3 })
    rt.spawn(nap)
    rt.sleep(0)
    io.write "ready\n"
    io.stdout:flush()
    io.write "buffered\n"
    rt.sleep(60)
  ]]

  for name, status in pairs { INT = 130, TERM = 143, HUP = 129 } do
    describe("on SIG" .. name, function()
      it(("cancels the run, cleans up and exits with %d"):format(status), function()
        local running <close> = helper.start({ "run", "--journal", journal, "-e", napping })
        running:wait_for_output "ready"
        running:kill(name)
        local output, _, got = running:wait()
        assert.equal("ready\nbuffered\ncleaned\n", output)
        assert.equal(status, got)
      end)

      it("records the run as cancelled and every call with it", function()
        local running <close> = helper.start({ "run", "--journal", journal, "-e", napping })
        running:wait_for_output "ready"
        running:kill(name)
        running:wait()
        local found = helper.recorded(journal, "@1")
        assert.equal("cancelled", found.run.status)
        assert.equal(5, found.run.calls)
        local statuses = {}
        for i, call in ipairs(found.calls) do statuses[i] = call.status end
        assert.same({ "cancelled", "done", "done", "done", "cancelled" }, statuses)
        assert.is_number(found.run.ended_at)
      end)
    end)
  end

  it("ends a run that is stuck in C when Ctrl-C is pressed three times", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      io.write "ready\n"
      io.stdout:flush()
      string.find(("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40)) -- takes for ever
    ]] })
    running:wait_for_output "ready"
    helper.wait_for("the process to end", function()
      running:kill "INT"
      return running:over()
    end)
    assert.equal(130, (select(3, running:wait())))
    assert.equal("interrupted", helper.recorded(journal, "@1").run.status)
  end)

  it("hears SIGTERM in a row of sleeps of no length", function()
    local running <close> = helper.start({ "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      while true do rt.sleep(0) end
    ]] })
    running:wait_for_output "ready"
    running:kill "TERM"
    assert.equal(143, (select(3, running:wait())))
  end)

  it("runs a script that is a pipe", function()
    local output = helper.shell("printf 'print(\"ran\")' | " .. helper.quote(helper.program)
      .. " run --journal none /dev/stdin")
    assert.equal("ran\n", output)
  end)

  it("stops a run that computes without waiting on the second Ctrl-C", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      rt.call(function() while true do pcall(function() while true do end end) end end)
    ]] })
    running:wait_for_output "ready"
    local pressed = 0
    helper.wait_for("the process to end", function()
      if pressed < 2 then running:kill "INT" end
      pressed = pressed + 1
      return running:over()
    end)
    assert.equal(130, (select(3, running:wait())))
    local found = helper.recorded(journal, "@1")
    assert.equal("cancelled", found.run.status)
    assert.equal("cancelled", found.calls[2].status)
  end)

  it("leaves SIGHUP ignored where nohup started it", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      local file
      repeat
        rt.sleep(0.005)
        file = io.open(...)
      until file
      print "went on"
    ]], folder .. "/go" }, { env = "nohup" })
    running:wait_for_output "ready"
    running:kill "HUP"
    write("go", "")
    local output, _, status = running:wait()
    assert.equal("ready\nwent on\n", output)
    assert.equal(0, status)
  end)

  it("leaves SIGINT ignored where a shell's background started it", function()
    local output, _, status = helper.shell(([[
      cd %s
      %s run --journal none -e '
        local rt = require "railtracks"
        io.write "ready\n" io.stdout:flush()
        local file
        repeat rt.sleep(0.005) file = io.open "go" until file
        print "went on"' >out &
      until grep -q ready out 2>/dev/null; do sleep 0.02; done
      kill -INT $!
      touch go
      wait $!; status=$?
      cat out
      exit $status
    ]]):format(folder, helper.quote(helper.program)))
    assert.equal("ready\nwent on\n", output)
    assert.equal(0, status)
  end)

  -- version, help --------------------------------------------------------------------

  it("tells its version", function()
    local output, said, status = program { "version" }
    assert.matches("^railtracks %d+%.%d+%.%d+", output)
    assert.same({ "", 0 }, { said, status })
    assert.equal(output, (program { "--version" }))
  end)

  it("tells how it is used", function()
    local output, said, status = program { "help" }
    assert.same({ "", 0 }, { said, status })
    for _, command in ipairs { "run", "runs", "show", "version", "help" } do
      assert.matches("railtracks " .. command, output)
    end
    assert.equal(output, (program { "--help" }))
  end)

  for _, command in ipairs { "run", "runs", "show", "version", "help" } do
    it("tells how " .. command .. " is used", function()
      local output, _, status = program { "help", command }
      assert.matches("^usage: railtracks " .. command, output)
      assert.equal(0, status)
    end)
  end

  it("tells how a command is used when it is given --help", function()
    for _, command in ipairs { "run", "runs", "show" } do
      assert.equal((program { "help", command }), (program { command, "--help" }))
    end
  end)

  -- runs -----------------------------------------------------------------------------

  describe("listing runs", function()
    it("has the newest first", function()
      for _, name in ipairs { "first", "second", "third" } do
        write(name .. ".lua", "")
        program { "run", name .. ".lua" }
      end
      local output, said, status = program { "runs" }
      assert.same({ "", 0 }, { said, status })
      assert.matches("third.*second.*first", output)
    end)

    it("tells status and count of calls", function()
      program { "-e", "require('railtracks').map(function() end, { 1, 2 })" }
      program { "-e", "error 'x'" }
      local output = program { "runs" }
      assert.matches("failed[^\n]*%s1%s[^\n]*\n[^\n]*done[^\n]*%s3%s", output)
    end)

    it("is a JSON list with --json", function()
      program { "-e", "" }
      program { "-e", "error 'x'" }
      local list = require("cjson").decode((program { "runs", "--json" }))
      assert.equal(2, #list)
      local keys = {}
      for key in pairs(list[1]) do keys[#keys + 1] = key end
      table.sort(keys)
      assert.same({ "calls", "ended_at", "error", "id", "name", "started_at", "status" }, keys)
      assert.equal("failed", list[1].status)
      assert.equal("done", list[2].status)
    end)

    it("stops at --limit", function()
      for _ = 1, 3 do program { "-e", "" } end
      assert.equal(2, #require("cjson").decode((program { "runs", "--json", "--limit", "2" })))
      local _, lines = (program { "runs", "--limit", "2" }):gsub("%(command line%)", "")
      assert.equal(2, lines)
    end)

    it("says that a journal without runs has none", function()
      program { "-e", "" }
      helper.sql(journal, "DELETE FROM runs")
      local output, _, status = program { "runs" }
      assert.matches("no runs", output)
      assert.equal(0, status)
      assert.same({}, require("cjson").decode((program { "runs", "--json" })))
    end)

    it("fails in one line where there is no journal", function()
      local output, said, status = program { "runs" }
      assert.equal("", output)
      one_line(said)
      assert.matches(journal, said, 1, true)
      assert.equal(1, status)
    end)
  end)

  -- show -----------------------------------------------------------------------------

  describe("showing a run", function()
    it("is a tree with arguments, results and errors", function()
      write("script.lua", [[
        local rt = require "railtracks"
        local leaf = rt.function_node("leaf", function(word)
          if word == "bad" then error "it broke" end
          return word:upper()
        end)
        local branch = rt.function_node("branch", function(...)
          rt.settle(rt.spawn(leaf, ...), rt.spawn(leaf, "bad"))
        end)
        rt.call(branch, "word")
      ]])
      program { "run", "script.lua" }
      local output, said, status = program { "show" }
      assert.same({ "", 0 }, { said, status })
      assert.matches('\n[^\n]-script.lua%(%)[^\n]*\n[^\n]-  %S+ branch%("word"%)[^\n]*\n'
        .. '[^\n]-    %S+ leaf%("word"%) → "WORD"\n[^\n]-    %S+ leaf%("bad"%)[^\n]*\n'
        .. '[^\n]*it broke\n', output)
    end)

    it("shows the newest by default, and @N counts from there", function()
      for _, name in ipairs { "first", "second", "third" } do
        write(name .. ".lua", "")
        program { "run", name .. ".lua" }
      end
      assert.matches("^third.lua", (program { "show" }))
      assert.matches("^third.lua", (program { "show", "@1" }))
      assert.matches("^second.lua", (program { "show", "@2" }))
      assert.matches("^first.lua", (program { "show", "@3" }))
    end)

    it("finds a run by a unique beginning or end of its id", function()
      write("first.lua", "")
      program { "run", "first.lua" }
      write("second.lua", "")
      program { "run", "second.lua" }
      local id = helper.recorded(journal, "@2").run.id
      assert.matches("^first.lua", (program { "show", id }))
      assert.matches("^first.lua", (program { "show", id:sub(1, -2) }))
      assert.matches("^first.lua", (program { "show", id:sub(-8) }))
    end)

    it("refuses a beginning that means several runs", function()
      program { "-e", "" }
      program { "-e", "" }
      local output, said, status = program { "show", "0" }
      assert.equal("", output)
      one_line(said)
      assert.equal(1, status)
    end)

    for _, name in ipairs { "@2", "@0", "@", "@x", "zzz", "" } do
      it(("says that there is no run '%s'"):format(name), function()
        program { "-e", "" }
        local output, said, status = program { "show", name }
        assert.equal("", output)
        one_line(said)
        assert.equal(1, status)
      end)
    end

    it("is one JSON object with --json, before or behind the run", function()
      program { "-e", "" }
      local before = program { "show", "--json", "@1" }
      assert.equal(before, (program { "show", "@1", "--json" }))
      local keys = {}
      for key in pairs(require("cjson").decode(before)) do keys[#keys + 1] = key end
      table.sort(keys)
      assert.same({ "calls", "run" }, keys)
    end)

    it("has every field of every call in the JSON", function()
      program { "-e", "require('railtracks').call(function() end)" }
      for _, call in ipairs(helper.recorded(journal, "@1").calls) do
        local keys = {}
        for key in pairs(call) do keys[#keys + 1] = key end
        table.sort(keys)
        assert.same({ "args", "ended_at", "error", "id", "kind", "node", "parent", "results",
          "site", "spawned_at", "started_at", "status" }, keys)
      end
    end)

    it("tells the failure of the run with its traceback", function()
      program { "-e", "error 'it broke'" }
      local output = program { "show" }
      assert.matches("failed", output)
      assert.matches("error:.*it broke\nstack traceback:", output)
    end)

    it("shortens long arguments and results", function()
      program { "-e",
        "require('railtracks').call(function(...) return ... end, ('x'):rep(5000))" }
      for line in (program { "show" }):gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= 100, line)
      end
    end)

    it("has no escape codes where its output is no terminal", function()
      program { "-e", "pcall(require('railtracks').call, error, 'x')" }
      assert.not_matches("\27", (program { "show" }))
      assert.not_matches("\27", (program { "runs" }))
    end)

    local function on_terminal(words, env)
      local line = { env, helper.quote(helper.program) }
      for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
      return (helper.shell(("script -qec %s /dev/null </dev/null"):format(
        helper.quote("env " .. table.concat(line, " ")))))
    end

    it("has colours on a terminal, but not with NO_COLOR", function()
      program { "-e", "" }
      local words = { "show", "--journal", journal }
      assert.matches("\27%[", on_terminal(words, "-u NO_COLOR TERM=xterm"))
      assert.not_matches("\27", on_terminal(words, "NO_COLOR=1 TERM=xterm"))
      assert.not_matches("\27", on_terminal(words, "-u NO_COLOR TERM=dumb"))
    end)

    it("lets no control character of names, values and errors through", function()
      program { "-e", [[
        local rt = require "railtracks"
        local evil = "\27[31m\7\r\8\127\u{9b}\u{202e}"
        local node = rt.function_node("evil" .. evil, function(...) return ... end)
        rt.call(node, evil, { [evil] = evil })
        rt.call(function() error(evil) end)
      ]] }
      local output = (program { "show" }):gsub("\n", "")
      assert.not_matches("[%c\127]", output)
      assert.not_matches("\u{9b}", output, 1, true)
      assert.not_matches("\u{202e}", output, 1, true)
    end)

    it("ends quietly when nobody reads on", function()
      program { "-e", "local rt = require 'railtracks'; local l = {}; "
        .. "for i = 1, 50000 do l[i] = i end; rt.map(function() end, l)" }
      for _, words in ipairs { "show --all", "show --json", "runs" } do
        local output, said = helper.shell(("%s %s --journal %s | head -1"):format(
          helper.quote(helper.program), words, journal))
        assert.matches("^[^\n]+\n$", output)
        assert.equal("", said)
      end
    end)

    it("shows 200 calls by default, and says how many more there are", function()
      program { "-e", "local rt = require 'railtracks'; local l = {}; "
        .. "for i = 1, 1000 do l[i] = i end; rt.map(function() end, l)" }
      local output = program { "show" }
      local _, lines = output:gsub("\n", "")
      assert.is_true(lines < 210)
      assert.matches("801 more calls %(%-%-all shows them%)", output)
      _, lines = (program { "show", "--all" }):gsub("\n", "")
      assert.is_true(lines > 1000)
      assert.matches("991 more calls", (program { "show", "--limit", "10" }))
    end)

    it("cuts a run of a million calls and says so", function()
      local _, said, status = program { "-e", [[
        local rt = require "railtracks"
        local items = {}
        for i = 1, 1000000 do items[i] = i end
        rt.map(function() end, items)
      ]] }
      assert.same({ "", 0 }, { said, status })
      local output = program { "show" }
      assert.matches("1,000,001 calls", output)
      assert.matches("999,801 more calls", output)
      assert.is_true(#output < 40000)
    end)
  end)
end)
