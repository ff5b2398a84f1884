local helper = require "spec.helper"
local terminal = require "spec.terminal"

--- Runs `use(pane)` with the program at its prompt.
local function at_prompt(use, words, options)
  return function()
    local pane <close> = terminal.open(words, options)
    pane:prompt()
    use(pane)
  end
end

describe("the prompt", function()
  it("stands below a banner of two lines", at_prompt(function(pane)
    local banner, lines = pane:screen():gsub("\n", "\n")
    assert.equal(2, lines)
    assert.matches("^Railtracks %d.-\n[^\n]*help[^\n]*Ctrl%-D[^\n]*\nrt>$", banner)
  end))

  it("shows the value of an expression, and nothing for a statement", at_prompt(function(pane)
    assert.equal("2", pane:run "1 + 1")
    assert.equal("", pane:run "local x = 5")
    assert.equal("5", pane:run "x")
    assert.equal('"a\\n"\t7', (pane:run "'a\\n', 7":gsub(" +", "\t")))
  end))

  it("remembers values as _ and _1, the last error as _err", at_prompt(function(pane)
    pane:run "20"
    pane:run "21"
    assert.equal("42", pane:run "_ * 2")
    assert.equal("21", pane:run "_1")
    pane:run "error { code = 7 }"
    assert.equal("7", pane:run "_err.code")
  end))

  it("waits for lines that wait", at_prompt(function(pane)
    assert.equal('"slept"', pane:run "rt.sleep(0.05) return 'slept'")
    assert.equal("{1, 2, n = 2}",
      pane:run "rt.map(function(n) rt.sleep(0.01) return n end, { 1, 2 })")
  end))

  it("comes back while what was spawned goes on", at_prompt(function(pane)
    assert.matches("^Task 1%.1%.1 %(", pane:run "rt.spawn(function() rt.sleep(60) end)")
  end))

  it("stays below what is printed behind it, with what was typed", at_prompt(function(pane)
    pane:run "t = rt.spawn(function() ch = rt.channel() ch:receive() print 'from print' end)"
    pane:run("u = rt.spawn(function() dh = rt.channel() dh:receive() "
      .. "io.stderr:write 'to err\\n' end)")
    pane:run "v = rt.spawn(function() rt.sleep(0.3) ch:send(1) dh:send(1) end)"
    pane:type "half a line"
    pane:see "from print"
    pane:see "to err"
    local screen = pane:prompt "half a line"
    assert.matches("from print\n.*rt> half a line$", screen)
    assert.equal(1, select(2, screen:gsub("half a line", "")))
  end))

  it("stays below what the engine says, and a text of several rows stays too",
    at_prompt(function(pane)
      pane:run "t = rt.spawn(function() rt.sleep(0.3) error 'lost' end)"
      pane:type "for i = 1, 2 do"
      pane:press "Enter"
      pane:type "  print(i)"
      pane:see "nobody waits for it"
      pane:wait("both rows", function(screen)
        return screen:find("lost\nrt> for i = 1, 2 do\n  print(i)", 1, true)
      end)
      pane:press "Enter"
      pane:type "end"
      pane:press "Enter"
      assert.matches("end\n1\n2\nrt>$", pane:prompt())
    end))

  it("holds a part of a line back until its end", at_prompt(function(pane)
    pane:run("t = rt.spawn(function() rt.sleep(0.1) io.write 'one ' io.flush() "
      .. "rt.sleep(0.1) print 'two' end)")
    pane:see "\none two\n"
    pane:prompt()
  end))

  it("begins on a line of its own", at_prompt(function(pane)
    pane:type "io.write 'no newline' and nil"
    pane:press "Enter"
    assert.matches("\nno newlinenil\nrt>$", pane:prompt())
    pane:type "x = io.write 'no newline'"
    pane:press "Enter"
    assert.matches("\nno newline\nrt>$", pane:prompt())
  end))

  it("lets a line read what is typed", at_prompt(function(pane)
    pane:type "print 'well?' x = io.read()"
    pane:press "Enter"
    pane:see "\nwell?"
    pane:type "an answer"
    pane:press "Enter"
    pane:prompt()
    assert.equal('"an answer"', pane:run "x")
  end))

  it("shows an error with the way it took, and goes on", at_prompt(function(pane)
    pane:run "function inner() error 'boom' end"
    local shown = pane:run "rt.call(function() inner() end)"
    assert.matches("^error: line 1:1: boom\nstack traceback:\n.*in function 'inner'\n", shown)
    assert.matches("\n  in call 1%.2%.1 %(line 2:1%), called at line 2:1\n", shown)
    assert.is_nil(shown:find("session", 1, true))
    assert.equal("error: 7", pane:run "error(7)")
    assert.equal("2", pane:run "1 + 1")
  end))

  it("tells that a line can never end, and who waits for what", at_prompt(function(pane)
    assert.matches("^error: deadlock: .*channel:receive", pane:run "rt.channel():receive()")
    assert.equal("2", pane:run "1 + 1")
  end))

  it("does not judge what waits behind it", at_prompt(function(pane)
    pane:run "t = rt.spawn(function() ch = rt.channel() return ch:receive() end)"
    pane:run "rt.sleep(0.01)"
    pane:run "ch:send(8)"
    assert.matches("^8 +true$", pane:run "t:await()")
  end))

  it("prints a value of 10 MB in short", at_prompt(function(pane)
    pane:run "('x'):rep(10000000)"
    local shown = pane:everything()
    assert.matches('x…" %(10,000,000 bytes%)\nrt>$', shown:gsub("\n %(", " ("))
    assert.is_true(#shown < 3000)
    pane:run "t = {} for i = 1, 1000000 do t[i] = i end"
    assert.matches("… 999,900 more\n}$", pane:run "t")
  end))
end)

describe("Ctrl-C", function()
  --- Runs a line that takes long, and waits until it has begun.
  local function start(pane, line)
    pane:type("print 'it runs' " .. line)
    pane:press "Enter"
    pane:see "\nit runs"
  end

  for what, line in pairs {
    ["a sleep"] = "rt.sleep(60)",
    ["an endless sleep"] = "b = rt.spawn(rt.sleep, 60) rt.sleep(math.huge)",
    ["a call"] = "rt.call(function() rt.call(rt.sleep, 60) end)",
    ["an await"] = "rt.spawn(rt.sleep, 60):await()",
    ["a gather"] = "rt.gather { rt.spawn(rt.sleep, 60), rt.spawn(rt.sleep, 61) }",
    ["a race"] = "rt.race { rt.spawn(rt.sleep, 60), rt.spawn(rt.sleep, 61) }",
    ["a map"] = "rt.map(rt.sleep, { 60, 61, 62 }, { limit = 2 })",
    ["as_completed"] = "for _ in rt.as_completed { rt.spawn(rt.sleep, 60) } do end",
    ["a channel"] = "c = rt.channel() b = rt.spawn(rt.sleep, 60) c:receive()",
    ["a full channel"] = "c = rt.channel() b = rt.spawn(rt.sleep, 60) c:send(1)",
    ["a semaphore"] = "s = rt.semaphore(1) s:acquire() b = rt.spawn(rt.sleep, 60) s:acquire()",
    ["a run inside"] = "rt.run(function() rt.sleep(60) end)",
    ["a timeout"] = "rt.timeout(60, rt.sleep, 60)",
    ["a pause of retry"] = "rt.retry({ delay = 60, jitter = 0 }, function() error 'no' end)",
    ["a generator that waits"] = "for x in coroutine.wrap(function() rt.sleep(60) end) do end",
    ["a loop that never waits"] = "while true do end",
    ["a loop in a call"] = "rt.call(function() while true do end end)",
    ["a loop behind pcall"] = "while true do pcall(function() while true do end end) end",
    ["a read"] = "io.read()",
    ["a __tostring that loops"] =
      "return setmetatable({}, { __tostring = function() while true do end end })",
    ["a native node"] = ("rt.load(%q).hash_file('/dev/zero')"):format(
      helper.build .. "/plugins/hash.so"),
  } do
    it("ends " .. what, function()
      local pane <close> = terminal.open({}, { cd = ".", width = 200 })
      pane:prompt()
      start(pane, line)
      pane:press "C-c"
      assert.matches("\nit runs\n%^C\n.*: Ctrl%-C", pane:prompt())
      assert.equal("2", pane:run "1 + 1")
    end)
  end

  it("lets the line clean up, which may wait", at_prompt(function(pane)
    start(pane, "local c <close> = setmetatable({}, "
      .. "{ __close = function() rt.sleep(0.05) print 'cleaned' end }) rt.sleep(60)")
    pane:press "C-c"
    assert.matches("\ncleaned\ncancelled: Ctrl%-C", pane:prompt())
  end))

  it("cancels only the line that runs", at_prompt(function(pane)
    pane:run "t = rt.spawn(function() rt.sleep(60) end)"
    start(pane, "rt.sleep(60)")
    pane:press "C-c"
    pane:prompt()
    assert.equal('"running"', pane:run "t:status()")
    assert.equal("2", pane:run "1 + 1")
  end))

  it("ends, pressed twice, what does not want to end", at_prompt(function(pane)
    start(pane, "while true do rt.raw.pcall(function() while true do end end) end")
    helper.wait_for("the next prompt", function()
      pane:press "C-c"
      return pane:screen():find("\nrt>$")
    end)
    pane:press "C-c"
    pane:prompt()
    assert.equal("2", pane:run "1 + 1")
  end))

  it("clears what was typed, one row or several", at_prompt(function(pane)
    pane:type "half a li"
    pane:press "C-c"
    assert.matches("rt> half a li^C\nrt>$", (pane:prompt():gsub("%^", "^")))
    pane:type "for i = 1, 2 do"
    pane:press "Enter"
    pane:type "  pri"
    pane:press "C-c"
    pane:prompt()
    assert.equal("2", pane:run "1 + 1")
  end))

  it("ends what keeps the prompt from being heard", at_prompt(function(pane)
    pane:type "t = rt.spawn(function() rt.sleep(0.05) while true do end end)"
    pane:press "Enter"
    pane:see "without a wait"
    helper.wait_for("the prompt to be heard", function()
      pane:press "C-c"
      return pane:screen():find("%^C\nrt>$")
    end)
    pane:press "C-c"
    pane:prompt()
    assert.equal('"cancelled"', pane:run "t:status()")
  end))
end)

describe("leaving", function()
  it("is Ctrl-D, :quit, quit or exit", function()
    for _, way in ipairs { "C-d", ":quit", "quit", "exit" } do
      local pane <close> = terminal.open()
      pane:prompt()
      if way == "C-d" then
        pane:press "C-d"
      else
        pane:type(way)
        pane:press "Enter"
      end
      assert.equal(0, (pane:wait_for_end()))
    end
  end)

  it("cancels what still runs, tells of it, and lets it clean up", at_prompt(function(pane)
    pane:run("function nap() local c <close> = setmetatable({}, "
      .. "{ __close = function() print 'cleaned' end }) rt.sleep(60) end")
    pane:run "task = rt.spawn(nap)"
    pane:run "rt.sleep(0.01)"
    pane:press "C-d"
    local status, screen = pane:wait_for_end()
    assert.equal(0, status)
    assert.matches("\ncancelling what still runs:\n  1%.2  task = rt%.spawn%(nap%)", screen)
    assert.matches("%)\ncleaned", screen)
  end))

  it("is the end of a session that SIGTERM ends, with the terminal as it was", function()
    local pane <close> = terminal.open({}, { command = "sh" })
    pane:see "#"
    pane:type(helper.quote(helper.program))
    pane:press "Enter"
    pane:prompt()
    local child = helper.shell("pgrep -P " .. pane:pid()):match("%d+")
    helper.shell("kill -TERM " .. child)
    pane:wait("the shell", function(screen) return not screen:find("rt>[^\n]*$") end)
    pane:type "echo status $?; stty -a | grep -o -e ' -icanon' -e ' icanon'"
    pane:press "Enter"
    pane:see "status 143\n icanon"
  end)
end)

describe("a terminal that has gone", function()
  for _, line in ipairs { "print 'goes' rt.sleep(100)", "print 'goes' while true do end",
    "while true do print 'goes' end" } do
    it("ends " .. line, at_prompt(function(pane)
      local process = "/proc/" .. pane:pid()
      pane:send(line .. "\n")
      pane:see "\ngoes"
      pane:tmux "kill-server"
      helper.wait_for("the program to end", function() return not helper.exists(process) end)
    end))
  end
end)

describe("what would end a run", function()
  it("ends its line alone, whoever catches it", at_prompt(function(pane)
    pane:run "kept = 'still here'"
    pane:run "give_up = rt.function_node('give_up', function() rt.fatal('no more') end)"
    for _, line in ipairs { "rt.fatal('no more')", "give_up()", "pcall(give_up)",
      "rt.shield(function() rt.spawn(give_up) rt.sleep(100) end)" } do
      assert.matches("error: fatal: no more", pane:run(line))
    end
    assert.equal('"still here"', pane:run "kept")
    assert.equal('"fatal"', pane:run "rt.kind(_err)")
    assert.equal("nothing runs", pane:run ":tasks")
  end))

  it("is told where its line goes on behind the prompt, and ends that", at_prompt(function(pane)
    pane:run "late = function() rt.spawn(rt.sleep, 100) rt.sleep(0.01) rt.fatal 'late' end"
    pane:send "job = rt.spawn(late)\n"
    pane:see "failed and nobody waits for it: fatal"
    assert.equal('"failed"', pane:run "job:status()")
  end))

  it("is no error in a callback of the loop: that is told", at_prompt(function(pane)
    pane:run "timer = rt.uv.new_timer()"
    pane:send "timer:start(1, 0, function() error 'called' end)\n"
    pane:see "a callback of the event loop failed: line 2:1: called"
    assert.equal("2", pane:run "1 + 1")
  end))
end)
