local helper = require "spec.helper"

describe("the journal", function()
  local folder, journal
  helper.each_in_folder(function(...) folder, journal = ... end)

  local function make(path) os.execute("mkdir -p " .. folder .. "/" .. path) end

  local function runs_in(path)
    return helper.exists(path) and helper.sql(path, "SELECT count(*) FROM runs") or "no file"
  end

  -- Where it is ----------------------------------------------------------------------

  describe("is found", function()
    --- Runs an empty script in a folder below the test's; `env` as it stands before the
    --- command.
    local function run(below, env, ...)
      local words = { "run", ... }
      table.move({ "-e", "" }, 1, 2, #words + 1, words)
      local _, said, status = helper.run(words,
        { cd = folder .. "/" .. below, env = "env -u RAILTRACKS_JOURNAL " .. (env or "") })
      assert.same({ "", 0 }, { said, status })
    end

    it("in the nearest .railtracks folder upwards", function()
      make "a/.railtracks"
      make "a/b/c"
      make ".railtracks"
      run "a/b/c"
      assert.equal("1", runs_in(folder .. "/a/.railtracks/journal.db"))
      assert.equal("no file", runs_in(folder .. "/.railtracks/journal.db"))
      assert.equal("no file", runs_in(folder .. "/a/b/c/.railtracks/journal.db"))
    end)

    it("in a .railtracks folder made here if there is none, kept out of git", function()
      make "a/b"
      run "a/b"
      assert.equal("1", runs_in(folder .. "/a/b/.railtracks/journal.db"))
      assert.equal("*\n", helper.read(folder .. "/a/b/.railtracks/.gitignore"))
      run "a/b"
      assert.equal("2", runs_in(folder .. "/a/b/.railtracks/journal.db"))
    end)

    it("in RAILTRACKS_HOME before the search upwards", function()
      make ".railtracks"
      run("", "RAILTRACKS_HOME=" .. folder .. "/home")
      assert.equal("1", runs_in(folder .. "/home/journal.db"))
      assert.equal("no file", runs_in(folder .. "/.railtracks/journal.db"))
    end)

    it("as RAILTRACKS_JOURNAL before RAILTRACKS_HOME", function()
      run("", ("RAILTRACKS_HOME=%s/home RAILTRACKS_JOURNAL=%s"):format(folder, journal))
      assert.equal("1", runs_in(journal))
      assert.is_false(helper.exists(folder .. "/home"))
    end)

    it("as --journal before RAILTRACKS_JOURNAL", function()
      run("", "RAILTRACKS_JOURNAL=" .. journal, "--journal", folder .. "/given.db")
      assert.equal("1", runs_in(folder .. "/given.db"))
      assert.is_false(helper.exists(journal))
    end)

    it("as --journal FILE before RAILTRACKS_JOURNAL=none", function()
      run("", "RAILTRACKS_JOURNAL=none", "--journal", journal)
      assert.equal("1", runs_in(journal))
    end)

    it("nowhere with none", function()
      run("", "RAILTRACKS_JOURNAL=" .. journal, "--journal", "none")
      run("", "RAILTRACKS_JOURNAL=none")
      assert.equal("", (helper.shell("ls -A " .. folder)))
    end)

    it("by show and runs in the same place", function()
      make "a/b"
      make "a/.railtracks"
      run "a"
      local options = { cd = folder .. "/a/b", env = "env -u RAILTRACKS_JOURNAL" }
      assert.matches("^%(command line%)  done", (helper.run({ "show" }, options)))
      assert.matches("%(command line%)", (helper.run({ "runs" }, options)))
    end)
  end)

  it("is not made by show, nor is its folder", function()
    local _, _, status = helper.run({ "show" },
      { cd = folder, env = "env -u RAILTRACKS_JOURNAL" })
    assert.equal(1, status)
    assert.equal("", (helper.shell("ls -A " .. folder)))
  end)

  it("is not opened by require, but by the first run", function()
    local options = { env = "RAILTRACKS_JOURNAL=" .. journal }
    helper.stock({ "-e", "require 'railtracks'" }, options)
    assert.is_false(helper.exists(journal))
    helper.stock({ "-e", "require 'railtracks'.run(function() end)" }, options)
    assert.is_true(helper.exists(journal))
  end)

  it("is open to its owner alone", function()
    helper.run({ "run", "--journal", journal, "-e", [[
      require("railtracks").call(function() end)
      os.execute("stat -c '%a' " .. (...) .. "*")
    ]], journal }, { env = "umask 0;" })
    local modes = helper.shell("stat -c %a " .. journal .. "*")
    assert.matches("^600\n", modes)
    assert.not_matches("[1-57]", modes)
    assert.not_matches("6[1-9]", modes)
  end)

  it("is an SQLite database in WAL mode with a version", function()
    helper.run({ "run", "--journal", journal, "-e", "" })
    assert.equal("wal", helper.sql(journal, "PRAGMA journal_mode"))
    assert.matches("^[1-9]%d*$", helper.sql(journal, "PRAGMA user_version"))
    assert.matches("^[1-9]%d*$", helper.sql(journal, "PRAGMA application_id"))
    assert.equal("calls events runs", (helper.sql(journal, "SELECT name FROM sqlite_master "
      .. "WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"):gsub("\n", " ")))
  end)

  -- While it is written --------------------------------------------------------------

  it("has the run's row before its first call starts", function()
    local output = helper.run({ "run", "--journal", journal, "-e", [[
      local pipe = io.popen("sqlite3 " .. (...) .. " 'SELECT name, status, calls FROM runs'")
      io.write(pipe:read "a")
    ]], journal })
    assert.equal("(command line)|running|0\n", output)
  end)

  it("shows a call that has been running for more than half a second to others", function()
    local running <close> = helper.start { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local nap = rt.function_node("nap", function() rt.sleep(60) end)
      io.write "ready\n"
      io.stdout:flush()
      rt.call(nap, "how long")
    ]] }
    running:wait_for_output "ready"
    helper.wait_for("the row of a running call", function()
      return helper.sql(journal, "SELECT node FROM calls WHERE seq = 2") == "nap"
    end)
    local found = helper.recorded(journal, "@1")
    assert.equal("running", found.run.status)
    assert.equal("running", found.by_id["1.1"].status)
    assert.same({ "how long" }, found.by_id["1.1"].args)
    assert.equal(require("cjson").null, found.by_id["1.1"].ended_at)
    assert.equal(require("cjson").null, found.by_id["1.1"].results)
  end)

  it("has one row for a call that was written while it ran and ended later", function()
    helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local function long(word)
        local pipe = "sqlite3 %s 'SELECT count(*) FROM calls WHERE seq = 2'"
        repeat
          rt.sleep(0.02)
          local seen <close> = io.popen(pipe:format(word))
        until seen:read "n" == 1
        return "over"
      end
      rt.call(long, ...)
    ]], journal }
    local found = helper.recorded(journal, "@1")
    assert.equal(2, #found.calls)
    local call = found.by_id["1.1"]
    assert.same({ "done", { journal }, { "over" } }, { call.status, call.args, call.results })
    assert.is_true(call.started_at < call.ended_at)
  end)

  it("can be written by two programs at once", function()
    local text = [[
      local rt = require "railtracks"
      for i = 1, 20 do
        local items = {}
        for k = 1, 1000 do items[k] = k end
        rt.map(function(n) return n end, items)
        rt.sleep(0.01)
      end
    ]]
    local one <close> = helper.start { "run", "--journal", journal, "-e", text }
    local other <close> = helper.start { "run", "--journal", journal, "-e", text }
    for _, running in ipairs { one, other } do
      local _, said, status = running:wait()
      assert.same({ "", 0 }, { said, status })
    end
    assert.equal("2|40002|40002", helper.sql(journal, "SELECT count(*), sum(calls), "
      .. "(SELECT count(*) FROM calls WHERE status = 'done') FROM runs WHERE status = 'done'"))
  end)

  it("can be made by many programs at once", function()
    local started = {}
    for i = 1, 8 do
      started[i] = helper.start { "run", "--journal", journal, "-e", "" }
    end
    for _, running in ipairs(started) do
      local _ <close> = running
      local _, said, status = running:wait()
      assert.same({ "", 0 }, { said, status })
    end
    assert.equal("8|8", helper.sql(journal,
      "SELECT count(*), (SELECT count(*) FROM calls) FROM runs WHERE status = 'done'"))
  end)

  it("waits for another program that holds it", function()
    helper.run { "run", "--journal", journal, "-e", "" }
    local release = helper.hold(journal)
    local running <close> = helper.start { "run", "--journal", journal, "-e", "print 'on'" }
    assert.is_false(running:over())
    release()
    local output, said, status = running:wait()
    assert.same({ "on\n", "", 0 }, { output, said, status })
    assert.equal("2", runs_in(journal))
  end)

  it("may keep the loop waiting without a word about the code that runs", function()
    local function limited(code)
      return { "run", "--slice-limit", "0.5", "--journal", journal, "-e", code }
    end
    local running <close> = helper.start(limited(([[
      local rt = require "railtracks"
      print "on"
      io.stdout:flush()
      while not io.open "%s/held" do rt.sleep(0.01) end
      local function echo(text) return text end
      for i = 1, 2000 do rt.call(echo, tostring(i) .. (" "):rep(60000)) end
    ]]):format(folder)))
    running:wait_for_output "on"
    local release = helper.hold(journal)
    helper.shell "lua5.4 -e 'while os.clock() < 2 do end'" -- longer than the limit
    assert.is_false(running:over())
    release()
    local _, said, status = running:wait()
    assert.same({ "", 0 }, { said, status })
  end)

  it("has every one of 200,000 calls", function()
    local _, said, status = helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local items = {}
      for i = 1, 200000 do items[i] = i end
      rt.map(function(n) return n * 2 end, items)
    ]] }
    assert.same({ "", 0 }, { said, status })
    assert.equal("200001|200001", helper.sql(journal, "SELECT count(*), "
      .. "(SELECT calls FROM runs) FROM calls WHERE status = 'done'"))
    assert.equal("200000|200000|200000", helper.sql(journal, "SELECT count(*), "
      .. "count(DISTINCT ordinal), sum(args = '[' || ordinal || ']' AND results = "
      .. "'[' || (ordinal * 2) || ']') FROM calls WHERE parent = 1"))
  end)

  it("has every call and large value of a run that outruns the disk", function()
    helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local function echo(text) return text end
      for i = 1, 1000 do rt.call(echo, tostring(i) .. (" "):rep(50000)) end
    ]] }
    assert.equal("1000|50003", helper.sql(journal, "SELECT count(DISTINCT args), "
      .. "min(length(results)) - 2 FROM calls WHERE parent = 1 AND args = results"):gsub(
        "50%d%d%d$", "50003"))
  end)

  -- rt.run in stock Lua --------------------------------------------------------------

  describe("of a stock Lua", function()
    local function stock(text)
      return helper.stock({ "-e", "local rt = require 'railtracks'; " .. text },
        { env = "RAILTRACKS_JOURNAL=" .. journal })
    end

    local query = "local function ask(sql) local pipe <close> = io.popen('sqlite3 "
      .. "%s \"' .. sql .. '\"'); return pipe:read 'a' end; "

    it("has all records of a run when rt.run returns", function()
      local output = stock(query:format(journal) .. [[
        rt.run(function() rt.map(function() end, { 1, 2, 3 }) end)
        io.write(ask "SELECT status, calls, (SELECT count(*) FROM calls) FROM runs")
      ]])
      assert.equal("done|4|4\n", output)
    end)

    it("has all records of a failed run when rt.run raises", function()
      local output = stock(query:format(journal) .. [[
        print(pcall(rt.run, function() rt.call(error, "it broke") end))
        io.write(ask "SELECT status, calls, (SELECT count(*) FROM calls) FROM runs")
      ]])
      assert.equal("false\tit broke\nfailed|2|2\n", output)
    end)

    it("has a row for each of several runs", function()
      stock [[
        for i = 1, 3 do rt.run(rt.function_node("run" .. i, function() end)) end
      ]]
      assert.equal("run1|1\nrun2|1\nrun3|1",
        helper.sql(journal, "SELECT name, calls FROM runs ORDER BY run"))
      assert.equal("3", helper.sql(journal, "SELECT count(DISTINCT id) FROM runs"))
    end)
  end)

  it("tells from which run and call a nested run was started", function()
    helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local inner = rt.function_node("inner", function() rt.call(function() end) end)
      rt.call(function() rt.run(inner) end)
    ]] }
    assert.equal("inner|2|2\n(command line)|2|", helper.sql(journal, [[
      SELECT child.name, child.calls, child.parent_call FROM runs child
      JOIN runs parent ON child.parent_run = parent.id
      UNION ALL SELECT name, calls, parent_call FROM runs WHERE parent_run IS NULL
    ]]))
    assert.equal(2, #helper.recorded(journal, "@1").calls)
    assert.equal(2, #helper.recorded(journal, "@2").calls)
  end)

  -- Refused --------------------------------------------------------------------------

  describe("is refused in one line that names it, with status 1,", function()
    local function refused(path, reason)
      for _, words in ipairs { { "run", "-e", "print 'never'" }, { "show" }, { "runs" } } do
        table.insert(words, 2, "--journal")
        table.insert(words, 3, path)
        local output, said, status = helper.run(words)
        assert.equal("", output)
        assert.matches("^railtracks: [^\n]+\n$", said)
        assert.matches(path, said, 1, true)
        if reason then assert.matches(reason, said) end
        assert.equal(1, status)
      end
    end

    it("when it is not a database", function()
      helper.write(journal, ("this is a text, not a database\n"):rep(100))
      refused(journal, "not an SQLite database")
      assert.matches("^this is a text", helper.read(journal))
    end)

    it("when it is a database of something else", function()
      helper.sql(journal, "CREATE TABLE recipes (name); INSERT INTO recipes VALUES ('soup')")
      refused(journal, "something else")
      assert.equal("recipes", helper.sql(journal, "SELECT name FROM sqlite_master"))
    end)

    it("when it is of a newer version", function()
      helper.run { "run", "--journal", journal, "-e", "" }
      helper.sql(journal, "PRAGMA user_version = 99")
      refused(journal, "newer")
      assert.equal("99", helper.sql(journal, "PRAGMA user_version"))
    end)

    it("when it is a folder", function()
      make "journal.db"
      refused(journal, "folder")
    end)

    it("when its folder does not exist", function()
      refused(folder .. "/nowhere/journal.db", "no such f")
    end)

    it("when it cannot be written", function()
      refused("/proc/journal.db")
    end)

    it("when its pages are garbage", function()
      helper.run { "run", "--journal", journal, "-e", "" }
      helper.shell(("sqlite3 %s 'PRAGMA wal_checkpoint(TRUNCATE)'; rm -f %s-*"):format(
        journal, journal))
      local bytes = helper.read(journal)
      helper.write(journal, bytes:sub(1, 100) .. ("\xa5"):rep(#bytes - 100))
      refused(journal)
    end)
  end)

  it("that cannot be opened raises an error of kind journal in stock Lua", function()
    make "journal.db"
    local output = helper.stock({ "-e", [[
      local rt = require "railtracks"
      local ok, err = pcall(rt.run, function() print "never" end)
      print(ok, rt.kind(err))
    ]] }, { env = "RAILTRACKS_JOURNAL=" .. journal })
    assert.equal("false\tjournal\n", output)
  end)

  it("takes a call whose record is larger than the whole queue", function()
    local output = helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      local args = {}
      for i = 1, 300 do args[i] = ("x"):rep(65000) end
      for _ = 1, 3 do rt.call(function() end, table.unpack(args)) end
      print "went on"
    ]] }
    assert.equal("went on\n", output)
    assert.equal("4", helper.sql(journal, "SELECT count(*) FROM calls"))
  end)
end)
