local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

describe("a call", function()
  it("returns all results of the node, nils kept", function()
    local function three() return 1, nil, 3, nil end
    local results = rt.run(function() return table.pack(rt.call(three)) end)
    assert.same({ 1, nil, 3, nil, n = 4 }, results)
  end)

  it("returns all results of a node that has waited, nils kept", in_run(function()
    assert.same({ nil, 2, nil, n = 3 }, table.pack(rt.call(sleepy, nil, 2, nil)))
  end))

  it("passes all arguments, nils kept", in_run(function()
    local function count(...) return select("#", ...), ... end
    assert.same({ 4, nil, nil, 3, nil, n = 5 }, table.pack(rt.call(count, nil, nil, 3, nil)))
  end))

  it("returns nothing for a node that returns nothing", in_run(function()
    assert.equal(0, select("#", rt.call(function() end)))
  end))

  it("passes no arguments where none are given", in_run(function()
    assert.equal(0, rt.call(function(...) return select("#", ...) end))
  end))

  it("passes tables and functions as they are, not copies", in_run(function()
    local t, f = {}, function() end
    local t2, f2 = rt.call(sleepy, t, f)
    assert.equal(t, t2)
    assert.equal(f, f2)
  end))

  it("carries 200 arguments and 200 results", in_run(function()
    local values = {}
    for i = 1, 200 do values[i] = i end
    assert.same(values, { rt.call(sleepy, table.unpack(values)) })
  end))

  it("carries 100,000 arguments", in_run(function()
    local values = table.move({}, 1, 100000, 1, { n = 100000 })
    values[100000] = "last"
    local count, last = rt.call(function(...) return select("#", ...), (select(-1, ...)) end,
      table.unpack(values, 1, 100000))
    assert.equal(100000, count)
    assert.equal("last", last)
  end))

  it("carries 100,000 results", in_run(function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local got = table.pack(rt.call(function() return table.unpack(values) end))
    assert.equal(100000, got.n)
    assert.equal(100000, got[100000])
    got = table.pack(rt.call(function() rt.sleep(0) return table.unpack(values) end))
    assert.equal(100000, got.n)
    assert.equal(1, got[1])
  end))

  it("runs its node before it returns, and what follows after that", in_run(function()
    local order = {}
    rt.call(function() order[#order + 1] = "node" end)
    order[#order + 1] = "caller"
    rt.call(function() rt.sleep(0) order[#order + 1] = "sleeper" end)
    order[#order + 1] = "caller"
    assert.same({ "node", "caller", "sleeper", "caller" }, order)
  end))

  it("leaves the other tasks running while it waits", in_run(function()
    local ran = 0
    local task = rt.spawn(function() ran = 1 end)
    rt.call(sleepy)
    assert.equal(1, ran)
    task:await()
  end))

  it("may be made again and again", in_run(function()
    local sum = 0
    for i = 1, 10000 do sum = sum + rt.call(function(x) return x end, i) end
    assert.equal(50005000, sum)
  end))
end)

describe("a failing call", function()
  local values = {
    ["a string"] = "text", ["a number"] = 12, ["a float"] = 1.5, ["false"] = false,
    ["a table"] = {}, ["a function"] = function() end, ["a userdata"] = io.stdout,
    ["a table with __tostring"] = setmetatable({}, { __tostring = function() return "shown" end }),
    ["a table whose __tostring fails"] =
      setmetatable({}, { __tostring = function() error "no" end }),
    ["a table whose __tostring returns no string"] =
      setmetatable({}, { __tostring = function() return 1 end }),
    ["a table whose __eq says no"] = setmetatable({}, { __eq = function() return false end }),
    ["a table whose __name is odd"] = setmetatable({}, { __name = {} }),
    ["a coroutine"] = coroutine.create(function() end),
  }
  for name, value in pairs(values) do
    local function check(make)
      return in_run(function()
        local results = table.pack(pcall(rt.call, make))
        assert.equal(2, results.n)
        assert.is_false(results[1])
        assert.is_true(rawequal(value, results[2]))
      end)
    end
    it("raises the same value: " .. name, check(function() error(value, 0) end))
    it("raises the same value after waiting: " .. name, check(function()
      rt.sleep(0)
      error(value, 0)
    end))
    it("raises the same value through three calls: " .. name, check(function()
      rt.call(function() rt.call(function() error(value, 0) end) end)
    end))
    it("raises the same value out of a run: " .. name, function()
      local ok, err = pcall(rt.run, function() error(value, 0) end)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
    end)
  end

  it("raises nil where nil was raised", in_run(function()
    local results = table.pack(pcall(rt.call, function() error(nil) end))
    assert.same({ false, nil, n = 2 }, results)
    results = table.pack(pcall(rt.call, function() rt.sleep(0) error() end))
    assert.same({ false, nil, n = 2 }, results)
  end))

  it("raises the message of a Lua error with its place", in_run(function()
    local ok, err = pcall(rt.call, function() return nil + 1 end)
    assert.is_false(ok)
    assert.matches("^.*call_spec.lua:%d+: attempt to perform arithmetic on a nil value", err)
  end))

  it("leaves its caller running", in_run(function()
    pcall(rt.call, function() error "no" end)
    assert.equal(1, rt.call(function() return 1 end))
    rt.sleep(0)
  end))

  it("may be caught inside a node by pcall, with what follows still waiting", in_run(function()
    local result = rt.call(function()
      local ok = pcall(function()
        rt.sleep(0)
        error "caught"
      end)
      rt.sleep(0)
      return ok
    end)
    assert.is_false(result)
  end))

  it("reaches an xpcall handler as the same value", in_run(function()
    local value, seen = {}, nil
    xpcall(rt.call, function(e) seen = e end, function() error(value) end)
    assert.equal(value, seen)
  end))

  it("runs <close> variables of its body first, and they may wait", in_run(function()
    local closed = 0
    local ok = pcall(rt.call, function()
      local guard <close> = setmetatable({}, { __close = function()
        rt.sleep(0)
        closed = closed + 1
      end })
      assert(guard)
      error "no"
    end)
    assert.is_false(ok)
    assert.equal(1, closed)
  end))

  it("raises the error of a <close> that replaced its own", in_run(function()
    local value = {}
    local _, err = pcall(rt.call, function()
      local guard <close> = setmetatable({}, { __close = function() error(value) end })
      assert(guard)
      error "first"
    end)
    assert.equal(value, err)
  end))

  it("may run out of the Lua stack", in_run(function()
    local function deep() return 1 + deep() end
    local ok, err = pcall(rt.call, deep)
    assert.is_false(ok)
    assert.matches("stack overflow", tostring(err))
    assert.equal(1, rt.call(function() return 1 end))
  end))

  it("may run out of the C stack", in_run(function()
    local function deep(s) return (s:gsub(".", deep)) end
    local ok, err = pcall(rt.call, deep, "x")
    assert.is_false(ok)
    assert.matches("stack overflow", tostring(err))
    assert.equal(1, rt.call(function() return 1 end))
  end))
end)

describe("nested calls", function()
  it("go 100,000 deep", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return (rt.call(down, n - 1))
    end
    assert.equal("bottom", rt.run(down, 100000))
  end)

  it("go 100,000 deep when each waits first", function()
    local function down(n)
      rt.sleep(0)
      if n == 0 then return "bottom" end
      return (rt.call(down, n - 1))
    end
    assert.equal("bottom", rt.run(down, 100000))
  end)

  it("go 100,000 deep by spawn and await", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return (rt.spawn(down, n - 1):await())
    end
    assert.equal("bottom", rt.run(down, 100000))
  end)

  it("go 100,000 deep by tail calls", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return rt.call(down, n - 1)
    end
    assert.equal("bottom", rt.run(down, 100000))
  end)

  it("go 10,000 deep by map", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return rt.map(down, { n - 1 })[1]
    end
    assert.equal("bottom", rt.run(down, 10000))
  end)

  it("raise the same value from 100,000 deep", function()
    local value = {}
    local function down(n)
      if n == 0 then error(value) end
      return (rt.call(down, n - 1))
    end
    local ok, err = pcall(rt.run, down, 100000)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("raise the same value from 10,000 deep when each waits first", function()
    local value = {}
    local function down(n)
      rt.sleep(0)
      if n == 0 then error(value) end
      return (rt.call(down, n - 1))
    end
    local ok, err = pcall(rt.run, down, 10000)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("return to each caller its own results", function()
    local function fib(n)
      if n < 2 then return n end
      return rt.call(fib, n - 1) + rt.call(fib, n - 2)
    end
    assert.equal(610, rt.run(fib, 15))
  end)

  it("may go deep while others run", in_run(function()
    local function down(n)
      if n == 0 then return 0 end
      if n % 100 == 0 then rt.sleep(0) end
      return 1 + rt.call(down, n - 1)
    end
    assert.same({ 2000, 1500, 1000, n = 3 },
      rt.gather(rt.spawn(down, 2000), rt.spawn(down, 1500), rt.spawn(down, 1000)))
  end))
end)
