local helper = require "spec.helper"
local terminal = require "spec.terminal"

--- Works in steps of a few milliseconds until the global `stop` is set.
local worker = [[
  local rt = require "railtracks"
  steps = 0
  local step = rt.function_node("step", function(n) rt.sleep(0.005) steps = steps + 1 end)
  function report() print "the program's own line" end
  io.stdout:write "ready\n"
  io.stdout:flush()
  while not stop do rt.call(step, steps) end
  print("ended")
]]

describe("a console", function()
  local place, socket

  before_each(function()
    place = helper.workplace()
    socket = place.folder .. "/console"
  end)
  after_each(function() place:remove() end)

  --- Starts a script with a console, and waits until it has said that it is ready.
  local function serve(code, words)
    place:write("script.lua", code or worker)
    local all = { "run", "--console", socket }
    for _, word in ipairs(words or {}) do all[#all + 1] = word end
    all[#all + 1] = "script.lua"
    local running = place:start(all)
    running:wait_for_output "ready"
    return running
  end

  --- What attaching with these lines gives: output, errors, status.
  local function attach(lines, options)
    options = options or {}
    options.input = lines
    return place:run({ "attach", socket }, options)
  end

  --- The same for lines that must go well: what was printed.
  local function results(lines)
    local output, said, status = attach(lines)
    assert.equal("", said)
    assert.equal(0, status)
    return output
  end

  --- The same for lines that end the program, before or after the client has gone.
  local function finish(lines) return (attach(lines)) end

  it("is a socket that only its user can open, gone when the program ends", function()
    local running <close> = serve()
    assert.equal("socket 600\n", (helper.shell("stat -c '%F %a' " .. socket)))
    finish "stop = true"
    local output, said, status = running:wait()
    assert.equal("ready\nended\n", output)
    assert.equal("", said)
    assert.equal(0, status)
    assert.is_false((os.rename(socket, socket)) or false)
  end)

  it("lets one look at values, call nodes, and set variables", function()
    local running <close> = serve()
    assert.equal('"number"\ntrue\n42\n', results [[
type(steps)
steps >= 0
rt.call(function() rt.sleep(0.001) return 42 end)]])
    assert.equal("5\n", results "local x = 5\nx")
    results "shared = 'for all'"
    assert.equal('"for all"\n', results "shared")
    running:kill "TERM"
  end)

  it("shows what runs there, and what it waits for", function()
    local running <close> = serve [[
      local rt = require "railtracks"
      io.stdout:write "ready\n" io.stdout:flush()
      rt.call(rt.function_node("patient", function() rt.sleep(60) end))
    ]]
    local text = results ":tasks"
    assert.matches("^run %x+ %(script.lua%)\n1  script.lua  .-  waits for call 1%.1 %(patient%)\n",
      text)
    assert.matches("\n  1%.1  patient  .-  waits for sleep\n", text)
    assert.is_nil(text:find("(console)", 1, true))
    running:kill "TERM"
  end)

  it("lets the work go on meanwhile", function()
    local running <close> = serve()
    assert.equal("true\n", results "before = steps rt.sleep(0.1)\nsteps > before")
    running:kill "TERM"
  end)

  it("cancels a task of the program", function()
    local running <close> = serve [[
      local rt = require "railtracks"
      local task = rt.spawn(rt.function_node("patient", function() rt.sleep(60) end))
      io.stdout:write "ready\n" io.stdout:flush()
      print(pcall(task.await, task))
      print(task:status())
    ]]
    assert.equal("cancelled 1.1 (patient)\n", (attach ":cancel 1.1 no longer wanted"))
    local output, _, status = running:wait()
    assert.matches("no longer wanted", output)
    assert.matches("\ncancelled\n$", output)
    assert.equal(0, status)
  end)

  it("prints what a line prints there, what the program prints where that prints", function()
    local running <close> = serve()
    assert.equal("mine\nalso mine 1\n",
      finish "print 'mine'\nlocal x = io.write('also mine ', 1, '\\n')\nreport()\nstop = true")
    assert.matches("the program's own line\n", (running:wait()))
  end)

  it("shows an error as the REPL does, and the program goes on", function()
    local running <close> = serve()
    local output, said, status = attach "print(1)\nerror { code = 7 }\nprint(2)"
    assert.equal("1\n", output)
    assert.matches("^error: {code = 7}\n", said)
    assert.equal(1, status)
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
  end)

  it("does not read the program's input, nor end the program", function()
    local running <close> = serve()
    local _, said = attach "io.read()"
    assert.matches("io.read: nothing can be read", said)
    _, said = attach "os.exit(3)"
    assert.matches("os.exit would end the program itself", said)
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
  end)

  it("cancels what a client has left running, when it goes", function()
    local running <close> = serve()
    local output, said = attach [[
guard = { __close = function() cleaned = true end }
task = rt.spawn(function() local g <close> = setmetatable({}, guard) rt.sleep(60) end)
rt.sleep(0.01)
]]
    assert.equal("", output)
    assert.matches("^cancelling what still runs:\n  1%.2  task = rt%.spawn", said)
    assert.equal("true\n", results "cleaned")
    running:kill "TERM"
  end)

  it("cancels what a client runs that goes without a word", function()
    local running <close> = serve()
    local pane <close> = terminal.open({ "attach", socket })
    pane:prompt()
    pane:type "began = true rt.sleep(60)"
    pane:press "Enter"
    helper.wait_for("the line to run", function() return results "began" == "true\n" end)
    pane:close()
    helper.wait_for("it to be cancelled", function()
      return not results(":tasks"):find("console", 1, true)
    end)
    running:kill "TERM"
  end)

  it("has several clients at once, each with variables of its own", function()
    local running <close> = serve()
    local one <close> = terminal.open({ "attach", socket })
    local other <close> = terminal.open({ "attach", socket })
    one:prompt()
    other:prompt()
    one:run "local x = 'of one'"
    other:run "local x = 'of the other'"
    assert.equal('"of one"', one:run "x")
    assert.equal('"of the other"', other:run "x")
    one:type "rt.sleep(60)"
    one:press "Enter"
    assert.equal("2", other:run "1 + 1")
    assert.matches("%(console%)\n.*line  .*rt%.sleep%(60%)", (other:run(":tasks"):gsub("%b[]", "")))
    running:kill "TERM"
  end)

  it("is not held up by a client that reads nothing", function()
    local running <close> = serve()
    local slow = place:write("slow.lua", ([[
      local console = require "railtracks.console"
      local core = require "railtracks.core"
      local fd = console.connect(%q)
      local function put(kind, text) console.send(fd, (">s1s4"):pack(kind, text)) end
      put("hello", core.version .. "\n80\n0\n0")
      put("line", "for i = 1, 1e5 do print(('x'):rep(1000)) end written = true")
      require("railtracks").sleep(60)
    ]]):format(socket))
    local client <close> = place:start { "run", slow }
    assert.equal("true\n", results "before = steps rt.sleep(0.3)\nsteps > before + 3")
    assert.equal("nil\n", results "written")
    client:kill "KILL"
    helper.wait_for("its line to be cancelled", function()
      return not results(":tasks"):find("console", 1, true)
    end)
    running:kill "TERM"
  end)

  it("gives all of a long output to a client that reads it", function()
    local running <close> = serve()
    local output = results "for i = 1, 20000 do print(i, ('x'):rep(100)) end"
    assert.equal(20000, select(2, output:gsub("\n", "\n")))
    assert.matches("\n20000\tx+\n$", output)
    running:kill "TERM"
  end)

  it("stops a line that keeps the program from its work", function()
    local running <close> = serve()
    local _, said, status = attach "while true do end"
    assert.matches("^error: budget: the slice limit of 1 s was spent without a wait", said)
    assert.equal(1, status)
    assert.equal("true\n", results "before = steps rt.sleep(0.1)\nsteps > before")
    running:kill "TERM"
  end)

  it("is refused to other users", function()
    local running <close> = serve()
    if helper.shell "id -u" ~= "0\n" then return end -- only root can be somebody else
    helper.shell(("chmod 666 %s; chmod 755 %s"):format(socket, place.folder))
    helper.shell(("cp %s %s/client"):format(helper.quote(helper.program), place.folder))
    local output, said, status = helper.shell(
      ("cd / && echo '1 + 1' | setpriv --reuid=65534 --clear-groups %s/client attach %s")
        :format(place.folder, socket))
    assert.equal("", output)
    assert.matches("belongs to another user", said)
    assert.equal(1, status)
    -- Nor is one let in who does not look.
    local reply = helper.shell(("cd / && setpriv --reuid=65534 --clear-groups lua5.4 -e %s %s")
      :format(helper.quote [[
        local uv = require "luv"
        local pipe = uv.new_pipe(false)
        pipe:connect(arg[1], function()
          pipe:read_start(function(_, data)
            if data then io.write(data) else pipe:close() end
          end)
        end)
        uv.run()]], "/dev/null " .. socket))
    assert.matches("bye.*only processes of the same user may attach$", reply)
    running:wait_for_errors "refused a connection by user 65534"
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
  end)

  it("is not needed: nobody comes, and a deadlock is one", function()
    local running <close> = serve [[
      io.stdout:write "ready\n" io.stdout:flush()
      require("railtracks").channel():receive()
    ]]
    local _, said, status = running:wait()
    assert.matches("deadlock", said)
    assert.equal(1, status)
  end)

  it("takes the place of a socket that a program has left when it was killed", function()
    local killed <close> = serve()
    killed:kill "KILL"
    killed:wait()
    assert.is_true(helper.shell("test -S " .. socket .. " && echo there") == "there\n")
    local running <close> = serve()
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
  end)

  it("does not take it from one that listens, nor a file's", function()
    local running <close> = serve()
    local _, said, status = place:run { "run", "--console", socket, "-e", "print 'never'" }
    assert.matches("^railtracks: run: %-%-console: .*: Address already in use\n$", said)
    assert.equal(1, status)
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
    local file = place:write("file", "mine")
    _, said, status = place:run { "run", "--console", file, "-e", "print 'never'" }
    assert.matches("Address already in use\n$", said)
    assert.equal(1, status)
    assert.equal("mine", helper.read(file))
  end)

  it("tells where there is nobody, or no place for it", function()
    local _, said, status = attach ""
    assert.matches("^railtracks: .*/console: No such file or directory\n$", said)
    assert.equal(1, status)
    place:write("console", "a file")
    _, said, status = attach ""
    assert.matches("^railtracks: .*/console: Connection refused\n$", said)
    assert.equal(1, status)
    _, said, status = place:run { "run", "--console", ("x"):rep(200), "-e", "" }
    assert.matches("at most 107 bytes", said)
    assert.equal(1, status)
    _, said, status = place:run { "run", "--console", "", "-e", "" }
    assert.matches("the path of a socket is empty", said)
    assert.equal(1, status)
    _, said, status = place:run { "attach" }
    assert.matches("^railtracks: attach: to which socket", said)
    assert.equal(2, status)
  end)

  it("is a run in the journal, beside the program's", function()
    local running <close> = serve()
    finish "1 + 1\nstop = true"
    running:wait()
    local names = helper.sql(place.journal, "SELECT name, status FROM runs ORDER BY id")
    assert.equal("script.lua|done\nconsole|done", names)
    assert.equal('["1 + 1"]', helper.sql(place.journal,
      "SELECT args FROM calls WHERE node = 'line' ORDER BY seq LIMIT 1"))
  end)

  it("survives garbage", function()
    local running <close> = serve()
    for _, garbage in ipairs { "x", "\0", ("\255"):rep(1000), "\5hello\255\255\255\255",
      "\5hello\0\0\0\1x", "\4line\0\0\0\1x" } do
      place:write("garbage.lua", ([[
        local console = require "railtracks.console"
        local fd = console.connect(%q)
        console.send(fd, %q)
        console.close(fd)
      ]]):format(socket, garbage))
      local _, said = place:run { "run", "--journal", "none", "garbage.lua" }
      assert.equal("", said)
    end
    assert.equal("2\n", results "1 + 1")
    running:kill "TERM"
  end)

  describe("on a terminal", function()
    it("is the REPL: banner, prompt, editing, Tab, commands", function()
      local running <close> = serve()
      local pane <close> = terminal.open({ "attach", socket })
      pane:prompt()
      assert.matches("^Railtracks %S+, attached to process %d+: .*\n.*Ctrl%-D[^\n]*\nrt>$",
        pane:screen())
      assert.equal("2", pane:run "1 + 1")
      assert.equal("2", pane:run "_")
      pane:type "repo"
      pane:press "Tab"
      pane:prompt "report("
      pane:press "C-c"
      pane:prompt()
      assert.matches("^error: .*\nhint: there is no repotr; did you mean report%?$",
        pane:run "repotr()")
      pane:press "C-d"
      assert.equal(0, (pane:wait_for_end()))
      running:kill "TERM"
    end)

    it("puts what is printed behind the prompt above it", function()
      local running <close> = serve()
      local pane <close> = terminal.open({ "attach", socket })
      pane:prompt()
      pane:run "task = rt.spawn(function() rt.sleep(0.3) print 'from behind' end)"
      pane:type "half a line"
      pane:see "\nfrom behind\n"
      pane:prompt "half a line"
      running:kill "TERM"
    end)

    it("cancels the line that runs with Ctrl-C, nothing else", function()
      local running <close> = serve()
      local pane <close> = terminal.open({ "attach", socket })
      pane:prompt()
      pane:type "print 'it runs' rt.sleep(60)"
      pane:press "Enter"
      pane:see "\nit runs"
      pane:press "C-c"
      assert.matches("cancelled: Ctrl%-C", pane:prompt())
      assert.equal("true", pane:run "before = steps rt.sleep(0.1) return steps > before")
      running:kill "TERM"
    end)

    it("tells when the program has ended", function()
      local running <close> = serve()
      local pane <close> = terminal.open({ "attach", socket })
      pane:prompt()
      finish "stop = true"
      running:wait()
      local status, screen = pane:wait_for_end()
      assert.equal(0, status)
      assert.matches("railtracks: the program has ended", screen)
    end)

    it("tells when the program was killed", function()
      local running <close> = serve()
      local pane <close> = terminal.open({ "attach", socket })
      pane:prompt()
      running:kill "KILL"
      local status, screen = pane:wait_for_end()
      assert.equal(1, status)
      assert.matches("railtracks: the connection is lost", screen)
    end)
  end)
end)
