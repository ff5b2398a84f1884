--- Deadlines: rt.timeout, timeout= of a node and of a flow, --timeout; and shields from them.

local rt = require "railtracks"
local helper = require "spec.helper"

local closing, fail_with = helper.closing, helper.fail_with

local function virtual(test) return helper.in_run(test, { clock = "virtual" }) end

--- The error that `fn(...)` has to raise.
local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

--- The same; it has to be of kind timeout, for a deadline of that many seconds.
local function timed_out(seconds, fn, ...)
  local err = raised(fn, ...)
  assert.equal("timeout", rt.kind(err))
  assert.equal(seconds, err.seconds)
  return err
end

local function forever() rt.sleep(1e6) end

describe("rt.timeout", function()
  it("passes arguments and results, nils and all", virtual(function()
    local got = table.pack(rt.timeout(1, function(...) rt.sleep(0.5) return nil, ... end, nil, 2))
    assert.same({ n = 3, nil, nil, 2 }, got)
  end))

  it("ends a call at its deadline, as failed with kind timeout", virtual(function()
    local since = rt.now()
    local err = timed_out(2, rt.timeout, 2, rt.function_node("slow", forever))
    assert.equal(2, rt.now() - since)
    assert.equal("slow", err.node)
    assert.equal(rt.current().call .. ".1", err.call)
  end))

  it("says where it was set and what the call waited for", virtual(function()
    local inner = rt.function_node("inner", forever)
    local line = debug.getinfo(1, "l").currentline + 2
    local err = raised(function()
      rt.timeout(2, function() rt.call(inner) end)
    end)
    local place = ("deadline of 2 s set at [^ ]*timeout_spec.lua:%d has passed, "):format(line)
    assert.matches("^timeout: " .. place .. "while waiting for call 1%.1%.1 %(inner%)$",
      tostring(err))
  end))

  it("tells the calls below it that they are cancelled, and by which deadline",
    virtual(function()
      local told
      timed_out(2, rt.timeout, 2, function()
        rt.call(function()
          local _ <close> = closing(function(_, err) told = err end)
          rt.sleep(1e6)
        end)
      end)
      assert.equal("cancelled", rt.kind(told))
      assert.matches("deadline of 2 s set at [^ ]*timeout_spec.lua:%d+, while waiting for sleep",
        tostring(told))
    end))

  it("is recorded as a failure; what is below it as cancelled", function()
    local folder <close> = helper.temporary()
    local found = helper.record(folder.path, [[
      pcall(rt.timeout, 0.01, function() rt.call(rt.sleep, 3600) end)
    ]])
    local call, below = found.by_id["1.1"], found.by_id["1.1.1"]
    assert.same({ "failed", "timeout" }, { call.status, call.error.kind })
    assert.same({ "cancelled", "cancelled" }, { below.status, below.error.kind })
    assert.matches("deadline of 0.01 s set at script.lua:1", call.error.message, 1, true)
    assert.matches("deadline of 0.01 s set at script.lua:1", below.error.message, 1, true)
  end)

  it("passes every pcall below it, and ends at the one around it", virtual(function()
    local err = timed_out(2, rt.timeout, 2, function()
      while not pcall(pcall, forever) do rt.sleep(0) end
    end)
    assert.equal("timeout", rt.kind(err))
    rt.sleep(1)  -- the caller is not cancelled
  end))

  it("does not take an error of the same look for its own", virtual(function()
    local own = setmetatable({ kind = "timeout", message = "mine", seconds = 2 }, {})
    assert.equal(own, raised(rt.timeout, 2, fail_with(own)))
    local inner
    local outer = raised(rt.timeout, 9, function()
      inner = raised(rt.timeout, 2, forever)
      error(inner, 0)
    end)
    assert.equal(inner, outer)
    assert.equal(2, outer.seconds)
  end))

  it("refuses seconds that are none, before anything is started", virtual(function()
    local ran = false
    for _, seconds in ipairs { 0, -1, 0 / 0, -math.huge, "2", "x", {}, true } do
      assert.matches("rt.timeout: argument 1", helper.refusal(rt.timeout, seconds, function()
        ran = true
      end), 1, true)
    end
    assert.matches("rt.timeout", helper.refusal(rt.timeout), 1, true)
    assert.matches("rt.timeout: argument 2", helper.refusal(rt.timeout, 1), 1, true)
    assert.matches("rt.timeout: argument 2", helper.refusal(rt.timeout, 1, "x"), 1, true)
    assert.is_false(ran)
  end))

  it("takes math.huge for none", virtual(function()
    assert.equal(5, rt.timeout(math.huge, function() rt.sleep(1e6) return 5 end))
  end))

  it("keeps the results of a call that returned without waiting again", helper.in_run(function()
    assert.equal(5, rt.timeout(0.001, function()
      local till = rt.now() + 0.004
      while rt.now() < till do end
      return 5
    end))
  end))

  it("counts the children that its call waits for", virtual(function()
    local child
    timed_out(2, rt.timeout, 2, function()
      child = rt.spawn(forever)
      return "returned"
    end)
    assert.equal("cancelled", child:status())
  end))

  it("gives cleanup its grace beyond the deadline", virtual(function()
    local cleaned
    local since = rt.now()
    timed_out(2, rt.timeout, 2, function()
      local _ <close> = closing(function() rt.sleep(3) cleaned = true end)
      rt.sleep(1e6)
    end)
    assert.is_true(cleaned)
    assert.equal(5, rt.now() - since)
  end))

  it("that passes while its call is being cancelled leaves it cancelled", virtual(function()
    local task = rt.spawn(function()
      rt.timeout(2, function()
        local _ <close> = closing(function() rt.sleep(3) end)
        rt.sleep(1e6)
      end)
    end)
    rt.sleep(1)
    task:cancel "why"
    assert.equal("why", rt.settle(task)[1].error.reason)
    assert.equal("cancelled", task:status())
  end))

  it("counts in cleanup too", virtual(function()
    local err
    local task = rt.spawn(function()
      local _ <close> = closing(function() err = raised(rt.timeout, 2, forever) end)
      rt.sleep(1e6)
    end)
    rt.sleep(1)
    task:cancel()
    rt.settle(task)
    assert.equal("timeout", rt.kind(err))
  end))

  it("is an error of the call it is in: a sibling goes on", virtual(function()
    local other = rt.spawn(function() rt.sleep(3) return 5 end)
    timed_out(2, rt.timeout, 2, forever)
    assert.equal(5, other:await())
  end))
end)

