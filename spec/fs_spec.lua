local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local failure, descriptors = helper.failing "fs", helper.descriptors
local fs = rt.fs

local function sh(command, ...)
  local output, said, status = helper.shell(command:format(...))
  if status ~= 0 then error(said, 2) end
  return output
end

--- Whether a file system of its own may be mounted for a command.
local may_mount = os.execute "unshare -m mount -t tmpfs none /mnt 2>/dev/null" or false

describe("rt.fs", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  local function at(name) return folder .. "/" .. name end

  describe("read", function()
    it("returns all of a file, byte for byte", in_run(function()
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      for _, text in ipairs { "", "x", "two\nlines\n", table.concat(bytes):rep(40000) } do
        helper.write(at "file", text)
        assert.is_true(fs.read(at "file") == text)
      end
    end))

    it("takes files whose size nobody knows", in_run(function()
      assert.matches("^Name:", fs.read "/proc/self/status")
      assert.equal("", fs.read "/dev/null")
    end))

    it("waits for a FIFO's writer, and reads until that is gone", in_run(function()
      sh("mkfifo %s", at "fifo")
      local reader = rt.spawn(fs.read, at "fifo")
      rt.sleep(0.01)
      assert.equal("running", reader:status())
      fs.write(at "fifo", ("through the pipe"):rep(10000))
      assert.equal(("through the pipe"):rep(10000), reader:await())
    end))

    it("is cancelled while it waits for a FIFO's writer", in_run(function()
      sh("mkfifo %s", at "fifo")
      assert.equal("timeout", rt.kind(select(2, pcall(rt.timeout, 0.01, fs.read, at "fifo"))))
    end))

    it("says which file is not there, and why", in_run(function()
      local err = failure(fs.read, at "none")
      assert.equal("fs: fs.read: no such file or directory: " .. at "none", tostring(err))
      assert.equal("ENOENT", err.code)
      assert.equal(at "none", err.path)
      assert.equal("EISDIR", failure(fs.read, folder).code)
      helper.write(at "file", "")
      assert.equal("ENOTDIR", failure(fs.read, at "file/below").code)
      assert.equal("ENAMETOOLONG", failure(fs.read, at(("x"):rep(300))).code)
    end))

    it("lets other tasks go on meanwhile", in_run(function()
      helper.write(at "file", ("x"):rep(1 << 22))
      local others = 0
      local other = rt.spawn(function()
        while true do
          others = others + 1
          rt.sleep(0)
        end
      end)
      fs.read(at "file")
      other:cancel()
      assert.is_true(others > 1)
      rt.settle(other)
    end))

    it("is stopped by the memory limit", function()
      sh("truncate -s 100M %s", at "file")
      local output, said, status = helper.run { "run", "--journal", "none", "--memory-limit", "16M",
        "-e", [[
          local _ <close> = setmetatable({}, { __close = function() print "cleaned" end })
          require("railtracks").fs.read(...)]], at "file" }
      assert.equal("cleaned\n", output)
      assert.equal(1, status)
      assert.matches("budget: the Lua heap would grow over its limit of 16M", said, 1, true)
    end)

    it("of many files at once gives each its own", in_run(function()
      local paths = {}
      for i = 1, 200 do paths[i] = helper.write(at("f" .. i), "text " .. i) end
      for i, text in ipairs(rt.map(fs.read, paths)) do assert.equal("text " .. i, text) end
    end))
  end)

  describe("write", function()
    it("makes a file, and puts another one in its place", in_run(function()
      fs.write(at "file", "first, and longer")
      assert.equal("first, and longer", helper.read(at "file"))
      fs.write(at "file", "second")
      assert.equal("second", helper.read(at "file"))
      fs.write(at "file", "")
      assert.equal("", helper.read(at "file"))
      assert.same({ "file" }, fs.list(folder))
    end))

    it("keeps the mode of what was there, and makes new files as everybody does", in_run(function()
      fs.write(at "new", "x")
      sh("touch %s", at "other")
      assert.equal(sh("stat -c %%a %s", at "other"), sh("stat -c %%a %s", at "new"))
      sh("chmod 4751 %s", at "new")
      fs.write(at "new", "y")
      assert.equal("4751\n", sh("stat -c %%a %s", at "new"))
      fs.write(at "new", "z", { mode = 384 })
      assert.equal("600\n", sh("stat -c %%a %s", at "new"))
    end))

    it("shows readers the old contents or the new ones, never less", in_run(function()
      local size = 300000
      fs.write(at "file", ("a"):rep(size))
      local writer = rt.spawn(function()
        for i = 1, 20 do fs.write(at "file", (i % 2 == 0 and "a" or "b"):rep(size)) end
      end)
      while writer:status() ~= "done" do
        local text = fs.read(at "file")
        assert.is_true(text == ("a"):rep(size) or text == ("b"):rep(size))
      end
    end))

    it("writes through a link, which stays", in_run(function()
      helper.write(at "target", "old")
      sh("ln -s target %s", at "link")
      fs.write(at "link", "new")
      assert.equal("new", helper.read(at "target"))
      assert.equal("link", fs.stat(at "link", { follow = false }).type)
    end))

    it("writes to devices and FIFOs in place", in_run(function()
      fs.write("/dev/null", "x")
      assert.equal("char", fs.stat("/dev/null").type)
      sh("mkfifo %s", at "fifo")
      local writer = rt.spawn(fs.write, at "fifo", "x")
      rt.sleep(0.01)
      assert.equal("x", fs.read(at "fifo"))
      writer:await()
      assert.equal("fifo", fs.stat(at "fifo").type)
    end))

    it("of many tasks to one file leaves the contents of one of them", in_run(function()
      local list = {}
      for i = 1, 50 do list[i] = i end
      rt.map(function(i) fs.write(at "file", ("%d\n"):format(i):rep(1000)) end, list)
      local text = helper.read(at "file")
      assert.equal(text:match "^%d+\n":rep(1000), text)
      assert.same({ "file" }, fs.list(folder))
    end))

    it("names the file that was asked for when it fails, and leaves nothing", in_run(function()
      local err = failure(fs.write, at "no/such/folder", "x")
      assert.equal("fs: fs.write: no such file or directory: " .. at "no/such/folder",
        tostring(err))
      err = failure(fs.write, folder, "x")
      assert.equal("fs: fs.write: illegal operation on a directory: " .. folder, tostring(err))
      assert.equal("EISDIR", err.code)
      assert.same({}, fs.list(folder))
    end))

    it("on a full disk keeps the old contents, and leaves nothing", function()
      helper.write(at "file", "old")
      local script = [[
        local rt = require "railtracks"
        local file = ...
        local ok, err = pcall(rt.fs.write, file, ("x"):rep(1 << 20))
        print(ok, err.code, err.path == file, rt.fs.read(file), #rt.fs.list(file:match "(.*)/"))]]
      local output = helper.run({ "run", "--journal", "none", "-e", script, at "file" },
        { env = "trap '' XFSZ; ulimit -f 100;" })
      assert.equal("false\tEFBIG\ttrue\told\t1\n", output)
      if not may_mount then return end
      output = sh([[unshare -m sh -c 'mount -t tmpfs -o size=128k none "$1" &&
        printf old >"$1/file" && exec "$2" run --journal none -e "$3" "$1/file"' sh %s %s %s]],
        folder, helper.quote(helper.program), helper.quote(script))
      assert.equal("false\tENOSPC\ttrue\told\t1\n", output)
    end)

    it("that is cancelled leaves the old contents, or the new ones", in_run(function()
      helper.write(at "file", "old")
      local new = ("x"):rep(1 << 22)
      for i = 0, 20 do
        pcall(rt.timeout, i / 5000 + 1e-9, fs.write, at "file", new)
        local text = helper.read(at "file")
        assert.is_true(text == "old" or text == new)
        assert.same({ "file" }, fs.list(folder))
        helper.write(at "file", "old")
      end
    end))
  end)

  describe("append", function()
    it("adds to a file, or makes one", in_run(function()
      fs.append(at "file", "one\n")
      fs.append(at "file", "two\n")
      assert.equal("one\ntwo\n", helper.read(at "file"))
      assert.equal("ENOSPC", failure(fs.append, "/dev/full", "x").code)
    end))
  end)

  describe("lines", function()
    local function lines_of(text)
      local list = {}
      helper.write(at "file", text)
      for line in fs.lines(at "file") do list[#list + 1] = line end
      return list
    end

    it("gives what io.lines gives", in_run(function()
      for _, text in ipairs { "", "\n", "a", "a\n", "a\n\nb\r\n", ("x"):rep(200000) .. "\ny",
        ("line\n"):rep(40000), "\0\n\0" } do
        local expected = {}
        helper.write(at "file", text)
        for line in io.lines(at "file") do expected[#expected + 1] = line end
        assert.same(expected, lines_of(text))
      end
    end))

    it("closes the file when the loop is left", in_run(function()
      helper.write(at "file", ("line\n"):rep(100000))
      local before = descriptors()
      for line in fs.lines(at "file") do
        if line == "line" then break end
      end
      pcall(function() for _ in fs.lines(at "file") do error "left" end end)
      for _ in fs.lines(at "file") do end
      assert.equal(before, descriptors())
    end))

    it("of a FIFO come as they are written", in_run(function()
      sh("mkfifo %s", at "fifo")
      local got = rt.channel()
      rt.spawn(function()
        for line in fs.lines(at "fifo") do got:send(line) end
        got:close()
      end)
      local writer <close> = rt.process.spawn { "cat >" .. at "fifo", shell = true }
      for i = 1, 3 do
        writer.stdin:write("line " .. i .. "\n")
        assert.equal("line " .. i, got:receive())
      end
      writer.stdin:close()
      assert.is_nil(got:receive())
    end))

    it("of what is not there is an error at once", in_run(function()
      assert.equal("fs.lines: no such file or directory: " .. at "none",
        failure(fs.lines, at "none").message)
    end))
  end)

  describe("folders", function()
    it("are listed, sorted", in_run(function()
      for _, name in ipairs { "b", "a", ".hidden", "c d" } do helper.write(at(name), "") end
      assert.same({ ".hidden", "a", "b", "c d" }, fs.list(folder))
      assert.equal("ENOENT", failure(fs.list, at "none").code)
      assert.equal("ENOTDIR", failure(fs.list, at "a").code)
    end))

    it("are made, with those above them if asked for", in_run(function()
      fs.mkdir(at "one")
      assert.equal("directory", fs.stat(at "one").type)
      assert.equal("EEXIST", failure(fs.mkdir, at "one").code)
      assert.equal("ENOENT", failure(fs.mkdir, at "a/b/c").code)
      fs.mkdir(at "a/b/c", { parents = true })
      fs.mkdir(at "a/b/c/", { parents = true })
      assert.equal("directory", fs.stat(at "a/b/c").type)
      helper.write(at "file", "")
      assert.equal("EEXIST", failure(fs.mkdir, at "file", { parents = true }).code)
      assert.equal("ENOTDIR", failure(fs.mkdir, at "file/x", { parents = true }).code)
    end))

    it("are removed, with what is in them if asked for, but not what links point to", in_run(
      function()
        fs.mkdir(at "a/b", { parents = true })
        helper.write(at "a/b/file", "")
        helper.write(at "kept", "")
        sh("ln -s %s %s", folder, at "a/link")
        assert.equal("ENOTEMPTY", failure(fs.remove, at "a").code)
        fs.remove(at "a", { recursive = true })
        assert.same({ "kept" }, fs.list(folder))
        fs.remove(at "kept")
        assert.equal("ENOENT", failure(fs.remove, at "kept").code)
        fs.mkdir(at "empty")
        fs.remove(at "empty")
        assert.same({}, fs.list(folder))
      end))

    it("for a while go when they are closed", in_run(function()
      local path
      do
        local temporary <close> = fs.tempdir()
        path = temporary.path
        assert.equal(path, tostring(temporary))
        assert.equal(448, fs.stat(path).mode)
        fs.write(path .. "/file", "x")
      end
      assert.equal("ENOENT", failure(fs.stat, path).code)
    end))
  end)

  it("tells of a file what stat tells", in_run(function()
    helper.write(at "file", "12345")
    sh("chmod 640 %s; touch -d @1000000000.5 %s; ln -s file %s", at "file", at "file", at "link")
    local stat = fs.stat(at "link")
    assert.equal("file", stat.type)
    assert.equal(5, stat.size)
    assert.equal(416, stat.mode)
    assert.equal(1000000000.5, stat.modified)
    assert.equal("link", fs.stat(at "link", { follow = false }).type)
  end))

  it("renames", in_run(function()
    helper.write(at "old", "x")
    fs.rename(at "old", at "new")
    assert.same({ "new" }, fs.list(folder))
    local err = failure(fs.rename, at "old", at "other")
    assert.equal("fs: fs.rename: no such file or directory: " .. at "old", tostring(err))
    assert.equal(at "old", err.path)
  end))

  it("without the right to is an error with its code", function()
    helper.write(at "secret", "x")
    sh("chmod 600 %s; chmod 755 %s", at "secret", folder)
    local nobody = sh "id -u" == "0\n" and "setpriv --reuid=65534 --regid=65534 --clear-groups"
      or ""
    if nobody == "" then sh("chmod 000 %s; chmod 555 %s", at "secret", folder) end
    local output, said = helper.run({ "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local folder = ...
      for _, what in ipairs { { "read", folder .. "/secret" }, { "write", folder .. "/new", "x" },
        { "append", folder .. "/secret", "x" }, { "mkdir", folder .. "/sub" },
        { "remove", folder .. "/secret" }, { "rename", folder .. "/secret", folder .. "/x" } } do
        local ok, err = pcall(rt.fs[what[1] ], table.unpack(what, 2))
        print(ok, err)
      end]], folder }, { env = nobody })
    local expected = {}
    for _, what in ipairs { "read", "write", "append", "mkdir", "remove", "rename" } do
      local name = (what == "write" and "new") or (what == "mkdir" and "sub") or "secret"
      expected[#expected + 1] = ("false\tfs: fs.%s: permission denied: %s\n"):format(what, at(name))
    end
    assert.equal(table.concat(expected), output, said)
  end)

  describe("watch", function()
    it("tells what happens in a folder", in_run(function()
      local seen = {}
      local watcher = rt.spawn(function()
        for event in fs.watch(folder) do
          seen[event.type .. " " .. event.name] = true
          if event.name == "stop" then break end
        end
      end)
      rt.sleep(0.01)
      helper.write(at "new", "x")
      helper.write(at "new", "more")
      os.remove(at "new")
      helper.write(at "stop", "")
      watcher:await()
      assert.is_true(seen["rename new"])
      assert.is_true(seen["change new"])
    end))

    it("tells of one event once, however often it has happened", in_run(function()
      helper.write(at "file", "")
      local events, next_event, state, control, closer = {}, fs.watch(at "file")
      local guard <close> = closer
      for i = 1, 50 do helper.write(at "file", ("x"):rep(i)) end
      rt.sleep(0.01)
      local first = next_event(state, control)
      assert.equal("change", first.type)
      local ok, err = pcall(rt.timeout, 0.01, function()
        while true do events[#events + 1] = next_event(state, control) end
      end)
      assert.is_false(ok)
      assert.equal("timeout", rt.kind(err))
      assert.same({}, events)
      assert(guard)
    end))

    it("of what is not there is an error", in_run(function()
      assert.equal("fs: fs.watch: no such file or directory: " .. at "none",
        tostring(failure(fs.watch, at "none")))
    end))
  end)

  it("refuses what is no path, no text and no option", in_run(function()
    assert.matches("fs.read: path: expected a string, got nil", refusal(fs.read), 1, true)
    assert.matches("fs.read: path: expected a path, got an empty string", refusal(fs.read, ""), 1,
      true)
    assert.matches("fs.list: path: expected a string without zero bytes", refusal(fs.list, "a\0"),
      1, true)
    assert.matches("fs.write: argument 2: expected a string, got 5", refusal(fs.write, "x", 5), 1,
      true)
    assert.matches("fs.write: there is no option 'made'", refusal(fs.write, "x", "", { made = 1 }),
      1, true)
    assert.matches("fs.write: mode: expected a number such as", refusal(fs.write, "x", "",
      { mode = "644" }), 1, true)
    assert.matches("fs.remove: expected a table of options, got boolean",
      refusal(fs.remove, "x", true), 1, true)
  end))

  it("leaves no descriptor open, whatever becomes of it", in_run(function()
    sh("mkfifo %s", at "fifo")
    pcall(rt.timeout, 0.001, fs.read, at "fifo") -- libuv keeps one for its first stream
    local before = descriptors()
    for i = 1, 20 do
      pcall(fs.read, at "none")
      pcall(fs.read, folder)
      pcall(rt.timeout, i / 10000, fs.read, "/dev/zero")
      pcall(rt.timeout, i / 10000, fs.read, at "fifo")
      pcall(rt.timeout, i / 10000, fs.write, at "fifo", "x")
      local tasks = {}
      for n = 1, 10 do tasks[n] = rt.spawn(fs.write, at("f" .. n), ("x"):rep(100000)) end
      for _ = 1, i do rt.sleep(0) end
      for _, task in ipairs(tasks) do task:cancel() end
      rt.settle(tasks)
    end
    assert.equal(before, descriptors())
  end))

  it("is calls, whose record has sizes instead of contents", function()
    local found = helper.record(folder, [[
      rt.fs.write("file", "CONTENTS")
      rt.fs.read "file"
      rt.fs.append("file", "MORE")
      pcall(rt.fs.read, "none")
      rt.fs.remove "file"]])
    local calls = {}
    for i, call in ipairs(found.calls) do
      calls[i] = { call.node, call.status, call.args, call.results }
    end
    assert.same({ "fs.write", "done", { "file", 8 } }, { table.unpack(calls[2], 1, 3) })
    assert.same({ "fs.read", "done", { "file" }, { 8 } }, calls[3])
    assert.same({ "file", 4 }, calls[4][3])
    assert.equal("failed", calls[5][2])
    assert.equal("fs", found.by_id["1.4"].error.kind)
    assert.equal("fs.remove", calls[6][1])
    assert.is_nil(found.text:find "CONTENTS")
  end)
end)

describe("a signal", function()
  it("ends what waits for a file, and the program with its status", function()
    local folder <close> = helper.temporary()
    sh("mkfifo %s/fifo", folder.path)
    local running <close> = helper.start { "run", "--journal", "none", "-e", ([[
      local rt = require "railtracks"
      local folder = "%s"
      rt.spawn(rt.fs.read, folder .. "/fifo")
      rt.spawn(rt.fs.write, folder .. "/fifo2", "x")
      rt.spawn(function() for _ in rt.fs.watch(folder) do end end)
      rt.sleep(0.01)
      print "ready"
      io.stdout:flush()
      rt.fs.read "/dev/zero"]]):format(folder.path) }
    running:wait_for_output "ready"
    running:kill "INT"
    local _, said, status = running:wait()
    assert.equal("", said)
    assert.equal(130, status)
  end)
end)
