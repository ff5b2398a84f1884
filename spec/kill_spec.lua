local helper = require "spec.helper"
local json = require "cjson"

local KILLS = 60

-- Prints the id of every run that has ended, once its end is recorded.
local script = [[
  local rt = require "railtracks"
  local size = tonumber((...))
  local function echo(value) return value end
  local function list(length)
    local items = {}
    for i = 1, length do items[i] = i .. ("x"):rep(size) end
    return items
  end
  local function small()
    rt.map(echo, list(40))
    return rt.current().run
  end
  local function nested(depth)
    if depth > 0 then rt.call(nested, depth - 1) else rt.sleep(0.001) end
  end
  rt.spawn(function() rt.sleep(60) end)
  while true do
    io.write(rt.run(small), "\n")
    io.stdout:flush()
    rt.gather(rt.spawn(nested, 10), rt.spawn(nested, 3))
    rt.map(echo, list(40), { limit = 7 })
  end
]]

describe("a journal whose writer was killed", function()
  local folder, journal
  local seen = {} -- what was found after each kill

  --- Starts a run that never ends, kills it after so many seconds, and looks.
  local function kill(seconds, size)
    local output = helper.shell(("exec %s run --journal %s %s/script.lua %d & pid=$!; "
      .. "sleep %.4f; kill -9 $pid; wait $pid"):format(helper.quote(helper.program), journal,
        folder, size, seconds))
    local found = { when = ("killed after %.4f s, values of %d bytes"):format(seconds, size) }
    seen[#seen + 1] = found
    found.ended = output
    if not helper.exists(journal) then return end
    found.integrity = helper.sql(journal, "PRAGMA integrity_check")
    found.runs, found.said, found.status = helper.run { "runs", "--json", "--journal", journal }
    -- Killed before it had made its tables: a file with nothing in it yet.
    local tables = helper.sql(journal, "SELECT count(*) FROM sqlite_master WHERE name = 'calls'")
    found.empty = tables == "0"
    if found.empty then return end
    found.without_results = helper.sql(journal, [[SELECT count(*) FROM calls
      WHERE status = 'done' AND (results IS NULL OR ended_at IS NULL OR started_at IS NULL)]])
    found.without_caller = helper.sql(journal, [[SELECT count(*) FROM calls c
      WHERE parent IS NOT NULL AND NOT EXISTS
      (SELECT 1 FROM calls p WHERE p.key = (c.run << 32) + c.parent)]])
    found.incomplete = helper.sql(journal, [[SELECT count(*) FROM runs WHERE status = 'done'
      AND calls <> (SELECT count(*) FROM calls WHERE key BETWEEN first_key AND last_key
                    AND status = 'done')]])
    found.done = helper.sql(journal, "SELECT id FROM runs WHERE status = 'done'")
  end

  setup(function()
    folder = helper.folder()
    journal = folder .. "/journal.db"
    helper.write(folder .. "/script.lua", script)
    local seed = tonumber(os.getenv "RT_SEED") or os.time()
    io.stderr:write(("kill_spec: RT_SEED=%d\n"):format(seed))
    math.randomseed(seed)
    for i = 1, KILLS do
      if i % 15 == 0 then kill(0.01 + math.random() * 0.1, 20000)
      elseif i % 10 == 0 then kill(0.5 + math.random() * 0.4, 100)
      else kill(math.random() * 0.1, 100)
      end
    end
  end)
  teardown(function() helper.remove(folder) end)

  --- Calls `check` with what was found after every kill that had left a file.
  local function after_each_kill(check)
    local looked = 0
    for _, found in ipairs(seen) do
      if found.integrity and not found.empty then
        looked = looked + 1
        check(found)
      end
    end
    assert.is_true(looked >= 50)
  end

  it("is whole", function()
    after_each_kill(function(found) assert.equal("ok", found.integrity, found.when) end)
  end)

  it("opens", function()
    after_each_kill(function(found)
      assert.same({ "", 0 }, { found.said, found.status }, found.when)
    end)
  end)

  it("is whole, and said to be empty, where its tables were not made yet", function()
    for _, found in ipairs(seen) do
      if found.empty then
        assert.equal("ok", found.integrity, found.when)
        assert.matches("it is empty", found.said, 1, true, found.when)
        assert.equal(1, found.status, found.when)
        assert.equal("", found.ended, found.when) -- no run can have ended in it
      end
    end
  end)

  it("has the results of every call that is done", function()
    after_each_kill(function(found) assert.equal("0", found.without_results, found.when) end)
  end)

  it("has the caller of every call", function()
    after_each_kill(function(found) assert.equal("0", found.without_caller, found.when) end)
  end)

  it("has every call of the runs that are done", function()
    after_each_kill(function(found) assert.equal("0", found.incomplete, found.when) end)
  end)

  it("has every run that had ended", function()
    local ended = 0
    after_each_kill(function(found)
      for id in found.ended:gmatch "%S+" do
        ended = ended + 1
        assert.matches(id, found.done, 1, true, found.when)
      end
    end)
    assert.is_true(ended > KILLS)
  end)

  it("shows no run as running", function()
    after_each_kill(function(found)
      for _, run in ipairs(json.decode(found.runs)) do
        assert.not_equal("running", run.status, found.when)
      end
    end)
  end)

  it("shows the unfinished calls of a killed run as interrupted", function()
    local interrupted = 0
    for place, run in ipairs(json.decode(seen[#seen].runs)) do
      if run.status == "interrupted" and interrupted < 400 then
        local found = helper.recorded(journal, "@" .. place)
        assert.equal("interrupted", found.run.status)
        for _, call in ipairs(found.calls) do
          assert.is_true(call.status == "done" or call.status == "interrupted", call.status)
          if call.status == "interrupted" then interrupted = interrupted + 1 end
        end
      end
    end
    assert.is_true(interrupted > 0)
  end)

  it("is written on by the next run", function()
    local _, said, status = helper.run { "run", "--journal", journal, "-e", "" }
    assert.same({ "", 0 }, { said, status })
    assert.equal("done", helper.recorded(journal, "@1").run.status)
    assert.equal("ok", helper.sql(journal, "PRAGMA integrity_check"))
  end)
end)