describe("of deadlines that nest", function()
  it("the nearest counts, whether it is the outer or the inner", virtual(function()
    timed_out(1, rt.timeout, 1, rt.timeout, 2, forever)
    local inner
    timed_out(3, rt.timeout, 3, function()
      inner = timed_out(1, rt.timeout, 1, forever)
      rt.sleep(1e6)
    end)
    assert.matches("deadline of 1 s", tostring(inner), 1, true)
  end))

  it("only the call whose own passed fails with timeout", function()
    local folder <close> = helper.temporary()
    local found = helper.record(folder.path, [[
      pcall(rt.timeout, 0.01, function()
        rt.timeout(3600, function() rt.call(rt.sleep, 3600) end)
      end)
    ]])
    local seen = {}
    for _, id in ipairs { "1.1", "1.1.1", "1.1.1.1" } do
      seen[#seen + 1] = found.by_id[id].status
      assert.matches("deadline of 0.01 s", found.by_id[id].error.message, 1, true)
    end
    assert.same({ "failed", "cancelled", "cancelled" }, seen)
  end)

  it("that of the call counts beside that of its node, nearest first", virtual(function()
    local node = rt.function_node("slow", forever, { timeout = 2 })
    assert.matches("set by its node", tostring(timed_out(2, rt.timeout, 3, node)), 1, true)
    assert.matches("timeout_spec", tostring(timed_out(1, rt.timeout, 1, node)), 1, true)
  end))
end)

describe("the timeout of a node", function()
  local slow = rt.function_node("slow", function(seconds) rt.sleep(seconds) return seconds end,
    { timeout = 2 })

  it("counts for each call, from its start", virtual(function()
    assert.same({ 1, 1, 1, n = 3 }, rt.map(slow, { 1, 1, 1 }, { limit = 1 }))
    timed_out(2, rt.map, slow, { 1, 3, 1 })
    timed_out(2, rt.map, slow, { 1, 1, 3 }, { limit = 1 })
  end))

  it("fails a spawned call, and whoever waits for it", virtual(function()
    local task = rt.spawn(slow, 3)
    timed_out(2, task.await, task)
    assert.equal("failed", task:status())
    timed_out(2, rt.gather, rt.spawn(slow, 1), rt.spawn(slow, 3))
    assert.equal("timeout", rt.kind(rt.settle(rt.spawn(slow, 3))[1].error))
    assert.equal(1, (rt.any(rt.spawn(slow, 3), rt.spawn(slow, 1))))
  end))

  it("lets an error that the node raises itself pass unchanged", virtual(function()
    local own = setmetatable({ kind = "timeout" }, {})
    local node = rt.function_node("own", fail_with(own), { timeout = 2 })
    assert.equal(own, raised(rt.call, node))
  end))
end)

describe("the deadline of a run", function()
  local folder
  helper.each_in_folder(function(path) folder = path end)

  local script = [[
    local _ <close> = setmetatable({}, { __close = function() print "closed" end })
    pcall(rt.call, function() rt.sleep(0.3) end)
    print "never"
  ]]

  it("of 0.1 s ends a sleep of 0.3 s: the run fails with kind timeout", function()
    local found = helper.record(folder, script, { "--timeout", "0.1", status = 1 })
    assert.equal("closed\n", found.output)
    assert.matches("timeout: deadline of 0.1 s set by --timeout has passed, while waiting for "
      .. "call 1.1", found.said, 1, true)
    assert.same({ "failed", "timeout" }, { found.run.status, found.run.error.kind })
    assert.equal("cancelled", found.by_id["1.1"].status)
  end)

  it("from its flow is the same, and the nearest of both counts", function()
    local flow = [[
      rt.flow { timeout = %s, entry = function() rt.sleep(0.3) print "never" end }:run()
    ]]
    local found = helper.record(folder, flow:format "0.02", { "--timeout", "9", status = 1 })
    assert.equal("", found.output)
    assert.matches("timeout: deadline of 0.02 s", found.said, 1, true)
    found = helper.record(folder, flow:format "9", { "--timeout", "0.02", status = 1 })
    assert.equal("", found.output)
    assert.matches("timeout: deadline of 0.02 s set by --timeout", found.said, 1, true)
  end)
end)

describe("a shield", function()
  it("is not reached by a deadline from outside; the next wait is", virtual(function()
    local log = {}
    timed_out(2, rt.timeout, 2, function()
      log[#log + 1] = rt.shield(function() rt.sleep(3) return "whole" end)
      rt.sleep(0)
      log[#log + 1] = "never"
    end)
    assert.same({ "whole" }, log)
  end))

  it("is not reached through other calls either", virtual(function()
    local done
    timed_out(2, rt.timeout, 2, function()
      rt.call(function()
        rt.shield(function()
          rt.call(rt.sleep, 3)
          rt.gather(rt.spawn(rt.sleep, 3))
          done = true
        end)
      end)
    end)
    assert.is_true(done)
  end))

  it("obeys a deadline that is set inside it", virtual(function()
    rt.shield(function() timed_out(2, rt.timeout, 2, forever) end)
    timed_out(2, rt.shield, rt.function_node("slow", forever, { timeout = 2 }))
  end))

  it("passes arguments, results and errors", virtual(function()
    local got = table.pack(rt.shield(function(...) return ... end, 1, nil, 3))
    assert.same({ 1, nil, 3, n = 3 }, got)
    local own = {}
    assert.equal(own, raised(rt.shield, fail_with(own)))
  end))

  it("that has returned leaves its results with a caller that does not wait again",
    virtual(function()
      assert.equal("whole", rt.timeout(2, function()
        return rt.shield(function() rt.sleep(3) return "whole" end)
      end))
    end))

  it("can be cancelled itself, by what is inside", virtual(function()
    local err = raised(rt.shield, function()
      local task = rt.spawn(forever)
      task:cancel "why"
      task:await()
    end)
    assert.equal("why", err.reason)
    rt.sleep(0)
  end))
end)
