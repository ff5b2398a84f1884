local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

describe("rt.run from plain Lua", function()
  it("returns all results, nils kept", function()
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(rt.run(function() return 1, nil, 3, nil end)))
    assert.same({ 1, nil, n = 2 }, table.pack(rt.run(sleepy, 1, nil)))
  end)

  it("returns nothing for a node that returns nothing", function()
    assert.equal(0, select("#", rt.run(function() end)))
  end)

  it("passes all arguments, nils kept", function()
    assert.equal(3, rt.run(function(...) return select("#", ...) end, nil, 2, nil))
  end)

  it("carries 100,000 arguments and results", function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local got = table.pack(rt.run(sleepy, table.unpack(values)))
    assert.equal(100000, got.n)
    assert.equal(100000, got[100000])
  end)

  it("takes a node, a function and a C function", function()
    assert.equal(1, rt.run(rt.function_node("one", function() return 1 end)))
    assert.equal(2, rt.run(function() return 2 end))
    assert.equal(3, rt.run(math.abs, -3))
  end)

  it("raises the error as the same value", function()
    local value = {}
    local ok, err = pcall(rt.run, function() error(value) end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("raises nil where nil was raised", function()
    assert.same({ false, nil, n = 2 }, table.pack(pcall(rt.run, function() error(nil) end)))
  end)

  it("may be used a thousand times", function()
    local sum = 0
    for i = 1, 1000 do sum = sum + rt.run(sleepy, i) end
    assert.equal(500500, sum)
  end)

  it("is not disturbed by an error in the run before", function()
    for i = 1, 100 do
      pcall(rt.run, function()
        rt.spawn(sleepy)
        rt.spawn(function() rt.sleep(3600) end)
        if i % 2 == 0 then rt.sleep(0) end
        error "no"
      end)
      assert.equal(i, rt.run(sleepy, i))
      assert.is_nil(rt.current())
    end
  end)

  it("may be used in a coroutine of plain Lua", function()
    local co = coroutine.wrap(function()
      coroutine.yield(rt.run(sleepy, 1))
      return rt.run(sleepy, 2)
    end)
    assert.equal(1, co())
    assert.equal(2, co())
  end)

  it("may be used where Lua cannot yield", function()
    assert.equal("ABC", (("abc"):gsub(".", function(c)
      return rt.run(function() return rt.call(string.upper, c) end)
    end)))
  end)

  it("may be used in a metamethod and in __gc", function()
    local seen
    do
      local _ = setmetatable({}, { __gc = function() seen = rt.run(sleepy, 5) end })
    end
    collectgarbage()
    collectgarbage()
    assert.equal(5, seen)
  end)

  it("takes errors whose message cannot be made", function()
    local value = setmetatable({}, { __tostring = function() error "no text" end })
    local _, err = pcall(rt.run, function() error(value) end)
    assert.is_true(rawequal(value, err))
  end)
end)

describe("rt.run inside a run", function()
  it("returns all results, nils kept", in_run(function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.run(sleepy, 1, nil, 3)))
  end))

  it("raises the error as the same value", in_run(function()
    local value = {}
    local _, err = pcall(rt.run, function() rt.sleep(0) error(value) end)
    assert.is_true(rawequal(value, err))
  end))

  it("is a run with an id of its own, whose calls begin at 1", in_run(function()
    local inner = rt.run(function() return rt.call(rt.current) end)
    assert.not_equal(rt.current().run, inner.run)
    assert.equal("1.1", inner.call)
  end))

  it("takes no number from the calls of the outer run", in_run(function()
    rt.run(sleepy)
    assert.equal("1.1", rt.spawn(sleepy).id)
  end))

  it("lets the tasks of the outer run go on", in_run(function()
    local seen
    rt.spawn(function() seen = true end)
    rt.run(sleepy)
    assert.is_true(seen)
  end))

  it("waits for the calls of the inner run", in_run(function()
    local ended
    rt.run(function() rt.spawn(function() sleepy() sleepy() ended = true end) end)
    assert.is_true(ended)
  end))

  it("may be done by many tasks at once", in_run(function()
    local results = rt.map(function(x) return (rt.run(sleepy, x)) end, { 1, 2, 3, 4, 5 })
    assert.same({ 1, 2, 3, 4, 5, n = 5 }, results)
  end))

  it("goes 1,000 deep", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return (rt.run(down, n - 1))
    end
    assert.equal("bottom", rt.run(down, 1000))
  end)
