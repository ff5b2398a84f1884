local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, fail_with = helper.in_run, helper.sleepy, helper.fail_with

describe("rt.scope", function()
  it("returns what its function returns, nils and all", in_run(function()
    local got = table.pack(rt.scope(function(...) return nil, ... end, 1, 2))
    assert.same({ n = 3, nil, 1, 2 }, got)
  end))

  it("has ended its tasks when it returns", in_run(function()
    local before, inside = rt.spawn(rt.sleep, 3600), nil
    rt.scope(function() inside = rt.spawn(sleepy, 1) end)
    assert.equal("done", inside:status())
    assert.not_equal("done", before:status())
    before:cancel()
  end))

  it("is no call: its tasks belong to the call it stands in", in_run(function()
    local task
    rt.scope(function() task = rt.spawn(sleepy) end)
    assert.equal(rt.current().call .. ".1", task.id)
  end))

  it("cancels its tasks when its function fails, and raises that failure", in_run(function()
    local err, task = { "mine" }, nil
    local ok, got = pcall(rt.scope, function()
      task = rt.spawn(rt.sleep, 3600)
      rt.sleep(0)
      error(err)
    end)
    assert.is_false(ok)
    assert.equal(err, got)
    assert.equal("cancelled", task:status())
  end))

  it("fails with the earliest failure that nobody observed", in_run(function()
    local first, second = { "first" }, { "second" }
    local ok, got = pcall(rt.scope, function()
      rt.spawn(fail_with(first))
      rt.spawn(fail_with(second))
      return "lost"
    end)
    assert.is_false(ok)
    assert.equal(first, got)
    assert.matches("in call [%d.]+1 ", rt.traceback(got))
  end, helper.unshuffled))

  it("leaves a failure from before it to the call", function()
    local err = { "before" }
    local ok, got = pcall(rt.run, function()
      rt.spawn(fail_with(err))
      rt.sleep(0)
      assert.equal(7, rt.scope(function() return 7 end))
    end)
    assert.is_false(ok)
    assert.equal(err, got)
  end)

  it("nests", in_run(function()
    local order = {}
    local function note(what, seconds)
      return rt.spawn(function() rt.sleep(seconds) order[#order + 1] = what end)
    end
    rt.scope(function()
      note("outer", 0.02)
      rt.scope(function() note("inner", 0.005) end)
      order[#order + 1] = "between"
    end)
    assert.same({ "inner", "between", "outer" }, order)
  end))

  it("is interrupted by the cancellation of its call, when its tasks have ended", in_run(function()
    local inside
    local task = rt.spawn(function()
      rt.scope(function() inside = rt.spawn(rt.sleep, 3600) end)
    end)
    rt.sleep(0)
    rt.sleep(0)
    task:cancel "enough"
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.same({ "cancelled", "cancelled" }, { task:status(), inside:status() })
  end))

  it("wants a function", in_run(function()
    assert.matches("rt.scope: argument 1: expected a function, got no value",
      helper.refusal(rt.scope))
  end))

  it("wants a run", function()
    assert.matches("rt.run", helper.refusal(rt.scope, print))
  end)
end)

describe("rt.shield", function()
  it("returns all results of its node", in_run(function()
    local got = table.pack(rt.shield(function(...) return ... end, 1, nil, 3))
    assert.same({ 1, nil, 3, n = 3 }, got)
  end))

  it("is not reached by the cancellation of its caller, which is told afterwards", in_run(function()
    local done, after
    local task = rt.spawn(function()
      rt.shield(function() rt.sleep(0.005) done = true end)
      after = pcall(rt.sleep, 0)
    end)
    rt.sleep(0)
    task:cancel()
    pcall(task.await, task)
    assert.is_true(done)
    assert.is_nil(after)
    assert.equal("cancelled", task:status())
  end))

  it("is not reached by a deadline from outside, but by one from inside", in_run(function()
    local done
    local ok, err = pcall(rt.timeout, 0.002, function()
      rt.shield(function()
        rt.sleep(0.01)
        done = rt.kind(select(2, pcall(rt.timeout, 0.001, rt.sleep, 3600)))
      end)
      rt.sleep(0)
    end)
    assert.is_false(ok)
    assert.equal("timeout", rt.kind(err))
    assert.equal("timeout", done)
  end))
end)

describe("rt.fatal", function()
  it("ends the whole run, whoever catches errors", function()
    local reached, cleaned = false, false
    local ok, err = pcall(rt.run, function()
      rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
        rt.sleep(3600)
      end)
      rt.sleep(0)
      pcall(rt.call, function()
        pcall(rt.fatal, "no way on")
        reached = true
      end)
      reached = true
    end)
    assert.is_false(ok)
    assert.equal("fatal", rt.kind(err))
    assert.equal("no way on", err.message)
    assert.is_false(reached)
    assert.is_true(cleaned)
  end)

  it("wants a message", in_run(function()
    assert.matches("rt.fatal: argument 1: expected a message", helper.refusal(rt.fatal))
  end))

  it("lets no xpcall handler see it", function()
    local seen = false
    pcall(rt.run, function()
      xpcall(rt.fatal, function() seen = true end, "no way on")
    end)
    assert.is_false(seen)
  end)

  it("is recorded as the failure of the call it was raised in", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    helper.write(folder.path .. "/s.lua", [[
      local rt = require "railtracks"
      local bad = rt.function_node("bad", function() rt.fatal "no way on" end)
      pcall(rt.call, bad)
    ]])
    local _, said, status = helper.run { "run", "--journal", journal, folder.path .. "/s.lua" }
    assert.equal(1, status)
    assert.matches("^railtracks: fatal: no way on\nstack traceback:", said)
    assert.matches("in call 1.1 %(bad%)", said)
    local found = helper.recorded(journal, "@1")
    assert.equal("fatal", found.run.error.kind)
    assert.equal("fatal", found.by_id["1.1"].error.kind)
    assert.equal("failed", found.by_id["1.1"].status)
  end)
end)
