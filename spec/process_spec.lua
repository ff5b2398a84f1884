local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local failure, descriptors = helper.failing "process", helper.descriptors
local run, spawn = rt.process.run, rt.process.spawn
local uv = rt.uv

--- The children of this process that are dead, and of whom nobody has taken note.
local function zombies()
  local found, pid = {}, uv.os_getpid()
  local all = uv.fs_scandir "/proc"
  for entry in function() return uv.fs_scandir_next(all) end do
    local stat = entry:find "^%d+$" and io.open("/proc/" .. entry .. "/stat")
    if stat then
      local text = stat:read "a" or ""
      stat:close()
      if text:find("%) Z " .. pid .. " ") then found[#found + 1] = text end
    end
  end
  return found
end

--- Whether a process runs, and is not only the shadow of one.
local function lives(pid)
  local stat = io.open(("/proc/%s/stat"):format(pid))
  if not stat then return false end
  local text = stat:read "a" or ""
  stat:close()
  return text:find "%) [^ZX] " ~= nil
end

describe("rt.process.run", function()
  it("returns what a program has written, and its exit code", in_run(function()
    assert.same({ code = 0, stdout = "a b\n", stderr = "" }, run { "echo", "a b" })
    assert.same({ code = 3, stdout = "out\n", stderr = "err\n" },
      run { "sh", "-c", "echo out; echo err >&2; exit 3" })
  end))

  it("names the signal that has ended one", in_run(function()
    assert.same({ signal = "SIGKILL", stdout = "", stderr = "" }, run { "sh", "-c", "kill -9 $$" })
    assert.equal("SIGABRT", run { "sh", "-c", "kill -ABRT $$" }.signal)
  end))

  it("uses no shell unless asked to", in_run(function()
    assert.equal("$HOME; *\n", run { "echo", "$HOME; *" }.stdout)
    assert.equal("2\n", run { "printf '1\\n2\\n' | tail -1", shell = true }.stdout)
    assert.equal("x y|z\n", run { 'echo "$1|$2"', "x y", "z", shell = true }.stdout)
  end))

  it("passes on bytes as they are", in_run(function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local bytes = table.concat(all)
    assert.equal(bytes, run { "cat", input = bytes }.stdout)
    assert.equal("", run { "cat", input = "" }.stdout)
  end))

  it("passes on more than pipes hold, both ways at once", in_run(function()
    local megabytes = ("0123456789abcdef"):rep(1 << 18)
    local result = run { "tee", "/dev/stderr", input = megabytes }
    assert.is_true(result.stdout == megabytes)
    assert.is_true(result.stderr == megabytes)
  end))

  it("does not mind a program that leaves its input", in_run(function()
    local result = run { "head", "-c", "3", input = ("x"):rep(1 << 22) }
    assert.same({ code = 0, stdout = "xxx", stderr = "" }, result)
    assert.equal(0, run { "true", input = ("x"):rep(1 << 22) }.code)
  end))

  it("gives it nothing to read unless there is input", in_run(function()
    assert.equal("", run { "cat" }.stdout)
  end))

  it("sets the folder and the environment", in_run(function()
    assert.equal("/\n", run { "pwd", cwd = "/" }.stdout)
    local result = run { "sh", "-c", "echo $GIVEN-${HOME-gone}-${PATH:+there}",
      env = { GIVEN = "x=y", HOME = false } }
    assert.equal("x=y-gone-there\n", result.stdout)
  end))

  it("discards, inherits or joins outputs", function()
    local output, said, status = helper.run({ "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local both = "echo out; echo err >&2"
      local r = rt.process.run { both, shell = true, stderr = "stdout" }
      print(r.stdout == "out\nerr\n", r.stderr)
      io.stdout:flush()
      r = rt.process.run { both, shell = true, stdout = "inherit", stderr = "inherit" }
      print(r.stdout, r.stderr)
      r = rt.process.run { both, shell = true, stdout = "null", stderr = "null" }
      print(r.stdout, r.stderr)
      io.stdout:flush()
      r = rt.process.run { "cat", stdin = "inherit" }
      print(r.stdout)]] }, { input = "given" })
    assert.equal(0, status, said)
    assert.equal("true\tnil\nout\nnil\tnil\nnil\tnil\ngiven\n", output)
    assert.equal("err\n", said)
  end)

  it("lets other tasks go on meanwhile", in_run(function()
    local folder <close> = helper.temporary()
    local file = folder.path .. "/go"
    local task = rt.spawn(run, { "until test -e $1; do sleep 0.01; done", file, shell = true })
    rt.sleep(0)
    helper.write(file, "")
    assert.equal(0, task:await().code)
  end))

  it("runs a hundred at a time", in_run(function()
    local list = {}
    for i = 1, 100 do list[i] = i end
    local got = rt.map(function(i) return run { "echo", i }.stdout end, list)
    for i = 1, 100 do assert.equal(i .. "\n", got[i]) end
    assert.same({}, zombies())
  end))

  it("fails if there is no such program, with the code and its name", in_run(function()
    local err = failure(run, { "no-such-program", "x" })
    assert.equal("process: process.run: no such file or directory: no-such-program",
      tostring(err))
    assert.equal("ENOENT", err.code)
    assert.equal("no-such-program", err.path)
    err = failure(run, { "/etc/passwd" })
    assert.equal("EACCES", err.code)
    assert.matches("permission denied: /etc/passwd", tostring(err), 1, true)
  end))

  it("fails if there is no such folder, which it names", in_run(function()
    local err = failure(run, { "true", cwd = "/no/such/folder" })
    assert.equal("ENOENT", err.code)
    assert.equal("/no/such/folder", err.path)
    assert.equal("/etc/passwd", failure(run, { "true", cwd = "/etc/passwd" }).path)
  end))

  it("fails on more output than asked for, and ends the program", in_run(function()
    local err = failure(run, { "yes", max_output = 100000 })
    assert.equal("too_large", err.code)
    assert.equal("process: process.run: more than 100000 bytes of output: yes", tostring(err))
    assert.equal(100000, #run { "head", "-c", "100000", "/dev/zero", max_output = 100000 }.stdout)
    assert.same({}, zombies())
  end))

  it("refuses wrong options, before anything is started", in_run(function()
    assert.matches("process.run: expected a table such as { 'git', 'log' }, got string",
      refusal(run, "ls"), 1, true)
    assert.matches("process.run: expected a program and its arguments", refusal(run, {}), 1, true)
    assert.matches("word 2: expected a string, got a table", (refusal(run, { "ls", {} })
      :gsub("got table", "got a table")), 1, true)
    assert.matches("word 2: expected a string without zero bytes", refusal(run, { "ls", "a\0b" }),
      1, true)
    assert.matches("there is no option 'dir'", refusal(run, { "ls", dir = "/" }), 1, true)
    assert.matches("input: expected a string, got 1", refusal(run, { "ls", input = 1 }), 1, true)
    assert.matches("stdout: expected 'pipe', 'inherit' or 'null', got 'x'",
      refusal(run, { "ls", stdout = "x" }), 1, true)
    assert.matches("env: expected the name of a variable, got 'A=B'",
      refusal(run, { "ls", env = { ["A=B"] = "x" } }), 1, true)
    assert.matches("timeout must be a positive number of seconds, got 0",
      refusal(run, { "ls", timeout = 0 }), 1, true)
    assert.matches("max_output: expected a number of bytes, got -1",
      refusal(run, { "ls", max_output = -1 }), 1, true)
  end))

  it("outside a run is refused", function()
    assert.matches("rt.call outside a run", refusal(run, { "true" }), 1, true)
  end)

  describe("gives the program", function()
    it("no descriptor but the standard ones", in_run(function()
      local file <close> = io.open("/etc/passwd")
      local server <close> = helper.closing(function() end)
      local listener = uv.new_tcp()
      listener:bind("127.0.0.1", 0)
      listener:listen(1, function() end)
      assert(file and server)
      -- The fourth is that of the listing itself.
      assert.equal("0\n1\n2\n3\n", run { "ls", "/proc/self/fd" }.stdout)
      listener:close()
    end))

    it("the usual signals", in_run(function()
      -- Of the 31 none is blocked or ignored; two beyond them are the C library's own.
      local status = run { "cat", "/proc/self/status" }.stdout
      for _, what in ipairs { "SigBlk", "SigIgn" } do
        local set = tonumber(status:match(what .. ":%s*(%x+)"), 16)
        assert.equal(0, set & 0x7fffffff)
      end
    end))

    it("as many files as we were allowed ourselves", function()
      local output = helper.run({ "run", "--journal", "none", "-e", [[
        -- It is set when the program has just begun.
        require("railtracks").process.run { "until test $(ulimit -n) = 64; do :; done",
          shell = true, timeout = 60 }
        os.execute "test $(ulimit -n) -gt 64 && echo more"]] }, { env = "ulimit -Sn 64;" })
      assert.equal("more\n", output)
    end)

    it("and leaves ours as they were", in_run(function()
      local file <close> = io.open("/etc/passwd")
      run { "true" }
      -- What os.execute starts still inherits the file.
      local pipe <close> = io.popen("ls -l /proc/self/fd")
      assert.matches("/etc/passwd", pipe:read("a"), 1, true)
      assert(file)
    end))
  end)

  it("leaves no descriptor and no zombie behind", in_run(function()
    run { "true" }
    local before = descriptors()
    for _ = 1, 10 do
      run { "sh", "-c", "cat >&2", input = "x" }
      pcall(run, { "no-such-program" })
      pcall(run, { "yes", max_output = 10 })
      pcall(rt.timeout, 0.001, run, { "sleep", "3600" })
    end
    rt.sleep(0)
    assert.equal(before, descriptors())
    assert.same({}, zombies())
  end))

  describe("when it is cancelled", function()
    --- Starts a shell that writes the ids of itself and of what it has started.
    local function start(folder, script)
      local file = folder .. "/pids"
      local task = rt.spawn(run, { ("%s\necho $$ $! >%s.new; mv %s.new %s; wait"):format(script,
        file, file, file), shell = true })
      local pids
      repeat
        rt.sleep(0.002)
        pids = io.open(file)
      until pids
      local shell, other = pids:read("n", "n")
      pids:close()
      assert.is_true(lives(shell) and lives(other))
      return task, shell, other
    end

    it("ends the whole group", in_run(function()
      local folder <close> = helper.temporary()
      local task, shell, other = start(folder.path, "sleep 3600 & sleep 3600 &")
      task:cancel()
      rt.settle(task)
      assert.equal("cancelled", task:status())
      assert.is_false(lives(shell) or lives(other))
      assert.same({}, zombies())
    end))

    it("asks first", in_run(function()
      local folder <close> = helper.temporary()
      local task = start(folder.path, ([[trap 'echo asked >%s/asked; exit' TERM; sleep 3600 &]])
        :format(folder.path))
      task:cancel()
      rt.settle(task)
      assert.equal("asked\n", helper.read(folder.path .. "/asked"))
    end))

    it("insists where it is not listened to", in_run(function()
      local folder <close> = helper.temporary()
      local task, shell, other = start(folder.path, "trap '' TERM; sleep 3600 &")
      task:cancel()
      rt.settle(task)
      assert.is_false(lives(shell) or lives(other))
      assert.same({}, zombies())
    end))

    it("insists also for what the leader has left", in_run(function()
      local folder <close> = helper.temporary()
      local task, shell, other = start(folder.path,
        "sh -c \"trap '' TERM; sleep 3600 & wait; wait\" &")
      task:cancel()
      rt.settle(task)
      assert.is_false(lives(shell) or lives(other))
    end))

    it("by a deadline, says so", in_run(function()
      local ok, err = pcall(run, { "sleep", "3600", timeout = 0.01 })
      assert.is_false(ok)
      assert.equal("timeout", rt.kind(err))
      assert.equal(0.01, err.seconds)
    end))

    it("without a grace, kills at once", function()
      local folder <close> = helper.temporary()
      local output, said, status = helper.run { "run", "--journal", "none", "--grace", "0", "-e",
        ([[local rt = require "railtracks"
          local file = "%s/pid"
          local task = rt.spawn(rt.process.run, { "trap '' TERM; echo $$ >" .. file ..
            ".new; mv " .. file .. ".new " .. file .. "; while :; do sleep 1; done", shell = true })
          local pid
          repeat rt.sleep(0.002) pid = io.open(file) until pid
          task:cancel()
          rt.settle(task)
          rt.sleep(0.05)
          print(io.open("/proc/" .. pid:read "n" .. "/stat"))]]):format(folder.path) }
      assert.equal(0, status, said)
      assert.equal("nil", output:match "^nil")
    end)
  end)

  it("is a call, with the words as its arguments", function()
    local place = helper.workplace()
    local _ <close> = helper.closing(function() place:remove() end)
    local found = helper.record(place.folder, [[
      rt.process.run { "git", "--version", env = { TOKEN = "SECRET" }, input = "SECRET" }
      rt.process.run { "/bin/echo", "hello there" }
      pcall(rt.process.run, { "no-such-program" })
      rt.process.run { "echo", "HIDDEN", record = "none" }]])
    assert.equal("process git", found.by_id["1.1"].node)
    assert.same({ "git", "--version" }, found.by_id["1.1"].args)
    assert.equal("process echo", found.by_id["1.2"].node)
    assert.same({ { code = 0, stdout = "hello there\n", stderr = "" } },
      found.by_id["1.2"].results)
    assert.equal("failed", found.by_id["1.3"].status)
    assert.equal("process", found.by_id["1.3"].error.kind)
    assert.equal("process echo", found.by_id["1.4"].node)
    assert.is_nil(found.text:find "SECRET")
    assert.is_nil(found.text:find "HIDDEN")
  end)
end)