end)

describe("rt.current", function()
  it("is nil outside a run", function() assert.is_nil(rt.current()) end)

  it("has run, call and node", in_run(function()
    local here = rt.call(rt.function_node("here", function() return rt.current() end))
    assert.equal(rt.current().run, here.run)
    assert.equal("1.1", here.call)
    assert.equal("here", here.node)
  end))

  it("has a UUIDv7 for the run, larger with each run", function()
    local last = ""
    for _ = 1, 100 do
      local run = rt.run(function() return rt.current().run end)
      local four = ("%x"):rep(4)
      assert.matches("^" .. four:rep(2) .. "%-" .. four .. "%-7%x%x%x%-[89ab]%x%x%x%-" ..
        four:rep(3) .. "$", run)
      assert.is_true(run > last)
      last = run
    end
  end)

  it("is the same before and after a wait", in_run(function()
    rt.map(function()
      local before = rt.current().call
      rt.sleep(0)
      pcall(rt.call, error, "no")
      rt.call(sleepy)
      assert.equal(before, rt.current().call)
    end, { 1, 2, 3 })
    assert.equal("1", rt.current().call)
  end))

  it("is known inside a coroutine of the task's", in_run(function()
    assert.equal("1", coroutine.wrap(function() return rt.current().call end)())
  end))

  it("is nil again after the run", function()
    rt.run(sleepy)
    assert.is_nil(rt.current())
    pcall(rt.run, error)
    assert.is_nil(rt.current())
  end)
end)

describe("ids", function()
  it("are paths: 1, then 1.3, then 1.3.1", in_run(function()
    local function own() return rt.current().call end
    assert.equal("1", own())
    rt.call(own)
    rt.spawn(own)
    assert.same({ "1.3", "1.3.1", "1.3.2" }, rt.call(function()
      return { own(), rt.call(own), (rt.spawn(own):await()) }
    end))
  end))

  it("follow the order of starting, not of ending", in_run(function()
    local function slow(turns)
      for _ = 1, turns do rt.sleep(0) end
      return rt.current().call
    end
    assert.same({ "1.1", "1.2", "1.3", n = 3 },
      rt.gather(rt.spawn(slow, 5), rt.spawn(slow, 1), rt.spawn(slow, 3)))
  end))

  it("are the same when a run is repeated", function()
    local function program()
      local ids = {}
      local function note() ids[#ids + 1] = rt.current().call end
      rt.map(function(x) note() rt.sleep(x / 1000) rt.call(note) end, { 3, 1, 2 })
      rt.gather(rt.spawn(note), rt.spawn(function() rt.call(note) end))
      table.sort(ids)
      return ids
    end
    assert.same(rt.run(program), rt.run(program))
  end)

  describe("longer than 255 bytes", function()
    --- The ids of `depth` nested calls.
    local function ids_of(depth)
      local ids = {}
      local function down(n)
        ids[#ids + 1] = rt.current().call
        if n > 1 then rt.call(down, n - 1) end
      end
      rt.run(down, depth)
      return ids
    end

    it("are shortened to their beginning, … and ~SEQ", function()
      local ids = ids_of(300)
      assert.equal(("1."):rep(127) .. "1", ids[128])
      for i = 129, 300 do
        local head, seq = ids[i]:match("^([1.]+)…~(%d+)$")
        assert.truthy(head, ids[i])
        assert.equal(ids[128]:sub(1, #head), head)
        assert.equal(i, tonumber(seq))
      end
    end)

    it("stay at most 255 bytes long", function()
      for _, id in ipairs(ids_of(10000)) do assert.is_true(#id <= 255) end
    end)

    it("differ from each other", function()
      local seen = {}
      for _, id in ipairs(ids_of(2000)) do
        assert.is_nil(seen[id])
        seen[id] = true
      end
    end)

    it("are the same for a task and its call", function()
      local function down(n)
        if n > 0 then return (rt.call(down, n - 1)) end
        local task = rt.spawn(function() return rt.current().call end)
        return task.id == task:await() and task.id
      end
      assert.matches("…~%d+$", rt.run(down, 200))
    end)
  end)
end)
