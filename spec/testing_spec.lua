local helper = require "spec.helper"
local core = require "railtracks.core"
local rt = require "railtracks"
local testing = require "railtracks.testing"

describe("testing.run", function()
  it("returns all results, nils kept", function()
    assert.same({ 1, nil, 3, nil, n = 4 },
      table.pack(testing.run(function() return 1, nil, 3, nil end)))
    assert.equal(0, select("#", testing.run(function() end)))
  end)

  it("runs a function or a node as the root of a run", function()
    assert.equal("1", testing.run(function() return rt.current().call end))
    local node = rt.function_node("rehearsed", function() return rt.current().node end)
    assert.equal("rehearsed", testing.run(node))
  end)

  it("raises the error as the same value", function()
    for _, value in ipairs { {}, "text", 1, false } do
      local ok, err = pcall(testing.run, function() error(value, 0) end)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
    end
    assert.same({ false, nil, n = 2 }, table.pack(pcall(testing.run, function() error(nil) end)))
  end)

  it("may be used in a coroutine of plain Lua", function()
    assert.equal(5, coroutine.wrap(testing.run)(function()
      rt.sleep(0)
      return 5
    end))
  end)

  it("has the real clock unless told otherwise", function()
    assert.is_true(testing.run(rt.now) > 0)
    assert.is_true(testing.run(rt.now, { clock = "real" }) > 0)
    assert.equal(0, testing.run(rt.now, { clock = "virtual" }))
  end)

  it("has the seed it is given, for as long as it runs", function()
    local outside = testing.seed()
    assert.equal(7, testing.run(testing.seed, { seed = 7 }))
    assert.is_nil(testing.run(testing.seed, { seed = false }))
    assert.equal(outside, testing.run(testing.seed))
    assert.equal(outside, testing.seed())
  end)

  it("says its seed when it fails, and has it no longer", function()
    local _, said = helper.stock({ "-e", [[
      local testing = require "railtracks.testing"
      pcall(testing.run, function() error "no" end)
      pcall(testing.run, function() error "no" end, { seed = 17 })
      assert(testing.seed() == nil)
      pcall(testing.run, function() error "no" end, { seed = false })
      testing.run(function() end, { seed = 18 })
    ]] }, { env = "RAILTRACKS_SEED=" })
    assert.equal("railtracks: seed 17\n", said)
  end)

  it("fails when it takes longer than its timeout", function()
    local ok, err = pcall(testing.run, function()
      pcall(rt.run, function() rt.sleep(3600) end)
      rt.sleep(3600)
    end, { clock = "virtual", timeout = 1800 })
    assert.is_false(ok)
    assert.equal("timeout", rt.kind(err))
    assert.matches("deadline of 1800 s set at .*testing_spec.lua:%d+ has passed", err.message)
    ok, err = pcall(testing.run, function() rt.sleep(3600) end, { timeout = 0.001 })
    assert.is_false(ok)
    assert.equal("timeout", rt.kind(err))
  end)

  it("does not wait for its timeout when it stands still", function()
    local ok, err = pcall(testing.run, function() rt.sleep(math.huge) end, { timeout = 3600 })
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    testing.run(function() rt.sleep(1800) end, { clock = "virtual", timeout = 3600 })
  end)

  it("refuses what it cannot run, and options it does not know", function()
    local run, nothing = testing.run, function() end
    assert.equal("usage: testing.run: argument 1: expected a node or a function, got nil",
      helper.refusal(run))
    assert.equal("usage: testing.run: argument 2: expected a table of options, got string",
      helper.refusal(run, nothing, "virtual"))
    assert.equal("usage: testing.run: there is no option 'speed'",
      helper.refusal(run, nothing, { speed = 1 }))
    assert.equal("usage: testing.run: clock: expected 'real' or 'virtual', got 'fast'",
      helper.refusal(run, nothing, { clock = "fast" }))
    assert.equal("usage: testing.run: seed: expected an integer or false, got 1.5",
      helper.refusal(run, nothing, { seed = 1.5 }))
    assert.equal("usage: testing.run: timeout: expected a number of seconds, more than 0, got 0",
      helper.refusal(run, nothing, { timeout = 0 }))
    assert.equal("usage: testing.run: journal: expected a path or 'none', got true",
      helper.refusal(run, nothing, { journal = true }))
    assert.equal("usage: testing.run inside a run: it starts one itself",
      helper.refusal(run, function() run(nothing) end))
  end)

  it("leaves the journal alone that other runs are written to", function()
    local folder <close> = helper.temporary()
    local _, said, status = helper.stock({ "-e", [[
      local rt = require "railtracks"
      local testing = require "railtracks.testing"
      local function first() end
      local function tested() end
      local function second() end
      rt.run(first)
      testing.run(tested)
      pcall(testing.run, function() error "no" end)
      rt.run(second)
      testing.run(tested, { journal = "tested.db" })
      rt.run(second)
    ]] }, { cd = folder.path, env = "RAILTRACKS_JOURNAL=all.db" })
    assert.equal(0, status, said)
    assert.equal("3", helper.sql(folder.path .. "/all.db", "SELECT count(*) FROM runs"))
    assert.equal("1", helper.sql(folder.path .. "/tested.db", "SELECT count(*) FROM runs"))
    assert.is_false(helper.exists(folder.path .. "/.railtracks"))
  end)

  it("raises what is wrong with the journal, and leaves the one before", function()
    local ok, err = pcall(testing.run, function() end, { journal = "/nowhere/at/all.db" })
    assert.is_false(ok)
    assert.equal("journal", rt.kind(err))
    assert.equal(1, testing.run(function() return 1 end))
  end)
end)

