local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage = helper.in_run, helper.refusal

local function nothing() end

--- A function that fails until it is called for the `times`th time, then returns what it was
--- given; and a table with the `count` of its calls.
local function failing_until(times, value)
  local calls = { count = 0 }
  return function(...)
    calls.count = calls.count + 1
    if calls.count < times then error(value or "not yet", 0) end
    return ...
  end, calls
end

--- An error of the engine's of kind usage.
local function misuse() rt.sleep(-1) end

--- The seconds slept by a script that has replaced nothing but the sleeping.
local function pauses(options, env)
  local script = ([[
    local rt = require "railtracks"
    require "railtracks.core".sleep = function(seconds) print(("%%.17g"):format(seconds)) end
    pcall(rt.run, function() rt.retry(%s, function() error "no" end) end)
  ]]):format(options)
  local output, said, status = helper.stock({ "-e", script },
    { env = "RAILTRACKS_JOURNAL=none " .. (env or "") })
  assert.equal(0, status, said)
  local list = {}
  for line in output:gmatch "[^\n]+" do list[#list + 1] = tonumber(line) end
  return list
end

describe("rt.retry", function()
  it("returns all results of the first attempt that succeeds", in_run(function()
    local fn, calls = failing_until(3)
    assert.same({ 1, nil, n = 2 }, table.pack(rt.retry({ times = 5, delay = 0 }, fn, 1, nil)))
    assert.equal(3, calls.count)
  end))

  it("does not try again what succeeds, also with false or nil", in_run(function()
    local count = 0
    local function fn(...)
      count = count + 1
      return ...
    end
    assert.is_false((rt.retry({}, fn, false)))
    assert.is_nil((rt.retry({}, fn, nil)))
    assert.equal(2, count)
  end))

  it("raises the last attempt's error as the same value", in_run(function()
    local last
    local ok, err = pcall(rt.retry, { times = 3, delay = 0 }, function()
      last = {}
      error(last)
    end)
    assert.is_false(ok)
    assert.equal(last, err)
  end))

  it("raises nil where nil was raised", in_run(function()
    assert.same({ false, nil, n = 2 },
      table.pack(pcall(rt.retry, { times = 2, delay = 0 }, function() error(nil) end)))
  end))

  it("makes three attempts unless told otherwise, the first one counted", in_run(function()
    local fn, calls = failing_until(math.huge)
    pcall(rt.retry, { delay = 0 }, fn)
    assert.equal(3, calls.count)
    calls.count = 0
    pcall(rt.retry, { delay = 0, times = 1 }, fn)
    assert.equal(1, calls.count)
  end))

  it("tries for as long as it takes with times = math.huge", in_run(function()
    local fn, calls = failing_until(2000)
    rt.retry({ times = math.huge, delay = 0 }, fn)
    assert.equal(2000, calls.count)
  end))

  it("is one call whose attempts are its children", in_run(function()
    local ids = {}
    local node = rt.function_node("attempt", function()
      ids[#ids + 1] = rt.current().call
      if #ids < 3 then error "not yet" end
    end)
    rt.call(nothing)
    rt.retry({ times = 3, delay = 0 }, node)
    assert.same({ "1.2.1", "1.2.2", "1.2.3" }, ids)
    rt.call(function() ids[4] = rt.current().call end)
    assert.equal("1.3", ids[4])
  end))

  it("asks `on` with the error and the attempt's number whether to go on", in_run(function()
    local asked = {}
    local fn, calls = failing_until(math.huge, "no")
    local ok, err = pcall(rt.retry, { times = 5, delay = 0, on = function(e, attempt)
      asked[#asked + 1] = { e, attempt }
      return attempt < 2
    end }, fn)
    assert.same({ false, "no" }, { ok, err })
    assert.equal(2, calls.count)
    assert.same({ { "no", 1 }, { "no", 2 } }, asked)
  end))

  it("does not ask `on` after the last attempt", in_run(function()
    local asked = 0
    pcall(rt.retry, { times = 2, delay = 0, on = function() asked = asked + 1 return true end },
      helper.fail_with "no")
    assert.equal(1, asked)
  end))

  it("raises what `on` raises", in_run(function()
    local value = {}
    local ok, err = pcall(rt.retry, { delay = 0, on = helper.fail_with(value) },
      helper.fail_with "no")
    assert.is_false(ok)
    assert.equal(value, err)
  end))

  it("does not try again after an error of kind usage, whatever `on` says", in_run(function()
    local count = 0
    local ok, err = pcall(rt.retry, { delay = 0, on = function() return true end }, function()
      count = count + 1
      misuse()
    end)
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
    assert.equal(1, count)
  end))

  it("does not try again after wrong arguments", in_run(function()
    local node = rt.function_node("picky", nothing, { params = { { name = "x" } } })
    assert.matches("parameter 'x'", usage(rt.retry, { delay = 0 }, node), 1, true)
  end))

  it("tries a declined call again only if `on` says so", in_run(function()
    local asked = 0
    local node = rt.verify(nothing, function() asked = asked + 1 return false end)
    pcall(rt.retry, { delay = 0 }, node)
    assert.equal(1, asked)
    pcall(rt.retry, { delay = 0, on = function() return true end }, node)
    assert.equal(4, asked)
  end))

  it("tries again after the cancelled error of somebody else's task", in_run(function()
    local attempts = 0
    local ok, err = pcall(rt.retry, { times = 2, delay = 0 }, function()
      attempts = attempts + 1
      local other = rt.spawn(helper.sleeper)
      other:cancel()
      other:await()
    end)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.equal(2, attempts)
  end))

  it("does not try again when it is cancelled itself, nor asks `on`", in_run(function()
    local attempts, asked = 0, 0
    local task = rt.spawn(function()
      rt.retry({ times = 5, delay = 0, on = function() asked = asked + 1 return true end },
        function()
          attempts = attempts + 1
          rt.sleep(3600)
        end)
    end)
    rt.sleep(0)
    rt.sleep(0)
    task:cancel "enough"
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.equal("cancelled", task:status())
    assert.same({ 1, 0 }, { attempts, asked })
  end))

  it("stops waiting for the next attempt when it is cancelled", in_run(function()
    local attempts = 0
    local task = rt.spawn(function()
      rt.retry({ delay = 3600, max_delay = 3600 }, function()
        attempts = attempts + 1
        error "no"
      end)
    end)
    while attempts == 0 do rt.sleep(0) end
    task:cancel()
    pcall(task.await, task)
    assert.equal("cancelled", task:status())
    assert.equal(1, attempts)
  end))

  it("lets others run while it waits", in_run(function()
    local fn = failing_until(2)
    local task = rt.spawn(function() return rt.retry({ delay = 0 }, fn, "done") end)
    local other = rt.spawn(helper.sleepy, "other")
    assert.same({ "done", "other", n = 2 }, rt.gather(task, other))
  end))

  it("may be retried itself", in_run(function()
    local fn, calls = failing_until(4)
    rt.retry({ times = 2, delay = 0 }, function() rt.retry({ times = 2, delay = 0 }, fn) end)
    assert.equal(4, calls.count)
  end))

  describe("waits", function()
    it("longer each time by the factor, up to max_delay", function()
      assert.same({ 1, 3, 9, 20, 20 },
        pauses "{ times = 6, delay = 1, factor = 3, max_delay = 20, jitter = 0 }")
    end)

    it("0.1 s at first, twice as long each time and 30 s at most unless told otherwise",
      function()
        local list = pauses "{ times = 12, jitter = 0 }"
        for i = 1, 9 do assert.near(0.1 * 2 ^ (i - 1), list[i], 1e-9) end
        assert.same({ 30, 30 }, { list[10], list[11] })
      end)

    it("never longer than max_delay from the first time on", function()
      assert.same({ 2, 2 }, pauses "{ delay = 5, max_delay = 2 }")
    end)

    it("up to the share of jitter longer than that", function()
      local list = pauses "{ times = 200, delay = 1, factor = 1, jitter = 0.5 }"
      local different = {}
      for _, seconds in ipairs(list) do
        assert.is_true(seconds >= 1 and seconds < 1.5)
        different[seconds] = true
      end
      assert.is_truthy(next(different, (next(different))))
    end)

    it("the same times for the same RAILTRACKS_SEED", function()
      local options = "{ times = 20, delay = 1, jitter = 1 }"
      local first = pauses(options, "RAILTRACKS_SEED=7")
      assert.same(first, pauses(options, "RAILTRACKS_SEED=7"))
      assert.not_same(first, pauses(options, "RAILTRACKS_SEED=8"))
    end)

    it("without a draw from math.random", in_run(function()
      math.randomseed(42)
      local expected = math.random()
      math.randomseed(42)
      pcall(rt.retry, { delay = 1e-9, jitter = 1 }, helper.fail_with "no")
      assert.equal(expected, math.random())
    end))
  end)

  describe("refuses", function()
    local wrong = {
      times = { 0, -1, 1.5, 0 / 0, "3", false },
      delay = { -1, 0 / 0, math.huge, "1" },
      factor = { 0.5, -2, 0 / 0, "2" },
      max_delay = { -1, 0 / 0, {} },
      jitter = { -0.1, 1.1, 0 / 0, true },
      on = { "usage", 1, {} },
    }
    for option, values in pairs(wrong) do
      it(("a wrong %s before anything was started, naming it and the value"):format(option),
        in_run(function()
          for _, value in ipairs(values) do
            local text = usage(rt.retry, { [option] = value }, function() error "started" end)
            assert.matches("rt.retry: " .. option .. " must be", text, 1, true)
          end
          assert.matches("times must be a whole number from 1 on, or math.huge, got 0",
            usage(rt.retry, { times = 0 }, nothing), 1, true)
        end))
    end

    it("an unknown option", in_run(function()
      assert.matches("rt.retry: there is no option 'tries'",
        usage(rt.retry, { tries = 2 }, nothing), 1, true)
    end))

    it("to be called without options, or with what is no node", in_run(function()
      assert.matches("expected a table of options, got nil", usage(rt.retry), 1, true)
      assert.matches("expected a table of options, got function", usage(rt.retry, nothing), 1, true)
      assert.matches("argument 2: expected a node or a function, got nil", usage(rt.retry, {}), 1,
        true)
    end))

    it("to be called outside a run, and names rt.run", function()
      local text = usage(rt.retry, {}, nothing)
      assert.matches("rt.retry outside a run", text, 1, true)
      assert.matches("rt.run(", text, 1, true)
    end)
  end)
end)

describe("a node with retries", function()
  it("is tried that often after the first attempt", in_run(function()
    local fn, calls = failing_until(4)
    local node = rt.function_node("shaky", fn, { retries = { times = 4, delay = 0 } })
    assert.equal(7, rt.call(node, 7))
    assert.equal(4, calls.count)
  end))

  it("takes a number, of attempts after the first", function()
    assert.equal(2, rt.function_node("shaky", nothing, { retries = 2 }).retries)
    local output = helper.stock { "-e", [[
      local rt = require "railtracks"
      require "railtracks.core".sleep = function() end
      local count = 0
      local node = rt.function_node("shaky", function() count = count + 1; error "no" end,
        { retries = 2 })
      pcall(rt.run, node)
      print(count)
    ]] }
    assert.equal("3\n", output)
  end)

  it("has attempts with its name below its own call", in_run(function()
    local seen = {}
    local node = rt.function_node("shaky", function()
      local here = rt.current()
      seen[#seen + 1] = here.call .. " " .. here.node
      if #seen < 2 then error "no" end
    end, { retries = { delay = 0 } })
    rt.call(node)
    assert.same({ "1.1.1 shaky", "1.1.2 shaky" }, seen)
  end))

  it("has one attempt below its call when that succeeds, so that ids do not depend on it",
    in_run(function()
      local node = rt.function_node("steady", function() return rt.current().call end,
        { retries = 1 })
      assert.equal("1.1.1", rt.call(node))
      assert.equal("1.2.1", node())
    end))

  it("without any is a node like others", in_run(function()
    local node = rt.function_node("once", function() return rt.current().call end,
      { retries = 0 })
    assert.equal("1.1", rt.call(node))
  end))

  it("raises the last error as the same value", in_run(function()
    local value = {}
    local node = rt.function_node("shaky", helper.fail_with(value),
      { retries = { times = 2, delay = 0 } })
    local ok, err = pcall(rt.call, node)
    assert.is_false(ok)
    assert.equal(value, err)
  end))

  it("checks its params once, before the first attempt", in_run(function()
    local node = rt.function_node("picky", nothing,
      { retries = 2, params = { { name = "x" } }, description = "d" })
    assert.matches("picky: parameter 'x'", usage(rt.call, node), 1, true)
    assert.equal("x", node.params[1].name)
    assert.equal("d", node.description)
  end))

  it("can be given others, or none, with node:with", in_run(function()
    local fn, calls = failing_until(math.huge)
    local node = rt.function_node("shaky", fn, { retries = { times = 2, delay = 0 }, timeout = 9 })
    pcall(rt.call, node:with { retries = { times = 5, delay = 0 } })
    assert.equal(5, calls.count)
    calls.count = 0
    pcall(rt.call, node:with { retries = 0 })
    assert.equal(1, calls.count)
    calls.count = 0
    pcall(rt.call, node:with { name = "other" })
    assert.equal(2, calls.count)
    assert.equal(9, node:with { name = "other" }.timeout)
  end))

  it("can be made of one without", in_run(function()
    local fn, calls = failing_until(3)
    local node = rt.function_node("shaky", fn)
    assert.equal(5, rt.call(node:with { retries = { times = 3, delay = 0 } }, 5))
    assert.equal(3, calls.count)
    assert.is_nil(node.retries)
  end))

  it("wrapped passes through the function once, whatever the attempts", in_run(function()
    local fn, calls = failing_until(3)
    local passed = 0
    local node = rt.function_node("shaky", fn, { retries = { delay = 0 } })
    rt.call(rt.wrap(node, function(next, ...)
      passed = passed + 1
      return next(...)
    end))
    assert.same({ 3, 1 }, { calls.count, passed })
  end))

  it("made of a wrapped one passes through the function at each attempt", in_run(function()
    local fn = failing_until(3)
    local passed = 0
    local wrapped = rt.wrap(fn, function(next, ...)
      passed = passed + 1
      return next(...)
    end)
    rt.call(wrapped:with { retries = { delay = 0 } })
    assert.equal(3, passed)
  end))

  it("is not changed by what becomes of its table of options", in_run(function()
    local fn, calls = failing_until(math.huge)
    local retries = { times = 2, delay = 0 }
    local node = rt.function_node("shaky", fn, { retries = retries })
    retries.times = 5
    pcall(rt.call, node:with { name = "other" })
    pcall(rt.call, node)
    assert.equal(4, calls.count)
  end))

  it("is refused where retries are wrong, naming node, option and value", function()
    local function refused(retries)
      return usage(rt.function_node, "shaky", nothing, { retries = retries })
    end
    assert.matches("rt.function_node: shaky: retries must be a whole number, not negative, "
      .. "or a table, got -1", refused(-1), 1, true)
    refused(1.5)
    refused(0 / 0)
    refused "2"
    refused(false)
    assert.matches("shaky: retries: times must be", refused { times = 0 }, 1, true)
    assert.matches("shaky: retries: there is no option 'retries'", refused { retries = 1 }, 1, true)
  end)
end)

describe("retries in the journal", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  it("of a parent that calls again k times are k failed calls", function()
    local run = helper.record(folder, [[
      local node = rt.function_node("failing", function(i) error("no " .. i) end)
      for i = 1, 4 do pcall(rt.call, node, i) end
    ]])
    assert.equal(5, #run.calls)
    for i = 1, 4 do
      assert.equal("failed", run.by_id["1." .. i].status)
      assert.same({ i }, run.by_id["1." .. i].args)
    end
    assert.equal("done", run.by_id["1"].status)
  end)

  it("by rt.retry are a call named retry with k failed calls below it", function()
    local run = helper.record(folder, [[
      local count = 0
      local node = rt.function_node("shaky", function(x)
        count = count + 1
        if count < 4 then error("no " .. count) end
        return x
      end)
      rt.retry({ times = 5, delay = 0 }, node, "x")
    ]])
    assert.equal(6, #run.calls)
    local whole = run.by_id["1.1"]
    assert.same({ "retry", "done" }, { whole.node, whole.status })
    assert.same({ "x" }, whole.args)
    assert.same({ "x" }, whole.results)
    for i = 1, 4 do
      local attempt = run.by_id["1.1." .. i]
      assert.same({ "shaky", i < 4 and "failed" or "done" }, { attempt.node, attempt.status })
      assert.same({ "x" }, attempt.args)
    end
    assert.matches("no 2", run.by_id["1.1.2"].error.message)
    assert.matches("script.lua:7$", whole.site)
  end)

  it("that did not help end in a failed call that names the last attempt", function()
    local run = helper.record(folder, [[
      local node = rt.function_node("shaky", function() error "no" end,
        { retries = { times = 2, delay = 0 } })
      pcall(rt.call, node)
    ]])
    assert.same({ "shaky", "failed" }, { run.by_id["1.1"].node, run.by_id["1.1"].status })
    assert.equal("from call 1.1.2", run.by_id["1.1"].error.traceback)
    assert.equal("failed", run.by_id["1.1.1"].status)
  end)

  it("keep arguments and results out where the node does", function()
    local run = helper.record(folder, [[
      local options = { record = "none", retries = { delay = 0 } }
      local node = rt.function_node("secret", function(x) return x end, options)
      rt.call(node, "PASSWORD")
      rt.retry({}, node, "PASSWORD")
    ]])
    assert.equal(6, #run.calls)
    assert.is_nil(run.text:find "PASSWORD")
  end)
end)
