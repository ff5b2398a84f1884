local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

describe("a coroutine inside a task", function()
  it("may wait: generators in a for loop, with values both ways", in_run(function()
    local function squares(n)
      return coroutine.wrap(function()
        for i = 1, n do coroutine.yield(rt.call(sleepy, i * i), i) end
      end)
    end
    local got = {}
    for square, i in squares(4) do got[i] = square end
    assert.same({ 1, 4, 9, 16 }, got)
  end))

  it("may be a producer for a consumer that waits too", in_run(function()
    local producer = coroutine.create(function(first)
      local asked = first
      while asked do
        rt.sleep(0)
        asked = coroutine.yield(asked * 2)
      end
      return "end"
    end)
    local got = {}
    for i = 1, 3 do
      got[#got + 1] = select(2, coroutine.resume(producer, i))
      rt.sleep(0)
    end
    assert.same({ 2, 4, 6 }, got)
    assert.same({ true, "end" }, { coroutine.resume(producer, nil) })
    assert.equal("dead", coroutine.status(producer))
  end))

  it("may stand three deep, with pcall in between", in_run(function()
    local function deep(n)
      if n == 0 then
        rt.sleep(0)
        error("the bottom", 0)
      end
      local ok, err = pcall(coroutine.wrap(function() return deep(n - 1) end))
      error(err .. n .. tostring(ok), 0)
    end
    local ok, err = pcall(deep, 3)
    assert.is_false(ok)
    assert.equal("the bottom1false2false3false", err)
  end))

  it("may stand 90 deep", in_run(function()
    local function deep(n)
      if n == 0 then return sleepy("bottom") end
      return coroutine.wrap(deep)(n - 1)
    end
    assert.equal("bottom", deep(90))
  end))

  it("is normal to others while a task waits in it, and cannot be resumed or closed",
    in_run(function()
      local co = coroutine.create(function() rt.sleep(0.002) return "value" end)
      local task = rt.spawn(function() return select(2, coroutine.resume(co)) end)
      rt.sleep(0)
      assert.equal("normal", coroutine.status(co))
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
      assert.matches("cannot close a normal coroutine", select(2, pcall(coroutine.close, co)))
      assert.equal("value", task:await())
      assert.equal("dead", coroutine.status(co))
    end))

  it("may be shared by two tasks, one after the other", in_run(function()
    local shared = coroutine.wrap(function()
      for i = 1, 4 do
        rt.sleep(0)
        coroutine.yield(i)
      end
    end)
    local got = {}
    for _ = 1, 4 do got[#got + 1] = rt.call(function() return shared() end) end
    assert.same({ 1, 2, 3, 4 }, got)
  end))

  it("shows its failing frames in debug.traceback", in_run(function()
    local function culprit() error "here" end
    local co = coroutine.create(function() culprit() end)
    assert.is_false((coroutine.resume(co)))
    assert.matches("in upvalue 'culprit'", debug.traceback(co))
    assert.matches("^message\nstack traceback:\n", debug.traceback(co, "message"))
  end))

  it("is left suspended by a break, and closed by coroutine.close, which may wait",
    in_run(function()
      local closed = false
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function(_, err)
          rt.sleep(0)
          closed = err == nil -- as in Lua
        end })
        pcall(coroutine.yield, 1)
        error "not reached"
      end)
      coroutine.resume(co)
      assert.equal("suspended", coroutine.status(co))
      assert.is_false(closed)
      assert.is_true(coroutine.close(co))
      assert.is_true(closed)
      assert.equal("dead", coroutine.status(co))
    end))

  it("tells what its closing has raised", in_run(function()
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function() error("broken", 0) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.same({ false, "broken" }, { coroutine.close(co) })
  end))

  it("lets a node that it calls wait, but not yield for it", in_run(function()
    local generate = coroutine.wrap(function()
      local ok, err = pcall(rt.call, function() coroutine.yield "not mine" end)
      coroutine.yield(rt.kind(err), ok)
    end)
    assert.equal("usage", (generate()))
  end))

  it("stands in the traceback of what fails in it", in_run(function()
    local function culprit() error({}) end
    local ok, err = pcall(rt.call, function()
      local generate = coroutine.wrap(function() rt.sleep(0) culprit() end)
      generate()
    end)
    assert.is_false(ok)
    assert.matches("'culprit'.*in call [%d.]+ .*in call 1 ", rt.traceback(err))
  end))

  it("is where coroutine.running and isyieldable say it is", in_run(function()
    assert.is_false(coroutine.isyieldable())
    assert.is_true((select(2, coroutine.running())))
    local co
    co = coroutine.create(function()
      return coroutine.running() == co, select(2, coroutine.running()), coroutine.isyieldable()
    end)
    assert.same({ true, true, false, true }, { coroutine.resume(co) })
  end))
end)

