local helper = require "spec.helper"

describe("a recorded call", function()
  local folder, journal
  helper.each_in_folder(function(...) folder, journal = ... end)

  local function record(...) return helper.record(folder, ...) end

  -- Places ---------------------------------------------------------------------------

  it("has its path as id and its caller's path as parent", function()
    local run = record [[
      local function leaf() end
      local function middle() rt.call(leaf); rt.call(leaf) end
      rt.call(leaf)
      rt.call(middle)
    ]]
    local parents = {}
    for id, call in pairs(run.by_id) do parents[id] = call.parent end
    assert.same({ ["1"] = require("cjson").null, ["1.1"] = "1", ["1.2"] = "1",
      ["1.2.1"] = "1.2", ["1.2.2"] = "1.2" }, parents)
  end)

  it("is counted in the order in which its caller started its children", function()
    local run = record [[
      local node = rt.function_node("node", function(seconds) rt.sleep(seconds) end)
      rt.gather(rt.spawn(node, 0.02), rt.spawn(node, 0), rt.spawn(node, 0.01))
    ]]
    assert.same({ 0.02 }, run.by_id["1.1"].args)
    assert.same({ 0 }, run.by_id["1.2"].args)
    assert.same({ 0.01 }, run.by_id["1.3"].args)
  end)

  it("names its node", function()
    local run = record [[rt.call(rt.function_node("split_text", function() end))]]
    assert.equal("split_text", run.by_id["1.1"].node)
    assert.equal("lua", run.by_id["1.1"].kind)
  end)

  it("names a plain function by the place of its definition", function()
    local run = record "\nlocal function plain()\nend\nrt.call(plain)"
    assert.equal("script.lua:2", run.by_id["1.1"].node)
  end)

  it("names a function of C as it stands in package.loaded", function()
    local run = record "rt.call(string.rep, 'x', 2); rt.call(rt.sleep, 0)"
    assert.equal("string.rep", run.by_id["1.1"].node)
    assert.equal("railtracks.sleep", run.by_id["1.2"].node)
  end)

  it("names a function of ours that is Lua in the same way", function()
    local run = record [[
      package.preload.mine = function() end
      rt.call(rt.require, "mine")
      rt.call(rt.retry, { times = 1 }, function() end)
      rt.call(rt.context.put, "a", 1)
    ]]
    assert.equal("railtracks.require", run.by_id["1.1"].node)
    assert.equal("railtracks.retry", run.by_id["1.2"].node)
    assert.equal("railtracks.context.put", run.by_id["1.3"].node)
  end)

  it("names the file and line that started it", function()
    local run = record [[
      local function node() end
      rt.call(node)
      local task = rt.spawn(node)
      rt.map(node, { 1 })
      local function deeper() rt.call(node) end
      deeper()
    ]]
    local sites = {}
    for i = 1, 4 do sites[i] = run.by_id["1." .. i].site end
    assert.same({ "script.lua:2", "script.lua:3", "script.lua:4", "script.lua:5" }, sites)
  end)

  it("has no site when it is the root", function()
    assert.matches('"id":"1","parent":null,.*"site":null', record("").text)
  end)

  it("has the script's name when it is the root", function()
    assert.equal("script.lua", record("").by_id["1"].node)
  end)

  it("has the script's arguments when it is the root", function()
    helper.write(folder .. "/script.lua", "")
    helper.run({ "run", "--journal", journal, "script.lua", "a", "b" }, { cd = folder })
    assert.same({ "a", "b" }, helper.recorded(journal, "@1").by_id["1"].args)
  end)

  it("is listed in the order in which it started", function()
    local run = record([[
      local function leaf() end
      local function slow() rt.sleep(0.01); rt.call(leaf) end
      rt.gather(rt.spawn(slow), rt.spawn(leaf), rt.spawn(slow))
    ]], { env = "RAILTRACKS_SEED=" })
    local started, ids = {}, {}
    for i, call in ipairs(run.calls) do started[i], ids[i] = call.started_at, call.id end
    local sorted = table.move(started, 1, #started, 1, {})
    table.sort(sorted)
    assert.same(sorted, started)
    assert.same({ "1", "1.1", "1.2", "1.3" }, table.move(ids, 1, 4, 1, {}))
  end)

  it("has an id of at most 255 bytes, however deep it lies", function()
    local run = record [[
      local function down(n)
        if n > 0 then return rt.call(down, n - 1) end
        return rt.current().call
      end
      rt.call(down, 299)
    ]]
    local deepest = run.calls[#run.calls]
    assert.equal(301, #run.calls)
    assert.is_true(#deepest.id <= 255)
    assert.matches("^1%.1%.1.*…~301$", deepest.id)
    assert.same({ deepest.id }, deepest.results)
    assert.equal(run.calls[300].id, deepest.parent)
  end)

  it("keeps a whole id of 255 bytes", function()
    local run = record [[
      local function down(n) if n > 0 then rt.call(down, n - 1) end end
      down(127)
    ]]
    assert.equal(("1."):rep(127) .. "1", run.calls[128].id)
  end)

  -- Times ----------------------------------------------------------------------------

  it("tells when it was spawned, started and ended, in that order", function()
    local before = os.time()
    local run = record [[
      local function nap() rt.sleep(0.001) end
      rt.map(nap, { 1, 2, 3 })
      rt.call(nap)
    ]]
    local after = os.time() + 1
    for _, call in ipairs(run.calls) do
      assert.is_true(before <= call.spawned_at and call.spawned_at <= call.started_at)
      assert.is_true(call.started_at < call.ended_at and call.ended_at <= after)
    end
  end)

  it("tells its times to the microsecond", function()
    local text = record("rt.call(function() end)").text
    for _, field in ipairs { "spawned_at", "started_at", "ended_at" } do
      assert.matches('"' .. field .. '":%d+%.%d%d%d%d%d%d[,}]', text)
    end
  end)

  it("ends after its children, on the same clock", function()
    local run = record [[
      rt.call(function() rt.spawn(function() rt.sleep(0.002) end) end)
    ]]
    assert.is_true(run.by_id["1.1.1"].ended_at <= run.by_id["1.1"].ended_at)
    assert.is_true(run.by_id["1.1"].ended_at <= run.by_id["1"].ended_at)
    assert.is_true(run.by_id["1.1"].started_at <= run.by_id["1.1.1"].spawned_at)
  end)

  it("sleeps between its start and its end", function()
    local call = record("rt.call(function() rt.sleep(0.05) end)").by_id["1.1"]
    assert.is_true(call.ended_at - call.started_at >= 0.05)
  end)

  -- Arguments, results, errors -------------------------------------------------------

  it("has its arguments and results as lists", function()
    local call = record("rt.call(function() return 'x', 2 end, 'a', 1)").by_id["1.1"]
    assert.same({ "a", 1 }, call.args)
    assert.same({ "x", 2 }, call.results)
    assert.equal("done", call.status)
  end)

  it("keeps the nils among its arguments and results, those at the end too", function()
    record("rt.call(function() return nil, 2, nil end, nil, 1, nil)")
    assert.equal("[null,1,null]|[null,2,null]",
      helper.sql(journal, "SELECT args, results FROM calls WHERE seq = 2"))
  end)

  it("has an empty list of results when it returned nothing", function()
    assert.matches('"results":%[%],"error":null', record("rt.call(function() end)").text)
  end)

  it("has no results and an error when it failed", function()
    local run = record "pcall(rt.call, function() error 'it broke' end)"
    local call = run.by_id["1.1"]
    assert.equal("failed", call.status)
    assert.equal(require("cjson").null, call.results)
    assert.equal(require("cjson").null, call.error.kind)
    assert.equal("script.lua:1: it broke", call.error.message)
    assert.matches("script.lua:1:", call.error.traceback)
    assert.equal("done", run.by_id["1"].status)
  end)

  it("has the kind of an error that is the engine's own", function()
    local run = record [[
      local node = rt.function_node("node", function() end,
        { params = { { name = "count", type = "integer" } } })
      pcall(rt.call, node, "many")
    ]]
    local call = run.by_id["1.1"]
    assert.equal("failed", call.status)
    assert.equal("usage", call.error.kind)
    assert.matches("count", call.error.message)
    assert.same({ "many" }, call.args)
  end)

  for value, message in pairs {
    ["nil"] = "nil", ["42"] = "42", ["true"] = "true", ["'text'"] = "text",
    ["setmetatable({}, { __tostring = function() return 'my own' end })"] = "my own",
  } do
    it("has the string form of an error that is " .. value, function()
      local run = record(("pcall(rt.call, function() error(%s, 0) end)"):format(value))
      assert.equal(message, run.by_id["1.1"].error.message)
    end)
  end

  it("has the type of an error table that has no string form", function()
    local run = record "pcall(rt.call, function() error {} end)"
    assert.matches("^table", run.by_id["1.1"].error.message)
  end)

  it("survives an error whose __tostring fails", function()
    local run = record [[
      pcall(rt.call, function()
        error(setmetatable({}, { __tostring = function() error "no" end }))
      end)
    ]]
    assert.equal("failed", run.by_id["1.1"].status)
    assert.is_string(run.by_id["1.1"].error.message)
  end)

  it("names the failing call when a failure passed through it", function()
    local run = record [[
      local function bad() error "deep" end
      local function middle() rt.call(bad) end
      pcall(rt.call, middle)
    ]]
    assert.equal("failed", run.by_id["1.1"].status)
    assert.matches("deep", run.by_id["1.1"].error.message)
    assert.matches("1%.1%.1", run.by_id["1.1"].error.traceback)
    assert.not_matches("stack traceback", run.by_id["1.1"].error.traceback)
    assert.matches("stack traceback", run.by_id["1.1.1"].error.traceback)
  end)

  it("has the way of a failure from where it began up to the root", function()
    local run = record [[
      local bad = rt.function_node("bad", function()
        error "deep"
      end)
      local middle = rt.function_node("middle", function()
        rt.call(bad)
      end)
      pcall(rt.call, middle)
    ]]
    local way = run.by_id["1.1.1"].error.traceback
    assert.matches("script.lua:2.*1%.1%.1 %(bad%).*script.lua:5.*1%.1 %(middle%)"
      .. ".*script.lua:7.*1 %(script.lua%)", way)
  end)

  it("shows the 50 innermost and 20 outermost calls of a long way", function()
    local run = record [[
      local down = rt.function_node("down", function(self, n)
        if n == 0 then error "bottom" end
        rt.call(self, self, n - 1)
      end)
      pcall(rt.call, down, down, 199)
    ]]
    local way = run.calls[201].error.traceback
    local _, shown = way:gsub("in call ", "")
    assert.equal(70, shown)
    assert.matches("in call 1 %(script.lua%)", way)
  end)

  it("is cancelled and has no start when it was queued as its caller failed", function()
    local run = record([[
      rt.spawn(function() end, "never")
      error "first"
    ]], { status = 1 })
    local call = run.by_id["1.1"]
    assert.equal("cancelled", call.status)
    assert.equal(require("cjson").null, call.started_at)
    assert.equal(require("cjson").null, call.results)
    assert.is_number(call.ended_at)
    assert.same({ "never" }, call.args)
  end)

  it("is cancelled when its caller failed while it ran", function()
    local run = record([[
      rt.spawn(function() rt.sleep(60) end)
      rt.sleep(0.001)
      error "first"
    ]], { status = 1 })
    assert.equal("cancelled", run.by_id["1.1"].status)
    assert.is_number(run.by_id["1.1"].started_at)
    assert.equal("failed", run.by_id["1"].status)
  end)

  -- Copies ---------------------------------------------------------------------------

  it("has its arguments as they were when it was spawned", function()
    local run = record [[
      local list = { "as", "given" }
      local task = rt.spawn(function() end, list)
      list[1] = "changed"
      task:await()
    ]]
    assert.same({ { "as", "given" } }, run.by_id["1.1"].args)
  end)

  it("has its arguments as they were before its node changed them", function()
    local run = record [[
      rt.call(function(list) list[1] = "changed"; return list end, { "as given" })
    ]]
    assert.same({ { "as given" } }, run.by_id["1.1"].args)
    assert.same({ { "changed" } }, run.by_id["1.1"].results)
  end)

  it("has its results as they were when it returned", function()
    local run = record [[
      local result = rt.call(function() return { "as returned" } end)
      result[1] = "changed"
    ]]
    assert.same({ { "as returned" } }, run.by_id["1.1"].results)
  end)

  it("has a mapped item as it was when the map began", function()
    local run = record [[
      local items = { { 1 }, { 2 } }
      rt.map(function(item) items[2][1] = "changed"; return item end, items, { limit = 2 })
    ]]
    assert.same({ { 1 } }, run.by_id["1.1"].args)
  end)

  -- record = "none" ------------------------------------------------------------------

  it("keeps arguments and results out of the journal with record='none'", function()
    local run = record [[
      local login = rt.function_node("login", function(word) return "token " .. word end,
        { record = "none" })
      rt.call(login, "hunter2")
      rt.map(login, { "hunter3" })
    ]]
    for _, id in ipairs { "1.1", "1.2" } do
      local call = run.by_id[id]
      assert.equal(require("cjson").null, call.args)
      assert.equal(require("cjson").null, call.results)
      assert.equal("login", call.node)
      assert.equal("done", call.status)
      assert.is_true(call.started_at <= call.ended_at)
    end
    assert.not_matches("hunter", helper.sql(journal, ".dump"))
  end)

  it("keeps error messages with record='none'", function()
    local run = record [[
      local login = rt.function_node("login", function() error "wrong word" end,
        { record = "none" })
      pcall(rt.call, login, "hunter2")
    ]]
    assert.matches("wrong word", run.by_id["1.1"].error.message)
  end)
end)
