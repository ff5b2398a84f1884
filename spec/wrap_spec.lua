local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage = helper.in_run, helper.refusal

local function nothing() end
local function pass(next, ...)
  local results = table.pack(next(...))
  return table.unpack(results, 1, results.n)
end

describe("rt.wrap", function()
  --- A wrapper that writes down when it is entered and left.
  local function noting(order, name)
    return function(next, ...)
      order[#order + 1] = name .. "-in"
      local results = table.pack(next(...))
      order[#order + 1] = name .. "-out"
      return table.unpack(results, 1, results.n)
    end
  end

  local function body_of(order)
    return rt.function_node("body", function() order[#order + 1] = "body" end)
  end

  it("makes a new node of the same name, description, params and record", function()
    local params = { { name = "x" } }
    local node = rt.function_node("shout", nothing,
      { description = "Loud.", params = params, record = "none", timeout = 5 })
    local wrapped = rt.wrap(node, pass)
    assert.not_equal(node, wrapped)
    assert.equal("shout", wrapped.name)
    assert.equal("Loud.", wrapped.description)
    assert.equal(params, wrapped.params)
    assert.equal("none", wrapped.record)
    assert.equal(5, wrapped.timeout)
  end)

  it("leaves the original in rt.nodes, and as it was", function()
    local node = rt.function_node("kept as it was", function() return 1 end)
    local wrapped = rt.wrap(node, function(next) return next() + 1 end)
    assert.equal(node, rt.nodes["kept as it was"])
    assert.equal(1, rt.run(node))
    assert.equal(2, rt.run(wrapped))
  end)

  it("nests functions given one after the other, the one added last outermost", function()
    local order = {}
    local node = body_of(order)
    rt.run(rt.wrap(rt.wrap(rt.wrap(node, noting(order, "A")), noting(order, "B")),
      noting(order, "C")))
    assert.same({ "C-in", "B-in", "A-in", "body", "A-out", "B-out", "C-out" }, order)
  end)

  it("nests functions given at once, the first outermost, and later ones around them", function()
    local order = {}
    local node = rt.wrap(body_of(order), noting(order, "A"), noting(order, "B"))
    rt.run(rt.wrap(node, noting(order, "C")))
    assert.same({ "C-in", "A-in", "B-in", "body", "B-out", "A-out", "C-out" }, order)
  end)

  it("lets a function change arguments and results, nils kept", function()
    local node = rt.function_node("count", function(...) return select("#", ...), ... end)
    local wrapped = rt.wrap(node, function(next, ...)
      return "first", next(nil, ..., nil)
    end)
    assert.same({ "first", 3, nil, 1, nil, n = 5 }, table.pack(rt.run(wrapped, 1)))
  end)

  it("lets a function answer without the body", function()
    local ran = false
    local node = rt.function_node("never", function() ran = true end)
    assert.equal("instead", rt.run(rt.wrap(node, function() return "instead" end)))
    assert.is_false(ran)
  end)

  it("lets a function run the body several times", function()
    local node = rt.function_node("twice", function(x) return x end)
    assert.equal(3, rt.run(rt.wrap(node, function(next) return next(1) + next(2) end)))
  end)

  it("lets a function fail, as the same value", function()
    local value = {}
    local ok, err = pcall(rt.run, rt.wrap(nothing, function() error(value) end))
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("lets a function catch what the body raises, and replace it", function()
    local node = rt.function_node("failing", helper.fail_with "no")
    assert.equal("caught no", rt.run(rt.wrap(node, function(next, ...)
      local ok, err = pcall(next, ...)
      assert(not ok)
      return "caught " .. err
    end)))
  end)

  it("lets a function wait, before the body and after it", in_run(function()
    local wrapped = rt.wrap(helper.sleepy, function(next, ...)
      rt.sleep(0)
      local result = next(...)
      rt.sleep(0)
      return result
    end)
    assert.equal(7, rt.call(wrapped, 7))
    assert.same({ 1, 2, n = 2 }, rt.map(wrapped, { 1, 2 }))
    assert.equal(3, wrapped(3))
    assert.equal(4, rt.spawn(wrapped, 4):await())
  end))

  it("is one call: the functions and the body run in it", in_run(function()
    local calls = {}
    local wrapped = rt.wrap(rt.function_node("one", function()
      calls[#calls + 1] = rt.current()
    end), function(next)
      calls[#calls + 1] = rt.current()
      next()
    end)
    rt.call(wrapped)
    assert.same({ "1.1", "1.1" }, { calls[1].call, calls[2].call })
    assert.same({ "one", "one" }, { calls[1].node, calls[2].node })
  end))

  it("takes plain functions, named by the place of their definition", in_run(function()
    local function plain() return rt.current().node end
    local name = rt.call(plain)
    assert.equal(name, rt.wrap(plain, pass).name)
    assert.equal(name, rt.call(rt.wrap(plain, pass)))
    assert.is_nil(rt.nodes[name])
  end))

  it("checks params for what reaches the body, not for what the functions are given", function()
    local node = rt.function_node("half", function(x) return x / 2 end,
      { params = { { name = "x", type = "number" } } })
    local wrapped = rt.wrap(node, function(next, text) return next(tonumber(text)) end)
    assert.equal(21, rt.run(wrapped, "42"))
    local ok, err = pcall(rt.run, wrapped, "many")
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
    assert.matches("half: parameter 'x': expected number, got nil", tostring(err), 1, true)
    assert.equal("usage", rt.kind(select(2, pcall(rt.run, rt.wrap(wrapped, pass), {}))))
  end)

  it("lets a function catch what the params' check raises", function()
    local node = rt.function_node("picky", nothing, { params = { { name = "x" } } })
    assert.equal("usage", rt.run(rt.wrap(node, function(next)
      return rt.kind(select(2, pcall(next)))
    end)))
  end)

  it("shows the functions and the body in a traceback, and nothing of ours", function()
    local trace = rt.run(function()
      local wrapped = rt.wrap(rt.function_node("deep", function() error "no" end),
        function(next) local result = next() return result end)
      local _, err = pcall(rt.call, wrapped)
      return rt.traceback(err)
    end)
    local frames = select(2, trace:gsub("\n\t[^\n]*wrap_spec.lua:", ""))
    assert.equal(3, frames, trace)
    assert.is_nil(trace:find("railtracks:", 1, true), trace)
    assert.is_nil(trace:find("tail calls", 1, true), trace)
  end)

  it("shows no tail call where there was none", function()
    local node = rt.function_node("deep", function() error "no" end)
    for _, wrapped in ipairs { rt.wrap(node, pass), rt.verify(node, function() return true end) } do
      local trace = rt.run(function()
        local _, err = pcall(rt.call, wrapped)
        return rt.traceback(err)
      end)
      assert.is_nil(trace:find("tail calls", 1, true), trace)
    end
  end)

  it("refuses what cannot be called", function()
    assert.matches("rt.wrap: argument 1: expected a node or a function, got nil",
      usage(rt.wrap), 1, true)
    usage(rt.wrap, "name", pass)
  end)

  it("refuses to wrap in nothing, or in what is no function, naming the argument", function()
    assert.matches("argument 2: expected a function, got nothing", usage(rt.wrap, nothing), 1,
      true)
    assert.matches("argument 3: expected a function, got 'x'", usage(rt.wrap, nothing, pass, "x"),
      1, true)
    assert.matches("argument 2: expected a function, got a node",
      usage(rt.wrap, nothing, rt.function_node("a", nothing)), 1, true)
    assert.matches("argument 3", usage(rt.wrap, nothing, pass, nil))
  end)

  describe("in the journal", function()
    local folder
    helper.each_in_folder(function(path) folder = path end)

    it("is one call with the node's name, what it was given and what it gave", function()
      local run = helper.record(folder, [[
        local add = rt.function_node("add", function(a, b) return a + b end)
        local wrapped = rt.wrap(add, function(next, a, b) return next(a, b + 1), "more" end)
        rt.call(rt.wrap(wrapped, function(next, ...) return next(...) end), 1, 2)
      ]])
      assert.equal(2, #run.calls)
      local call = run.by_id["1.1"]
      assert.equal("add", call.node)
      assert.same({ 1, 2 }, call.args)
      assert.same({ 4, "more" }, call.results)
      assert.matches("script.lua:3$", call.site)
    end)

    it("keeps arguments and results out where the node does", function()
      local run = helper.record(folder, [[
        local secret = rt.function_node("secret", function(x) return x end, { record = "none" })
        rt.call(rt.wrap(secret, function(next, ...) return next(...) end), "PASSWORD")
      ]])
      assert.is_nil(run.text:find "PASSWORD")
    end)
  end)
end)

describe("node:with", function()
  it("makes a changed copy and leaves the original as it was", function()
    local node = rt.function_node("original", function(x) return x, rt.current().node end,
      { description = "d", record = "none" })
    local other = node:with { name = "copy", description = "e", record = "all", timeout = 5 }
    assert.same({ "copy", "e", "all", 5 },
      { other.name, other.description, other.record, other.timeout })
    assert.same({ "original", "d", "none" }, { node.name, node.description, node.record })
    assert.is_nil(node.timeout)
    assert.same({ 1, "copy" }, { rt.run(other, 1) })
    assert.same({ 1, "original" }, { rt.run(node, 1) })
  end)

  it("keeps what is not given: params are checked", function()
    local node = rt.function_node("checked", nothing, { params = { { name = "x" } }, timeout = 9 })
    local other = node:with {}
    assert.equal("checked", other.name)
    assert.equal(9, other.timeout)
    assert.matches("parameter 'x'", usage(rt.run, other), 1, true)
  end)

  it("does not enter the copy in rt.nodes", function()
    local node = rt.function_node("in the registry", nothing)
    node:with { name = "not in the registry" }
    node:with { record = "none" }
    assert.equal(node, rt.nodes["in the registry"])
    assert.is_nil(rt.nodes["not in the registry"])
  end)

  it("takes a timeout away with math.huge", function()
    assert.is_nil(rt.function_node("a", nothing, { timeout = 1 }):with { timeout = math.huge }
      .timeout)
  end)

  it("copies a wrapped node with what it is wrapped in", function()
    local wrapped = rt.wrap(rt.function_node("w", function() return 1 end),
      function(next) return next() + 1 end)
    assert.equal(2, rt.run(wrapped:with { name = "v" }))
  end)

  it("refuses what is not to be changed, and unknown options", function()
    local node = rt.function_node("strict", nothing)
    assert.matches("node:with: strict: there is no option 'run'",
      usage(node.with, node, { run = nothing }), 1, true)
    usage(node.with, node, { params = {} })
    usage(node.with, node, { tiemout = 1 })
  end)

  it("refuses wrong values, naming option and value", function()
    local node = rt.function_node("strict", nothing)
    assert.matches("timeout must be a positive number of seconds, got -1",
      usage(node.with, node, { timeout = -1 }), 1, true)
    assert.matches("record", usage(node.with, node, { record = "some" }))
    assert.matches("name", usage(node.with, node, { name = "" }))
    assert.matches("retries", usage(node.with, node, { retries = -1 }))
    assert.matches("description", usage(node.with, node, { description = 1 }))
  end)

  it("refuses to be called without options, or on what is no node", function()
    local node = rt.function_node("strict", nothing)
    assert.matches("expected a table of options, got nil", usage(node.with, node), 1, true)
    assert.matches("node:with: expected a node, got table", usage(node.with, {}), 1, true)
  end)
end)

describe("the timeout of a node", function()
  it("is a positive number of seconds, kept with the node", function()
    assert.equal(1.5, rt.function_node("slow", nothing, { timeout = 1.5 }).timeout)
    assert.is_nil(rt.function_node("slow", nothing).timeout)
  end)

  it("is refused where it is anything else, naming the node and what was given", function()
    for _, wrong in ipairs { 0, -2, 0 / 0, "1", true } do
      assert.matches("rt.function_node: slow: timeout", usage(rt.function_node, "slow", nothing,
        { timeout = wrong }), 1, true)
    end
    assert.matches("got -2", usage(rt.function_node, "slow", nothing, { timeout = -2 }), 1, true)
  end)

  describe("refuses `next` once its call has ended", function()
    local body = rt.function_node("body", function(x) return x end)

    --- A node that returns its `next`.
    local leaky = rt.wrap(body, function(next) return next end)

    --- A node that returns a generator of what `next` returns.
    local generator = rt.wrap(body, function(next, x)
      return coroutine.wrap(function() coroutine.yield(next(x)) end)
    end)

    local function refused(...)
      local said = usage(...)
      assert.matches("`next` of body: called outside of the call it was made for", said, 1, true)
    end

    it("in its caller", in_run(function()
      refused(rt.call(leaky))
      refused(rt.call(generator, 5))
    end))

    it("in a later call of the same node", in_run(function()
      local kept
      local node = rt.wrap(body, function(next, x)
        if not kept then kept = next return next(x) end
        refused(kept, x)
        return next(x)
      end)
      assert.equal(1, rt.call(node, 1))
      assert.equal(2, rt.call(node, 2))
    end))

    it("outside a run", function() refused(rt.run(leaky)) end)

    it("but not while it lives, in whatever its function starts", in_run(function()
      local seen = {}
      local node = rt.wrap(body, function(next, x)
        rt.spawn(function()
          rt.sleep(0)
          seen.late = next("late")
        end)
        seen.nested = rt.run(next, "nested")
        seen.generator = coroutine.wrap(function() coroutine.yield(next("generator")) end)()
        return rt.call(next, x)
      end)
      assert.equal(5, rt.call(node, 5))
      assert.same({ late = "late", nested = "nested", generator = "generator" }, seen)
    end))
  end)
end)
