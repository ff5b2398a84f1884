local helper = require "spec.helper"

describe("railtracks prune", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local function record(count, code)
    for _ = 1, count do place:run { "run", "-e", code or "" } end
  end

  local function prune(...)
    local output, said, status = place:run { "prune", ... }
    assert.same({ "", 0 }, { said, status })
    return output
  end

  local function runs() return helper.sql(place.journal, "SELECT count(*) FROM runs") end

  it("keeps the newest", function()
    record(5)
    local newest = helper.recorded(place.journal, "@1").run.id
    assert.matches("^removed 3 runs, ", prune("--keep", "2"))
    assert.equal("2|2", helper.sql(place.journal,
      "SELECT count(*), (SELECT count(DISTINCT key >> 32) FROM calls) FROM runs"))
    assert.equal(newest, helper.recorded(place.journal, "@1").run.id)
    assert.equal("nothing to remove\n", prune("--keep", "2"))
  end)

  it("removes what ended long ago", function()
    record(3)
    helper.sql(place.journal, "UPDATE runs SET started_at = started_at - 86400 * 3, "
      .. "ended_at = ended_at - 86400 * 3 WHERE run <= 2")
    assert.equal("nothing to remove\n", prune("--older", "4d"))
    assert.matches("^removed 2 runs, ", prune("--older", "48h"))
    assert.equal("1", runs())
  end)

  it("removes by when a run ended, not by when it began", function()
    record(3)
    -- The first has taken weeks.
    helper.sql(place.journal, "UPDATE runs SET started_at = started_at - 86400 * 40 WHERE run <= 2;"
      .. "UPDATE runs SET ended_at = ended_at - 86400 * 39 WHERE run = 2")
    assert.matches("^removed 1 run, ", prune("--older", "30d"))
    assert.equal("1\n3", helper.sql(place.journal, "SELECT run FROM runs"))
  end)

  it("removes what is old, but none of the newest, when told both", function()
    record(4)
    helper.sql(place.journal, "UPDATE runs SET started_at = 1, ended_at = 2 WHERE run <> 2")
    assert.equal("nothing to remove\n", prune("--older", "30d", "--keep", "4"))
    assert.matches("^removed 2 runs, ", prune("--older", "30d", "--keep", "1"))
    assert.equal("2\n4", helper.sql(place.journal, "SELECT run FROM runs"))
  end)

  it("removes runs whose process was killed", function()
    local killed <close> = place:start { "run", "-e",
      "print 'on' io.stdout:flush() require('railtracks').sleep(3600)" }
    killed:wait_for_output "on"
    killed:kill "KILL"
    killed:wait()
    assert.matches("^removed 1 run, ", prune("--keep", "0"))
    assert.equal("0", runs())
  end)

  it("removes no more where it is called several times at once", function()
    record(8, "local rt = require 'railtracks' for i = 1, 500 do rt.call(rt.now) end")
    local first <close> = place:start { "prune", "--keep", "5" }
    local second <close> = place:start { "prune", "--keep", "5" }
    local third <close> = place:start { "prune", "--keep", "5" }
    local removed = 0
    for _, pruning in ipairs { first, second, third } do
      local output, said, status = pruning:wait()
      assert.same({ "", 0 }, { said, status })
      removed = removed + (tonumber(output:match "^removed (%d+) ") or 0)
    end
    assert.same({ "4\n5\n6\n7\n8", 3 },
      { helper.sql(place.journal, "SELECT run FROM runs"), removed })
    assert.equal("ok", helper.sql(place.journal, "PRAGMA integrity_check"))
  end)

  it("gives the room back to the disk", function()
    record(2, [[
      local rt = require "railtracks"
      for i = 1, 200 do rt.call(function() return ("x"):rep(10000) end) end
    ]])
    local function size()
      return tonumber((helper.shell("stat -c %s " .. place.journal)))
    end
    local before = size()
    assert.is_true(before > 4000000)
    assert.matches("^removed 1 run, [12]%.%d MiB given back\n$", prune("--keep", "1"))
    assert.is_true(size() < before * 0.6)
  end)

  describe("of a journal that is written meanwhile", function()
    local function with_writer(use)
      local fifo = place.folder .. "/go"
      assert(os.execute("mkfifo " .. fifo))
      local running <close> = place:start { "run", "-e",
        "print 'on' io.stdout:flush() require('railtracks').fs.read 'go'" }
      running:wait_for_output "on"
      use()
      os.execute("echo on >" .. fifo)
      local _, said, status = running:wait()
      assert.same({ "", 0 }, { said, status })
      assert.equal("ok", helper.sql(place.journal, "PRAGMA integrity_check"))
    end

    before_each(function()
      record(1, "for _ = 1, 150 do require('railtracks').call(type, ('x'):rep(10000)) end")
    end)

    it("gives the room back, too", function()
      with_writer(function()
        assert.matches("^removed 1 run, 1%.%d MiB given back\n$", prune("--keep", "0"))
      end)
    end)

    it("leaves the room to it where that would keep it waiting", function()
      -- As older versions have made the file: it could only be written anew as a whole.
      helper.sql(place.journal, "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM")
      record(1)
      with_writer(function()
        assert.equal("removed 2 runs, whose room is used for what comes next\n",
          prune("--keep", "1"))
      end)
      assert.matches("^removed 1 run, 1%.%d MiB given back\n$", prune("--keep", "0"))
      assert.equal("2", helper.sql(place.journal, "PRAGMA auto_vacuum"))
    end)
  end)

  it("leaves runs alone that go on, which record meanwhile", function()
    record(2)
    local running <close> = place:start { "run", "-e", [[
      local rt = require "railtracks"
      print "on"
      io.stdout:flush()
      for i = 1, 300 do rt.call(rt.sleep, 0.001) end
    ]] }
    running:wait_for_output "on"
    prune("--keep", "0")
    assert.equal("1", runs())
    local _, said, status = running:wait()
    assert.same({ "", 0 }, { said, status })
    assert.equal("301", helper.sql(place.journal, "SELECT count(*) FROM calls"))
  end)

  it("wants to know what is old", function()
    for words, message in pairs {
      [{ "prune" }] = "prune: %-%-older or %-%-keep is needed",
      [{ "prune", "--older", "3" }] = "%-%-older wants an age such as 90s, 15m, 12h, 30d or 8w",
      [{ "prune", "--keep", "-1" }] = "%-%-keep wants a whole number",
    } do
      local _, said, status = place:run(words)
      assert.matches(message, said)
      assert.equal(2, status)
    end
  end)

  it("says what is wrong with the journal", function()
    local file = place:write("text", "no journal")
    local _, said, status = place:run { "prune", "--keep", "1", "--journal", file }
    assert.matches("^railtracks: [^\n]*text[^\n]*\n$", said)
    assert.equal(1, status)
  end)
end)
