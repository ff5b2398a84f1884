local helper = require "spec.helper"
local rt = require "railtracks"
local testing = require "railtracks.testing"

--- The body of a test on a clock that jumps.
local function at_once(fn) return testing.task(fn, { clock = "virtual" }) end

describe("the virtual clock", function()
  it("starts at zero and stands still while Lua runs", at_once(function()
    assert.equal(0, rt.now())
    for _ = 1, 100000 do rt.call(math.abs, 1) end
    assert.equal(0, rt.now())
  end))

  it("passes an hour of sleeps at once", at_once(function()
    for second = 1, 3600 do
      rt.sleep(1)
      assert.equal(second, rt.now())
    end
  end))

  it("is exact for parts of a second", at_once(function()
    rt.sleep(1.1)
    assert.equal(1.1, rt.now())
    for _ = 1, 9 do rt.sleep(0.1) end
    assert.equal(2, rt.now())
  end))

  it("ends sleeps in the order of their moments, equal ones in the order they began",
    testing.task(function()
      local order = {}
      for i, seconds in ipairs { 30, 10, 20, 10, 0.5, 30 } do
        rt.spawn(function()
          rt.sleep(seconds)
          order[#order + 1] = i
        end)
      end
      rt.sleep(60)
      assert.same({ 5, 2, 4, 3, 1, 6 }, order)
      assert.equal(60, rt.now())
    end, { clock = "virtual", seed = false }))

  it("takes for sleepers that are gathered as long as for the longest", at_once(function()
    local tasks = {}
    for i, seconds in ipairs { 1, 2, 3, 2, 1 } do
      tasks[i] = rt.spawn(function()
        rt.sleep(seconds)
        return i
      end)
    end
    assert.same({ 1, 2, 3, 4, 5, n = 5 }, rt.gather(tasks))
    assert.equal(3, rt.now())
  end))

  it("keeps all that happens at a moment at that moment", at_once(function()
    local task = rt.spawn(function() rt.sleep(3600) end)
    rt.sleep(10)
    task:cancel()
    rt.settle(task)
    assert.equal("cancelled", task:status())
    assert.equal(10, rt.now())
  end))

  it("does not jump to a sleep that lasts for ever: the run stands still", function()
    local ok, err = pcall(testing.run, function() rt.sleep(math.huge) end, { clock = "virtual" })
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("waits for sleep", err.message)
  end)

  it("is off after the test, also when that failed", function()
    local before = rt.now()
    testing.run(function() rt.sleep(3600) end, { clock = "virtual" })
    local between = rt.now()
    pcall(testing.run, function() rt.sleep(3600) error "no" end, { clock = "virtual" })
    assert.is_true(0 < before and before <= between and between <= rt.now())
  end)

  it("is what the times of the journal come from, in runs inside the run too", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    testing.run(function()
      rt.sleep(3600)
      rt.run(function() rt.sleep(60) end)
    end, { clock = "virtual", journal = journal })
    local columns = "SELECT round(%s - %s, 3) FROM runs WHERE parent_run IS %s NULL"
    local function ask(...) return helper.sql(journal, columns:format(...)) end
    assert.equal("3660.0", ask("ended_at", "started_at", ""))
    assert.equal("60.0", ask("ended_at", "started_at", "NOT"))
    assert.equal("3600.0", ask("started_at", "(SELECT min(started_at) FROM runs)", "NOT"))
  end)
end)

describe("the real clock", function()
  it("does not wait for a sleep that lasts for ever", function()
    local ok, err = pcall(rt.run, function() rt.sleep(math.huge) end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)
end)