describe("testing.task", function()
  it("gives the body of a test", testing.task(function()
    assert.equal("1", rt.current().call)
  end))

  it("passes the options on", testing.task(function()
    rt.sleep(3600)
    assert.equal(3600, rt.now())
  end, { clock = "virtual" }))

  it("refuses wrong ones before the test runs", function()
    assert.equal("usage: testing.task: argument 1: expected a node or a function, got table",
      helper.refusal(testing.task, {}))
    assert.equal("usage: testing.task: there is no option 'speed'",
      helper.refusal(testing.task, function() end, { speed = 1 }))
  end)
end)

describe("testing.leaks", function()
  local none = { tasks = 0, timers = 0, handles = 0, coroutines = 0, anchors = 0 }

  it("counts nothing when nothing runs", function()
    pcall(rt.run, function()
      for _ = 1, 100 do rt.spawn(function() rt.sleep(3600) end) end
      rt.sleep(0)
      error "no"
    end)
    assert.same(none, testing.leaks())
  end)

  it("counts tasks, their timers and their coroutines", function()
    local leaks
    pcall(rt.run, function()
      for _ = 1, 10 do rt.spawn(rt.sleep, 3600) end
      rt.sleep(0)
      leaks = testing.leaks()
      error "the others need not go on"
    end)
    assert.equal(11, leaks.tasks)
    assert.equal(10, leaks.timers)
    assert.equal(11, leaks.coroutines)
    assert.equal(10, leaks.anchors)
  end)

  it("counts nothing for Tasks that are kept after their run, however they ended", function()
    local kept = {}
    testing.run(function()
      local failing = rt.spawn(function() error {} end)
      kept[1] = rt.spawn(function() pcall(failing.await, failing) end)
      kept[2], kept[3] = failing, rt.spawn(rt.sleep, 3600)
      kept[4] = rt.spawn(function() return rt.spawn(function() return {} end) end)
      kept[3]:cancel()
      rt.settle(kept)
    end)
    assert.same(none, testing.leaks())
    assert.equal("failed", kept[2]:status())
  end)

  it("make the test fail that left something behind, by name", function()
    local real, more = testing.leaks, { tasks = 0, timers = 1, handles = 0, coroutines = 0,
      anchors = 2 }
    finally(function() testing.leaks = real end)
    local asked = 0
    function testing.leaks()
      asked = asked + 1
      return asked == 1 and none or more
    end
    local ok, err = pcall(testing.run, function() end)
    assert.is_false(ok)
    assert.equal("leak", rt.kind(err))
    assert.equal("leak: testing.run: left behind: 1 timer, 2 anchors", tostring(err))
  end)
end)

