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
