local helper = require "spec.helper"

describe("a recorded run", function()
  local folder, journal
  helper.each_in_folder(function(...) folder, journal = ... end)

  local function run(words, options)
    return helper.run({ "run", "--journal", journal, table.unpack(words) }, options)
  end

  it("has an id, name, status, times, a count of calls and no error", function()
    helper.write(folder .. "/script.lua",
      "local rt = require 'railtracks'; rt.map(function() end, { 1, 2, 3 })")
    local before = os.time()
    run { folder .. "/script.lua" }
    local found = helper.recorded(journal, "@1")
    assert.matches("^%x+%-%x+%-7%x+%-[89ab]%x+%-%x+$", found.run.id)
    assert.equal("script.lua", found.run.name)
    assert.equal("done", found.run.status)
    assert.equal(4, found.run.calls)
    assert.equal(#found.calls, found.run.calls)
    assert.is_true(before <= found.run.started_at)
    assert.is_true(found.run.started_at <= found.calls[1].started_at)
    assert.is_true(found.calls[1].ended_at <= found.run.ended_at)
    assert.equal(require("cjson").null, found.run.error)
  end)

  it("has the error of its root when it failed", function()
    helper.write(folder .. "/script.lua", "error 'all over'")
    run { folder .. "/script.lua" }
    local found = helper.recorded(journal, "@1")
    assert.equal("failed", found.run.status)
    assert.matches("all over", found.run.error.message)
    assert.matches("script.lua:1:", found.run.error.traceback)
  end)

  it("is named (command line) with -e", function()
    run { "-e", "" }
    local found = helper.recorded(journal, "@1")
    assert.equal("(command line)", found.run.name)
    assert.equal("(command line)", found.calls[1].node)
  end)

  it("is named after its root node in stock Lua", function()
    helper.stock({ "-e", [[
      local rt = require "railtracks"
      rt.run(rt.function_node("the_root", function() end))
    ]] }, { env = "RAILTRACKS_JOURNAL=" .. journal })
    assert.equal("the_root", helper.recorded(journal, "@1").run.name)
  end)

  it("tells the script's absolute path and hash, and who wrote it", function()
    helper.write(folder .. "/script.lua", "-- 1")
    run({ "script.lua" }, { cd = folder })
    run({ "script.lua" }, { cd = folder })
    helper.write(folder .. "/script.lua", "-- 2")
    run({ "script.lua" }, { cd = folder })
    assert.equal(folder .. "/script.lua|3|2|1",
      helper.sql(journal, "SELECT script, count(*), count(DISTINCT script_hash), "
        .. "count(DISTINCT host) FROM runs"))
    assert.equal("3|0|0", helper.sql(journal, "SELECT count(DISTINCT pid || process), "
      .. "sum(host = ''), sum(process = '') FROM runs"))
  end)

  it("has ids that sort by time", function()
    for _ = 1, 5 do run { "-e", "" } end
    assert.equal("5|5", helper.sql(journal, "SELECT count(DISTINCT id), (SELECT count(*) "
      .. "FROM runs a WHERE run = (SELECT count(*) FROM runs b WHERE b.id <= a.id)) FROM runs"))
  end)
end)