describe("testing.replace", function()
  local fetch = rt.function_node("fetch", function(url) return "fetched " .. url end)

  it("has another function run for all calls of a node", testing.task(function()
    testing.replace(fetch, function(url) return "scripted " .. url end)
    assert.equal("scripted a", rt.call(fetch, "a"))
    assert.equal("scripted b", fetch("b"))
    assert.equal("scripted c", rt.spawn(fetch, "c"):await())
    assert.same({ "scripted d", n = 1 }, rt.map(fetch, { "d" }))
    assert.equal("scripted e", rt.run(fetch, "e"))
  end))

  it("is over with the test it was made in, also when that failed", function()
    testing.run(function() testing.replace(fetch, function() end) end)
    assert.equal("fetched a", rt.run(fetch, "a"))
    pcall(testing.run, function()
      testing.replace(fetch, function() end)
      testing.replace(fetch, function() end)
      error "no"
    end)
    assert.equal("fetched a", rt.run(fetch, "a"))
  end)

  it("keeps the arguments of every call", testing.task(function()
    local fake = testing.replace(fetch, function() end)
    rt.call(fetch, "a", nil)
    rt.call(fetch)
    assert.same({ { "a", nil, n = 2 }, { n = 0 } }, fake.calls)
  end))

  it("may wait, fail and return as nodes do", testing.task(function()
    testing.replace(fetch, function(...)
      rt.sleep(60)
      if ... == "bad" then error({ code = 404 }) end
      return ...
    end)
    assert.same({ 1, nil, n = 2 }, table.pack(rt.call(fetch, 1, nil)))
    local ok, err = pcall(rt.call, fetch, "bad")
    assert.is_false(ok)
    assert.equal(404, err.code)
  end, { clock = "virtual" }))

  it("leaves the node's name, and the check of its arguments", testing.task(function()
    local typed = rt.function_node("typed", function() end, {
      params = { { name = "url", type = "string" } },
    })
    local fake = testing.replace(typed, function() return rt.current().node end)
    assert.equal("typed", rt.call(typed, "a"))
    helper.refusal(rt.call, typed, 1)
    assert.equal(1, #fake.calls)
  end))

  it("takes a list of answers, one for each call", testing.task(function()
    local fake = testing.replace(fetch, { "first", nil, "third", n = 3 })
    assert.equal("first", rt.call(fetch, "a"))
    assert.is_nil(rt.call(fetch, "b"))
    assert.equal("third", rt.call(fetch, "c"))
    assert.equal("usage: fetch was called 4 times; testing.replace has 3 answers",
      helper.refusal(rt.call, fetch, "d"))
    assert.equal(4, #fake.calls)
  end))

  it("is undone by restore, once", function()
    local fake = testing.replace(fetch, function() return "scripted" end)
    assert.equal("scripted", rt.run(fetch, "a"))
    fake:restore()
    fake:restore()
    assert.equal("fetched a", rt.run(fetch, "a"))
  end)

  it("is undone when it is closed", function()
    do
      local _ <close> = testing.replace(fetch, function() return "scripted" end)
      assert.equal("scripted", rt.run(fetch, "a"))
    end
    assert.equal("fetched a", rt.run(fetch, "a"))
  end)

  it("may be nested, and undone in any order", function()
    local function answer(text) return function() return text end end
    local first = testing.replace(fetch, answer "first")
    local second = testing.replace(fetch, answer "second")
    local third = testing.replace(fetch, answer "third")
    second:restore()
    assert.equal("third", rt.run(fetch, "a"))
    third:restore()
    assert.equal("first", rt.run(fetch, "a"))
    first:restore()
    assert.equal("fetched a", rt.run(fetch, "a"))
  end)

  it("refuses what is no node, and what cannot run", function()
    assert.equal("usage: testing.replace: argument 1: expected a node, got function",
      helper.refusal(testing.replace, print, print))
    assert.equal("usage: testing.replace: argument 2: expected a function or a list of answers, "
      .. "got nil", helper.refusal(testing.replace, fetch))
    assert.equal("fetched a", rt.run(fetch, "a"))
  end)

  it("does not keep the node from the collector", function()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local node = rt.function_node("fetch once", function() end)
      rt.nodes["fetch once"] = nil
      testing.replace(node, function() end)
      weak[node] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("a plain run of busted", function()
  local busted = (helper.shell "command -v busted"):gsub("\n", "")

  --- Runs a text as a spec in a folder of its own, which holds nothing else.
  local function run_spec(text, seed)
    local folder <close> = helper.temporary()
    helper.write(folder.path .. "/flow_spec.lua", text)
    return helper.stock({ busted, "--output=plainTerminal", "flow_spec.lua" }, {
      cd = folder.path, env = "RAILTRACKS_SEED=" .. (seed or ""),
    })
  end

  it("needs no more than the module, which may be asked for first", function()
    local output, said, status = run_spec [[
      local testing = require "railtracks.testing"
      local rt = require "railtracks"
      assert(testing == require "railtracks.testing")
      describe("a flow", function()
        it("sleeps", testing.task(function()
          rt.sleep(3600)
          assert.equal(3600, rt.now())
        end, { clock = "virtual" }))
      end)
    ]]
    assert.equal(0, status, output .. said)
    assert.matches("^%+\n1 success", output)
    assert.equal("", said)
  end)

  it("shows a failed assertion as a failure, and the seed it failed under", function()
    local output, said, status = run_spec([[
      local testing = require "railtracks.testing"
      it("fails", testing.task(function() assert.equal(1, 2) end))
      it("is wrong", testing.task(function() error "so wrong" end))
      it("is right", testing.task(function() end))
    ]], 17)
    assert.not_equal(0, status)
    assert.matches("1 success / 1 failure / 1 error", output)
    assert.matches("Expected objects to be equal.*Passed in:\n%(number%) 2", output)
    assert.matches("so wrong", output)
    assert.equal("railtracks: seed 17\nrailtracks: seed 17\n", said)
  end)

  it("runs the example of the documentation", function()
    local count = 0
    for example in helper.read("docs/testing.md"):gmatch "```lua\n(.-)```" do
      local output, said, status = run_spec(example)
      assert.equal(0, status, output .. said)
      count = count + 1
    end
    assert.equal(1, count)
  end)
end)

describe("the engine's counts", function()
  it("are what testing.leaks tells", function()
    assert.same(core.counts(), testing.leaks())
  end)
end)
