--- Generators, pcall, metamethods and coroutines inside tasks: more of ordinary Lua.

local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, closing = helper.in_run, helper.sleepy, helper.closing

--- Waits a little, in one way or another, and returns what it was given.
local function wait(...)
  rt.sleep(0)
  return rt.call(sleepy, ...)
end

local function collect(iterate, ...)
  local got = {}
  for value in iterate, ... do got[#got + 1] = value end
  return got
end

describe("a generator may wait", function()
  local function count(to)
    return coroutine.wrap(function()
      for i = 1, to do coroutine.yield(wait(i)) end
    end)
  end

  it("between the values it yields, and so may the loop", in_run(function()
    local got = {}
    for i in count(5) do got[#got + 1] = wait(i) end
    assert.same({ 1, 2, 3, 4, 5 }, got)
  end))

  it("with many others in the same task, and in others", in_run(function()
    local sums = rt.map(function(to)
      local first, second, sum = count(to), count(to), 0
      for i in first do sum = sum + i * second() end
      return sum
    end, { 1, 2, 3, 4 })
    assert.same({ 1, 5, 14, 30, n = 4 }, sums)
  end))

  it("in a generator, with pcall in between, three deep", in_run(function()
    local function nested(depth, to)
      if depth == 0 then return count(to) end
      return coroutine.wrap(function()
        assert(pcall(function()
          for i in nested(depth - 1, to) do
            wait()
            assert(pcall(coroutine.yield, i))
          end
        end))
      end)
    end
    assert.same({ 1, 2, 3 }, collect(nested(3, 3)))
  end))

  it("that a loop leaves with break: it stays suspended and goes on later", in_run(function()
    local closed = false
    local step = coroutine.wrap(function()
      local _ <close> = closing(function() closed = true end)
      for i = 1, 3 do coroutine.yield(wait(i)) end
    end)
    for i in step do if i == 1 then break end end
    rt.sleep(0)
    assert.is_false(closed)
    assert.equal(2, step())
    assert.same({ 3 }, collect(step))
    assert.is_true(closed)
  end))

  it("through a tree", in_run(function()
    local function walk(tree)
      if not tree then return end
      walk(tree[1])
      coroutine.yield(wait(tree[2]))
      walk(tree[3])
    end
    local tree = { { nil, 1 }, 2, { { nil, 3 }, 4 } }
    assert.same({ 1, 2, 3, 4 }, collect(coroutine.wrap(function() walk(tree) end)))
  end))

  it("inside nodes that use coroutines themselves", in_run(function()
    local inner = rt.function_node("inner", function(to)
      return table.concat(collect(count(to)), " ")
    end)
    assert.same({ "1", "1 2", "1 2 3" }, collect(coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(rt.call(inner, i)) end
    end)))
  end))

  it("but a node does not yield for the coroutine it is called in", in_run(function()
    local yields = rt.function_node("yields", function() coroutine.yield "out" end)
    local step = coroutine.wrap(function()
      local ok, err = pcall(rt.call, yields)
      coroutine.yield(ok, rt.kind(err))
    end)
    assert.same({ false, "usage" }, { step() })
  end))
end)

describe("a producer and a consumer", function()
  it("hand values and nils to each other, and both wait", in_run(function()
    local producer = coroutine.create(function(first)
      local answers = { first }
      for i = 1, 3 do answers[#answers + 1] = coroutine.yield(wait(i, nil)) end
      return answers
    end)
    local got = {}
    for i = 0, 2 do
      got[#got + 1] = table.pack(coroutine.resume(producer, i * 10))
      wait()
    end
    local nth = { true, nil, nil, n = 3 }
    for i = 1, 3 do
      nth[2] = i
      assert.same(nth, got[i])
    end
    local ok, answers = coroutine.resume(producer, 30)
    assert.is_true(ok)
    assert.same({ 0, 10, 20, 30 }, answers)
    assert.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(producer) })
  end))

  it("in three stages", in_run(function()
    local function stage(from, fn)
      return coroutine.wrap(function()
        for value in from do coroutine.yield(fn(wait(value))) end
      end)
    end
    local source = coroutine.wrap(function() for i = 1, 4 do coroutine.yield(i) end end)
    local doubled = stage(source, function(x) return 2 * x end)
    assert.same({ "2", "4", "6", "8" }, collect(stage(doubled, tostring)))
  end))
end)

describe("a coroutine in a task", function()
  it("is normal to others while a task waits inside it, and cannot be resumed or closed",
    in_run(function()
      local co = coroutine.create(function() rt.sleep(0.001) return "end" end)
      local task = rt.spawn(function() return select(2, coroutine.resume(co)) end)
      repeat rt.sleep(0) until coroutine.status(co) == "normal"
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
      assert.matches("cannot close a normal coroutine", select(2, pcall(coroutine.close, co)))
      assert.equal("end", task:await())
      assert.equal("dead", coroutine.status(co))
    end))

  it("may be shared by two tasks that take turns", in_run(function()
    local co = coroutine.wrap(function()
      for i = 1, math.huge do coroutine.yield(i) end
    end)
    local got = {}
    local function take()
      for _ = 1, 3 do
        got[#got + 1] = co()
        rt.sleep(0)
      end
    end
    rt.gather(rt.spawn(take), rt.spawn(take))
    assert.same({ 1, 2, 3, 4, 5, 6 }, got)
  end))

  it("may be begun in one call and resumed in another", in_run(function()
    local co = coroutine.wrap(function()
      coroutine.yield((rt.current().call))
      wait()
      coroutine.yield((rt.current().call))
    end)
    local first = rt.call(co)
    assert.not_equal(first, rt.call(co))
  end))

  it("may be begun outside of tasks and go on inside, and the other way round", function()
    local co = coroutine.wrap(function()
      for i = 1, 3 do
        coroutine.yield(rt.current() and wait(i) or i)
      end
    end)
    assert.equal(1, co())
    assert.equal(2, rt.run(function() return (co()) end))
    assert.equal(3, co())
  end)

  it("nests 90 deep", in_run(function()
    local function down(depth)
      if depth == 0 then return wait "bottom" end
      return coroutine.wrap(function() return down(depth - 1) end)()
    end
    assert.equal("bottom", down(90))
  end))

  it("shows the failing frames after a failure", in_run(function()
    local function inner() error "failed inside" end
    local co = coroutine.create(function()
      wait()
      inner()
    end)
    local ok, err = coroutine.resume(co)
    assert.is_false(ok)
    assert.matches("failed inside", err)
    local shown = debug.traceback(co, err)
    assert.matches("failed inside", shown, 1, true)
    assert.matches("generator_spec.lua:%d+: in upvalue 'inner'", shown)
  end))

  it("knows what runs and what can yield", in_run(function()
    local _, main = coroutine.running()
    assert.is_true(main)
    assert.is_false(coroutine.isyieldable())
    local co
    co = coroutine.create(function()
      wait()
      local this, is_main = coroutine.running()
      return this == co, is_main, coroutine.isyieldable(), coroutine.status(co)
    end)
    assert.equal("suspended", coroutine.status(co))
    assert.same({ true, true, false, true, "running" }, { coroutine.resume(co) })
  end))

  it("closes with what it has open, which may wait", in_run(function()
    local log = {}
    local co = coroutine.create(function()
      local _ <close> = closing(function() log[#log + 1] = wait "outer" end)
      local _ <close> = closing(function() log[#log + 1] = wait "inner" end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.is_true(coroutine.close(co))
    assert.same({ "inner", "outer" }, log)
    assert.equal("dead", coroutine.status(co))
  end))
end)

describe("coroutine.yield with no coroutine of one's own around", function()
  it("is an error of kind usage", in_run(function()
    assert.matches("coroutine.yield", helper.refusal(coroutine.yield, 1), 1, true)
    assert.matches("coroutine.yield", helper.refusal(rt.scope, coroutine.yield), 1, true)
  end))
end)

describe("a wait where Lua cannot yield is refused, naming", function()
  local places = {
    ["table.sort"] = { "make the values to compare first", function(f)
      table.sort({ 2, 1 }, f)
    end },
    ["string.gsub"] = { "string.gmatch", function(f) string.gsub("x", "x", f) end },
    ["load"] = { "collect the pieces first", function(f) load(f) end },
    ["tostring"] = { "a method of another name", function(f)
      tostring(setmetatable({}, { __tostring = f }))
    end },
    ["error"] = { "after xpcall has returned", function(f) xpcall(error, f, "x") end },
    ["require"] = { "rt.require", function(f)
      local name = "a module that waits in require"
      package.preload[name] = f
      pcall(require, name)
      package.preload[name], package.loaded[name] = nil, nil
    end },
    ["table.concat"] = { "make the strings first", function(f)
      table.concat(setmetatable({}, { __len = function() return 1 end, __index = f }))
    end },
    ["a finalizer (__gc)"] = { "spawn a task that waits", function(f)
      setmetatable({}, { __gc = f })
      collectgarbage()
      collectgarbage()
    end },
  }
  for name, place in pairs(places) do
    it(name .. " and what to write instead, before anything is started", in_run(function()
      local started, err = false, nil
      place[2](function()
        if not err then
          err = select(2, pcall(rt.call, function() started = true end))
        end
        return ""
      end)
      assert.equal("usage", rt.kind(err))
      assert.matches("rt.call cannot wait inside " .. name, tostring(err), 1, true)
      assert.matches(place[1], tostring(err), 1, true)
      assert.is_false(started)
      wait()
    end))
  end

  it("the function also from inside coroutines", in_run(function()
    local err
    string.gsub("x", "x", function()
      coroutine.wrap(function()
        coroutine.wrap(function() err = select(2, pcall(rt.sleep, 0)) end)()
      end)()
    end)
    assert.matches("rt.sleep cannot wait inside string.gsub", tostring(err), 1, true)
  end))

  it("one that has no name by where it was called", in_run(function()
    local err
    local sort = table.sort
    local _ <close> = closing(function() table.sort = sort end) -- luacheck: ignore 122
    table.sort = nil -- luacheck: ignore 122
    sort({ 2, 1 }, function() err = select(2, pcall(rt.sleep, 0)) end)
    assert.matches("rt.sleep cannot wait inside a C function called at [^ ]*_spec.lua:%d+",
      tostring(err))
  end))

  it("it, and spawning is allowed there all the same", in_run(function()
    local tasks = {}
    string.gsub("abc", ".", function(c) tasks[#tasks + 1] = rt.spawn(sleepy, c) end)
    assert.same({ "a", "b", "c", n = 3 }, rt.gather(tasks))
  end))
end)
