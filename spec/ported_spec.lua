-- Behaviours of the Python system's conformance list.

local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, fail_with = helper.in_run, helper.sleepy, helper.fail_with

local function nap(seconds)
  rt.sleep(seconds)
  return seconds
end

describe("gathered calls", function()
  it("of n parents with p each give n * p results, and the right tree", in_run(function()
    local leaf = rt.function_node("leaf", function(i, j) return i * 100 + j, rt.current().call end)
    local parent = rt.function_node("parent", function(i)
      local tasks = {}
      for j = 1, 7 do tasks[j] = rt.spawn(leaf, i, j) end
      local results = rt.gather(tasks)
      for j, task in ipairs(tasks) do
        assert.equal(rt.current().call .. "." .. j, task.id)
      end
      return results
    end)
    local tasks, count = {}, 0
    for i = 1, 5 do tasks[i] = rt.spawn(parent, i) end
    for i, results in ipairs(rt.gather(tasks)) do
      for j, value in ipairs(results) do
        assert.equal(i * 100 + j, value)
        count = count + 1
      end
    end
    assert.equal(35, count)
  end))

  it("come in four rounds of 55", in_run(function()
    for round = 1, 4 do
      local tasks = {}
      for i = 1, 55 do tasks[i] = rt.spawn(sleepy, round * i) end
      local results = rt.gather(tasks)
      assert.equal(55, results.n)
      for i = 1, 55 do assert.equal(round * i, results[i]) end
    end
  end))

  it("fan out by recursion, three levels deep", in_run(function()
    local fan
    fan = rt.function_node("fan", function(depth)
      if depth == 0 then return 1 end
      local tasks = {}
      for i = 1, 3 do tasks[i] = rt.spawn(fan, depth - 1) end
      local sum = 0
      for _, n in ipairs(rt.gather(tasks)) do sum = sum + n end
      return sum
    end)
    assert.equal(27, rt.call(fan, 3))
  end))

  it("of sleepers keep their order and take as long as the longest", function()
    local testing = require "railtracks.testing"
    testing.run(function()
      local began, tasks = rt.now(), {}
      for i, seconds in ipairs { 1, 2, 3, 2, 1 } do tasks[i] = rt.spawn(nap, seconds) end
      assert.same({ n = 5, 1, 2, 3, 2, 1 }, rt.gather(tasks))
      assert.equal(3, rt.now() - began)
    end, { clock = "virtual" })
  end)

  it("may be 600 that fail, and be settled", in_run(function()
    local tasks = {}
    for i = 1, 600 do tasks[i] = rt.spawn(fail_with { i }) end
    local outcomes = rt.settle(tasks)
    assert.equal(600, outcomes.n)
    for i, outcome in ipairs(outcomes) do
      assert.is_false(outcome.ok)
      assert.equal(i, outcome.error[1])
    end
  end))
end)

describe("two runs of one process", function()
  it("each have their own tree of nested calls", function()
    local ids = {}
    local three = rt.function_node("three", function() return rt.current().call end)
    local two = rt.function_node("two", function() return rt.call(three) end)
    local one = rt.function_node("one", function() return rt.call(two), rt.current().run end)
    for i = 1, 2 do
      local id, run = rt.run(one)
      assert.equal("1.1.1", id)
      ids[i] = run
    end
    assert.not_equal(ids[1], ids[2])
  end)
end)

describe("a deadline", function()
  it("of 0.1 s over a sleep of 0.3 s ends the run", function()
    local flow = rt.flow { name = "slow", entry = function() nap(0.3) end, timeout = 0.1 }
    local ok, err = pcall(flow.run, flow)
    assert.is_false(ok)
    assert.equal("timeout", rt.kind(err))
    assert.equal(0.1, err.seconds)
  end)

  it("lets a node's own error pass that looks like a timeout", in_run(function()
    local own = setmetatable({ kind = "timeout", message = "mine", seconds = 1 }, {
      __tostring = function() return "timeout: mine" end,
    })
    local ok, err = pcall(rt.timeout, 60, fail_with(own))
    assert.is_false(ok)
    assert.is_true(rawequal(own, err))
    assert.is_nil(rt.kind(err))
  end))
end)

describe("the last item of a map", function()
  local function until_three(i)
    if i == 3 then error("three", 0) end
    return i
  end

  it("fails the map when it fails", in_run(function()
    assert.same({ false, "three" }, { pcall(rt.map, until_three, { 1, 2, 3 }) })
  end))

  it("leaves all other values with settle", in_run(function()
    local got = rt.map(until_three, { 1, 2, 3 }, { settle = true })
    assert.same({
      n = 3, { ok = true, value = 1 }, { ok = true, value = 2 }, { ok = false, error = "three" },
    }, got)
  end))
end)

describe("a parent that catches its child's error", function()
  local function parent()
    return (pcall(rt.call, fail_with "of the child"))
  end

  it("succeeds", function()
    assert.is_false(rt.run(parent))
  end)

  it("fails with stop_on_error, with that error", function()
    local flow = rt.flow { name = "strict", entry = parent, stop_on_error = true }
    assert.same({ false, "of the child" }, { pcall(flow.run, flow) })
  end)
end)

describe("a parent that retries", function()
  it("shows each failed call", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    local script = helper.write(folder.path .. "/s.lua", [[
      local rt = require "railtracks"
      local tries = 0
      local flaky = rt.function_node("flaky", function()
        tries = tries + 1
        if tries <= 4 then error("again", 0) end
        return tries
      end)
      for _ = 1, 5 do
        local ok = pcall(rt.call, flaky)
        if ok then break end
      end
    ]])
    local _, said, status = helper.run { "run", "--journal", journal, script }
    assert.equal(0, status, said)
    local failed = 0
    for _, call in ipairs(helper.recorded(journal, "@1").calls) do
      if call.status == "failed" then failed = failed + 1 end
    end
    assert.equal(4, failed)
  end)
end)

describe("the context", function()
  it("set in one node is seen in another, and not in another run", function()
    local put = rt.function_node("put", function() rt.context.put("key", "value") end)
    local get = rt.function_node("get", function() return rt.context.get "key" end)
    assert.equal("value", rt.run(function() rt.call(put) return (rt.call(get)) end))
    assert.is_nil(rt.run(get))
  end)

  it("of a flow run twice is the original again", function()
    local flow = rt.flow {
      name = "counter", context = { list = { 1 } },
      entry = function()
        local list = rt.context.get "list"
        list[#list + 1] = 2
        return #list
      end,
    }
    assert.same({ 2, 2 }, { flow:run(), (flow:run()) })
  end)
end)

describe("wrappers", function()
  it("A and B, then C, run C A B body B A C", in_run(function()
    local order = {}
    local function note(what) order[#order + 1] = what end
    local function wrapper(name)
      return function(next, ...)
        note(name .. "-in")
        local result = next(...)
        note(name .. "-out")
        return result
      end
    end
    local node = rt.function_node("body", function() note "body" return 1 end)
    local wrapped = rt.wrap(rt.wrap(node, wrapper "A", wrapper "B"), wrapper "C")
    assert.equal(1, rt.call(wrapped))
    assert.same({ "C-in", "A-in", "B-in", "body", "B-out", "A-out", "C-out" }, order)
  end))
end)
