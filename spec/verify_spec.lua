local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage = helper.in_run, helper.refusal

local function nothing() end
local function approve() return true end

--- A node that returns what reached it, and whether it ran.
local function echo()
  local ran = { count = 0 }
  local node = rt.function_node("pay", function(...)
    ran.count = ran.count + 1
    return ...
  end)
  return node, ran
end

describe("rt.verify", function()
  it("makes a new node of the same name; the registry keeps the original", function()
    local node = echo()
    local verified = rt.verify(node, approve)
    assert.not_equal(node, verified)
    assert.equal("pay", verified.name)
    assert.equal(node, rt.nodes.pay)
  end)

  it("runs the node with its arguments when the verifier returns true", function()
    local verified = rt.verify(echo(), approve)
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(rt.run(verified, 1, nil, 3, nil)))
  end)

  it("asks the verifier first, with all arguments", function()
    local node, ran = echo()
    local seen
    rt.run(rt.verify(node, function(...)
      assert.equal(0, ran.count)
      seen = table.pack(...)
      return true
    end), 1, nil)
    assert.same({ 1, nil, n = 2 }, seen)
    assert.equal(1, ran.count)
  end)

  it("runs the node with what the verifier returns after true, instead", function()
    local verified = rt.verify(echo(), function(amount) return true, amount / 2, nil end)
    assert.same({ 5.0, nil, n = 2 }, table.pack(rt.run(verified, 10, "dropped")))
  end)

  for name, verdict in pairs { ["false"] = { false }, ["nil"] = {} } do
    it(("declines when the verifier returns %s and a reason"):format(name), function()
      local node, ran = echo()
      local ok, err = pcall(rt.run, rt.verify(node, function()
        return verdict[1], "too much"
      end), 10)
      assert.is_false(ok)
      assert.equal("declined", rt.kind(err))
      assert.equal("too much", err.reason)
      assert.equal("pay", err.node)
      assert.equal("declined: pay was declined: too much", tostring(err))
      assert.equal(0, ran.count)
    end)
  end

  it("declines when the verifier returns nothing at all", function()
    local ok, err = pcall(rt.run, rt.verify(echo(), nothing))
    assert.is_false(ok)
    assert.equal("declined", rt.kind(err))
    assert.is_nil(err.reason)
    assert.equal("pay was declined: no reason given", err.message)
  end)

  it("keeps a reason that is no text as it is", function()
    local reason = {}
    local _, err = pcall(rt.run, rt.verify(echo(), function() return false, reason end))
    assert.equal(reason, err.reason)
  end)

  it("is usage when the verifier returns anything else, and says what", function()
    local node, ran = echo()
    for _, verdict in ipairs { "yes", 1, {} } do
      local text = usage(rt.run, rt.verify(node, function() return verdict end))
      assert.matches("the verifier of pay must return true, false or nil", text, 1, true)
    end
    assert.equal(0, ran.count)
  end)

  it("raises what the verifier raises, as the same value", function()
    local value = {}
    local node, ran = echo()
    local ok, err = pcall(rt.run, rt.verify(node, helper.fail_with(value)))
    assert.is_false(ok)
    assert.equal(value, err)
    assert.equal(0, ran.count)
  end)

  it("takes nodes and plain functions on either side, and verifiers that wait", in_run(function()
    local human = rt.function_node("human", function() rt.sleep(0) return true end)
    assert.equal(1, rt.call(rt.verify(function(x) return x end, human), 1))
    assert.same({ 1, 2, n = 2 }, rt.map(rt.verify(echo(), human), { 1, 2 }))
  end))

  it("may be verified by several: the one added last is asked first", in_run(function()
    local order = {}
    local function by(name)
      return function() order[#order + 1] = name return true end
    end
    rt.call(rt.verify(rt.verify(echo(), by "inner"), by "outer"))
    assert.same({ "outer", "inner" }, order)
  end))

  it("checks params for what the verifier let through", function()
    local node = rt.function_node("typed", function(x) return x end,
      { params = { { name = "x", type = "number" } } })
    assert.equal(5, rt.run(rt.verify(node, function(text) return true, tonumber(text) end), "5"))
    assert.matches("parameter 'x'", usage(rt.run, rt.verify(node, approve), "5"), 1, true)
  end)

  it("asks once for a node with retries", in_run(function()
    local asked, tried = 0, 0
    local node = rt.function_node("shaky", function()
      tried = tried + 1
      if tried < 3 then error "no" end
      return tried
    end, { retries = { times = 3, delay = 0 } })
    local verified = rt.verify(node, function() asked = asked + 1 return true end)
    assert.equal(3, rt.call(verified))
    assert.equal(1, asked)
  end))

  it("refuses what cannot be called, naming the argument", function()
    assert.matches("rt.verify: argument 1: expected a node or a function, got nil",
      usage(rt.verify), 1, true)
    assert.matches("rt.verify: argument 2: expected a node or a function, got nil",
      usage(rt.verify, nothing), 1, true)
  end)

  it("refuses wrong options", function()
    assert.matches("argument 3: expected a table of options, got number",
      usage(rt.verify, nothing, approve, 5), 1, true)
    assert.matches("'time'", usage(rt.verify, nothing, approve, { time = 1 }), 1, true)
    assert.matches("rt.verify: timeout must be a positive number of seconds, got 0",
      usage(rt.verify, nothing, approve, { timeout = 0 }), 1, true)
  end)

  describe("in the journal", function()
    local folder
    helper.each_in_folder(function(path) folder = path end)

    it("is a call of the node whose child is the call of the verifier", function()
      local run = helper.record(folder, [[
        local pay = rt.function_node("pay", function(amount) return amount end)
        local ask = rt.function_node("ask", function(amount) return true, amount - 1 end)
        rt.call(rt.verify(pay, ask), 10)
      ]])
      assert.equal(3, #run.calls)
      assert.equal("pay", run.by_id["1.1"].node)
      assert.same({ 10 }, run.by_id["1.1"].args)
      assert.same({ 9 }, run.by_id["1.1"].results)
      assert.equal("ask", run.by_id["1.1.1"].node)
      assert.same({ 10 }, run.by_id["1.1.1"].args)
      assert.same({ true, 9 }, run.by_id["1.1.1"].results)
    end)

    it("is a failed call of kind declined", function()
      local run = helper.record(folder, [[
        local pay = rt.function_node("pay", function() end)
        pcall(rt.call, rt.verify(pay, function() return false, "no money" end))
      ]])
      assert.equal("failed", run.by_id["1.1"].status)
      assert.equal("declined", run.by_id["1.1"].error.kind)
      assert.matches("no money", run.by_id["1.1"].error.message)
      assert.equal("done", run.by_id["1.1.1"].status)
    end)

    it("keeps a secret node's arguments out of the verifier's record, too", function()
      local run = helper.record(folder, [[
        local pay = rt.function_node("pay", function(x) return x end, { record = "none" })
        local ask = rt.function_node("ask", function(x) return true, x end)
        rt.call(rt.verify(pay, ask), "PASSWORD")
        rt.call(rt.verify(pay, function(x) return true, x end), "PASSWORD")
      ]])
      assert.is_nil(run.text:find "PASSWORD")
      assert.equal("ask", run.by_id["1.1.1"].node)
      assert.equal("script.lua:4", run.by_id["1.2.1"].node)
    end)
  end)
end)