describe("rt.process.spawn", function()
  it("talks to a program line by line", in_run(function()
    local cat <close> = spawn { "cat" }
    for _, line in ipairs { "first", "second", "" } do
      cat.stdin:write(line .. "\n")
      assert.equal(line, cat.stdout:read_line())
    end
    cat.stdin:close()
    assert.is_nil(cat.stdout:read_line())
    assert.same({ code = 0 }, cat:wait())
  end))

  it("gives its output as lines, bytes or all of it", in_run(function()
    local function shell(script) return spawn { script, shell = true } end
    local lines = {}
    local p <close> = shell "printf 'a\\nb\\r\\n\\nc'"
    for line in p.stdout:lines() do lines[#lines + 1] = line end
    assert.same({ "a", "b", "", "c" }, lines)
    local q <close> = shell "printf 123456789"
    assert.equal("1234", q.stdout:read(4))
    assert.equal("", q.stdout:read(0))
    assert.equal("56789", q.stdout:read("a"))
    assert.equal("", q.stdout:read("a"))
    assert.is_nil(q.stdout:read(1))
    assert.is_nil(q.stdout:read())
    local r <close> = shell "printf 12 >&2"
    assert.equal("12", r.stderr:read(4))
  end))

  it("lets what it has left be read after it has exited", in_run(function()
    local p <close> = spawn { "echo", "left" }
    assert.same({ code = 0 }, p:wait())
    assert.equal("left\n", p.stdout:read("a"))
  end))

  it("reads lines of any size up to a bound", in_run(function()
    local p <close> = spawn { "cat" }
    local long = ("x"):rep(1000000)
    local writer = rt.spawn(function()
      p.stdin:write(long .. "\n" .. long .. "y\n")
      p.stdin:close()
    end)
    assert.equal(1000000, #p.stdout:read_line())
    local err = failure(p.stdout.read_line, p.stdout, 1000000)
    assert.equal("too_large", err.code)
    assert.equal(1000001, #p.stdout:read_line())
    writer:await()
  end))

  it("makes whoever writes wait until it reads", in_run(function()
    local p <close> = spawn { "sleep", "3600" }
    local written = 0
    local writer = rt.spawn(function()
      while true do
        p.stdin:write(("x"):rep(10000))
        written = written + 10000
      end
    end)
    local before
    repeat
      before = written
      rt.sleep(0.01)
    until written == before
    assert.is_true(written > 0 and written <= 1 << 20)
    writer:cancel()
    rt.settle(writer)
  end))

  it("is a task of the call that has started it, which ends after it", in_run(function()
    local folder <close> = helper.temporary()
    rt.call(function() spawn { "sleep 0.02; echo done >" .. folder.path .. "/x", shell = true } end)
    assert.equal("done\n", helper.read(folder.path .. "/x"))
  end))

  it("ends with the call that has started it when that fails", in_run(function()
    local pid
    assert.is_false(pcall(rt.call, function()
      pid = spawn { "sleep", "3600" }.pid
      error "no"
    end))
    assert.is_false(lives(pid))
    assert.same({}, zombies())
  end))

  it("is ended by closing it", in_run(function()
    local p
    do
      local closed <close> = spawn { "sh", "-c", "sleep 3600 & wait" }
      p = closed
      assert.is_true(lives(p.pid))
      assert.matches("^Process %d+ %(process sh, running%)$", tostring(p))
    end
    assert.is_false(lives(p.pid))
    assert.equal("cancelled", p.task:status())
    assert.equal("Process " .. p.pid .. " (process sh, SIGTERM)", tostring(p))
  end))

  it("can be sent signals", in_run(function()
    local p <close> = spawn { "sleep", "3600" }
    assert.matches("expected a signal such as 'TERM', got 'NO'", refusal(p.kill, p, "NO"), 1, true)
    assert.is_true(p:kill "USR1")
    assert.same({ signal = "SIGUSR1" }, p:wait())
    assert.is_false(p:kill "KILL")
  end))

  it("can be raced like any task", in_run(function()
    local fast, slow = spawn { "true" }, spawn { "sleep", "3600" }
    local result, index = rt.race(slow.task, fast.task)
    assert.same({ code = 0 }, result)
    assert.equal(2, index)
    assert.is_false(lives(slow.pid))
    fast:close()
    slow:close()
  end))

  it("fails at once if there is no such program, as a call", function()
    local place = helper.workplace()
    local _ <close> = helper.closing(function() place:remove() end)
    local found = helper.record(place.folder, [[
      print(pcall(rt.process.spawn, { "no-such-program" }))]])
    assert.equal("false\tprocess: process.spawn: no such file or directory: no-such-program\n",
      found.output)
    assert.equal("", found.said)
    assert.equal("failed", found.by_id["1.1"].status)
  end)

  it("refuses what belongs to rt.process.run", in_run(function()
    assert.matches("process.spawn: there is no option 'input'",
      refusal(spawn, { "cat", input = "x" }), 1, true)
  end))

  it("refuses what is wrong with its streams", in_run(function()
    local p <close> = spawn { "cat" }
    assert.matches("stream:write: argument 1: expected a string, got nil",
      refusal(p.stdin.write, p.stdin), 1, true)
    assert.matches("stream:read: expected a stream, got nil (a method wants a colon)",
      refusal(p.stdout.read), 1, true)
    local reader = rt.spawn(function() p.stdout:read() end)
    rt.sleep(0.001)
    assert.matches("stream:read: another task is reading: stdout of cat",
      refusal(p.stdout.read, p.stdout), 1, true)
    p.stdin:write "x"
    reader:await()
    p.stdin:close()
    assert.matches("stream:write: it is closed: stdin of cat",
      refusal(p.stdin.write, p.stdin, "x"), 1, true)
  end))

  it("tells whoever writes to one that has gone", in_run(function()
    local p <close> = spawn { "true" }
    p:wait()
    local err = failure(function() for _ = 1, 100 do p.stdin:write(("x"):rep(10000)) end end)
    assert.equal("EPIPE", err.code)
    assert.equal("process: stream:write: broken pipe: stdin of true", tostring(err))
  end))

  it("leaves nothing open when it is forgotten", in_run(function()
    spawn { "true" }:close()
    local before = descriptors()
    for _ = 1, 10 do spawn { "true" }:wait() end
    collectgarbage()
    collectgarbage()
    assert.equal(before, descriptors())
  end))
end)

describe("a signal", function()
  it("ends the processes of the program, which keeps its exit status", function()
    for signal, status in pairs { INT = 130, TERM = 143 } do
      local running <close> = helper.start { "run", "--journal", "none", "-e", [[
        local rt = require "railtracks"
        local p = rt.process.spawn { "sh", "-c", "sleep 3600 & echo $!; wait" }
        print(p.pid, p.stdout:read_line())
        io.stdout:flush()
        rt.process.run { "sleep", "3600" }]] }
      running:wait_for_output "\n"
      local shell, sleep = helper.read(running.output):match "(%d+)\t(%d+)"
      assert.is_true(lives(shell) and lives(sleep))
      running:kill(signal)
      local _, said, got = running:wait()
      assert.equal("", said)
      assert.equal(status, got)
      assert.is_false(lives(shell) or lives(sleep))
    end
  end)
end)