describe("outside tasks", function()
  --- What each of Lua's functions and those in their place give for the same.
  local cases = {
    ["pcall of an error"] = function(f) return f.pcall(error, "x", 0) end,
    ["pcall of nothing"] = function(f) return select("#", f.pcall(function() end)) end,
    ["xpcall with a handler"] = function(f)
      return f.xpcall(error, function(e) return e .. "!" end, "x", 0)
    end,
    ["xpcall with arguments"] = function(f)
      return f.xpcall(function(...) return ... end, print, 1, nil)
    end,
    ["wrap, with an error"] = function(f)
      return f.pcall(f.coroutine.wrap(function() error "x" end))
    end,
    ["wrap, dead"] = function(f)
      local w = f.coroutine.wrap(function() return 1 end)
      w()
      return f.pcall(w)
    end,
    ["resume of values"] = function(f)
      local co = f.coroutine.create(function(a, b) return a, f.coroutine.yield(b) end)
      local first = { f.coroutine.resume(co, 1, 2) }
      return first[2], f.coroutine.resume(co, 3, 4)
    end,
    ["resume of itself"] = function(f)
      local co
      co = f.coroutine.create(function() return f.coroutine.resume(co) end)
      return f.coroutine.resume(co)
    end,
    ["status of all kinds"] = function(f)
      local co, seen = nil, {}
      local inner = f.coroutine.create(function() seen[1] = f.coroutine.status(co) end)
      co = f.coroutine.create(function()
        seen[2] = f.coroutine.status(co)
        f.coroutine.resume(inner)
      end)
      seen[3] = f.coroutine.status(co)
      f.coroutine.resume(co)
      return seen[1], seen[2], seen[3], f.coroutine.status(co)
    end,
    ["yield outside"] = function(f) return f.pcall(f.coroutine.yield) end,
    ["close with an error"] = function(f)
      local co = f.coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() error("c", 0) end })
        f.coroutine.yield()
      end)
      f.coroutine.resume(co)
      return f.coroutine.close(co)
    end,
  }
  local ours = { pcall = pcall, xpcall = xpcall, coroutine = coroutine }
  for name, case in pairs(cases) do
    it(name .. " is as in plain Lua", function()
      assert.same(table.pack(case(rt.raw)), table.pack(case(ours)))
    end)
  end
end)

describe("metamethods", function()
  it("may wait", in_run(function()
    local t = setmetatable({}, {
      __index = function(_, key) return rt.call(sleepy, key .. "!") end,
      __newindex = function(self, key, value) rt.sleep(0) rawset(self, key, value) end,
      __call = function(_, ...) return rt.call(sleepy, ...) end,
      __add = function() return rt.call(sleepy, "sum") end,
      __concat = function() return rt.call(sleepy, "concat") end,
      __lt = function() return rt.call(sleepy, true) end,
      __eq = function() return rt.call(sleepy, true) end,
      __len = function() return rt.call(sleepy, 7) end,
      __pairs = function() return coroutine.wrap(function()
        rt.sleep(0)
        coroutine.yield("key", "value")
      end) end,
    })
    assert.equal("x!", t.x)
    t.y = 1
    assert.equal(1, t.y)
    assert.same({ 1, 2 }, { t(1, 2) })
    assert.same({ "sum", "concat", true, 7 }, { t + 1, t .. "", t < t, #t })
    for key, value in pairs(t) do assert.same({ "key", "value" }, { key, value }) end
  end))
end)

describe("where Lua cannot yield, the error names", function()
  local places = {
    ["table.sort"] = function(wait) table.sort({ 3, 1, 2 }, wait) end,
    ["string.gsub"] = function(wait) string.gsub("abc", ".", wait) end,
    ["table.concat"] = function(wait)
      table.concat(setmetatable({}, { __index = wait, __len = function() return 2 end }))
    end,
    ["tostring"] = function(wait) tostring(setmetatable({}, { __tostring = wait })) end,
    ["require"] = function(wait)
      package.preload["a module that waits"] = wait
      finally(function() package.preload["a module that waits"] = nil end)
      require "a module that waits"
    end,
  }
  for name, place in pairs(places) do
    it(name .. ", and what to write instead", in_run(function()
      local message
      pcall(place, function()
        local _, err = pcall(rt.sleep, 0)
        message = message or tostring(err)
        error(err, 0)
      end)
      assert.matches("^usage: rt.sleep cannot wait inside " .. name
        .. ", which Lua cannot leave: %a", message)
    end))

    it(name .. " also when a coroutine stands between", in_run(function()
      local message
      pcall(place, function()
        local _, err = pcall(coroutine.wrap(function() rt.sleep(0) end))
        message = message or tostring(err)
        error(err, 0)
      end)
      assert.matches("^usage: rt.sleep cannot wait inside " .. name, message)
    end))
  end

  it("the handler of xpcall", in_run(function()
    local err
    xpcall(error, function() err = select(2, pcall(rt.sleep, 0)) end)
    assert.equal("usage", rt.kind(err))
    assert.matches("handlers of xpcall cannot wait", err.message)
  end))
end)
