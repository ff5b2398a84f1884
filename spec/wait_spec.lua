local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

describe("a call may wait", function()
  it("inside pcall", in_run(function()
    assert.same({ true, 1, 2 }, { pcall(rt.call, sleepy, 1, 2) })
  end))

  it("inside xpcall", in_run(function()
    assert.same({ true, 1, 2 }, { xpcall(rt.call, print, sleepy, 1, 2) })
  end))

  it("inside pcalls in pcalls", in_run(function()
    local ok1, ok2, ok3, value = pcall(pcall, pcall, function() return rt.call(sleepy, 1) end)
    assert.same({ true, true, true, 1 }, { ok1, ok2, ok3, value })
  end))

  local meta = {
    __index = function(_, key) return rt.call(sleepy, key) end,
    __newindex = function(t, key, value) rawset(t, key, rt.call(sleepy, value)) end,
    __call = function(_, ...) return rt.call(sleepy, ...) end,
    __add = function(_, x) return rt.call(sleepy, x) end,
    __concat = function(_, x) return rt.call(sleepy, x) end,
    __eq = function() return rt.call(sleepy, true) end,
    __lt = function() return rt.call(sleepy, true) end,
    __le = function() return rt.call(sleepy, true) end,
    __len = function() return rt.call(sleepy, 5) end,
    __unm = function() return rt.call(sleepy, 6) end,
  }
  local uses = {
    __index = function(t) return t.key == "key" end,
    __newindex = function(t) t.x = 4 return rawget(t, "x") == 4 end,
    __call = function(t) return select("#", t(1, nil, 3)) == 3 end,
    __add = function(t) return t + 2 == 2 end,
    __concat = function(t) return t .. "a" == "a" end,
    __eq = function(t) return t == setmetatable({}, meta) end,
    __lt = function(t) return t < t end,
    __le = function(t) return t <= t end,
    __len = function(t) return #t == 5 end,
    __unm = function(t) return -t == 6 end,
  }
  for name, use in pairs(uses) do
    it("inside " .. name, in_run(function()
      assert.is_true(use(setmetatable({}, meta)))
    end))
  end

  it("inside the iterator of a for loop", in_run(function()
    local function after(x) return x < 3 and x + 1 or nil end
    local got = {}
    for i in function(_, i) return rt.call(after, i) end, nil, 0 do
      got[#got + 1] = i
    end
    assert.same({ 1, 2, 3 }, got)
  end))

  it("inside __pairs", in_run(function()
    local t = setmetatable({}, { __pairs = function()
      return rt.call(function() rt.sleep(0) return next, { a = 1 }, nil end)
    end })
    local got = {}
    for key, value in pairs(t) do got[key] = value end
    assert.same({ a = 1 }, got)
  end))

  it("inside __close at the end of a block", in_run(function()
    local closed
    do
      local guard <close> = setmetatable({}, { __close = function()
        closed = rt.call(sleepy, "closed")
      end })
      assert(guard)
    end
    assert.equal("closed", closed)
  end))

  it("inside __close when a function returns, which keeps its results", in_run(function()
    local function guarded()
      local guard <close> = setmetatable({}, { __close = function() rt.call(sleepy) end })
      assert(guard)
      return 1, nil, 3
    end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(guarded()))
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.call(guarded)))
  end))

  it("inside dofile", in_run(function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[local rt = require "railtracks" rt.sleep(0) return rt.call(string.upper, "a")]]
    file:close()
    local result = dofile(path)
    os.remove(path)
    assert.equal("A", result)
  end))
end)

describe("where Lua cannot wait, a call", function()
  --- `place(call)` makes the call where Lua cannot yield.
  local places = {
    ["a table.sort comparator"] = function(call) table.sort({ 3, 1, 2 }, call) end,
    ["a string.gsub callback"] = function(call) string.gsub("abc", ".", call) end,
    ["a __tostring"] = function(call) tostring(setmetatable({}, { __tostring = call })) end,
    ["load's reader"] = function(call) error(select(2, load(call)), 0) end,
    ["require"] = function(call)
      package.preload["a module that waits"] = call
      finally(function() package.preload["a module that waits"] = nil end)
      require "a module that waits"
    end,
  }
  for name, place in pairs(places) do
    it("raises a usage error, and the node does not run: " .. name, function()
      local ran, err = false, nil
      rt.run(function()
        local _
        _, err = pcall(place, function()
          local _, e = pcall(rt.call, function() ran = true end)
          error(e, 0)
        end)
      end)
      if type(err) == "string" then assert.matches("rt.call", err, 1, true)
      else assert.equal("usage", rt.kind(err)) end
      assert.is_false(ran)
    end)

    it("can still spawn: " .. name, in_run(function()
      local task
      pcall(place, function() task = task or rt.spawn(function() return 7 end) end)
      assert.equal(7, task:await())
    end))
  end

  it("names the function that would have waited", in_run(function()
    for name, wait in pairs {
      ["rt.call"] = function() rt.call(print) end, ["rt.sleep"] = function() rt.sleep(0) end,
      ["rt.gather"] = function() rt.gather() end, ["rt.settle"] = function() rt.settle() end,
      ["rt.map"] = function() rt.map(print, {}) end, ["rt.run"] = function() rt.run(print) end,
    } do
      local _, err = pcall(string.gsub, "x", "x", wait)
      assert.equal("usage", rt.kind(err))
      assert.matches(name, tostring(err), 1, true)
    end
  end))

  it("leaves the task able to go on", in_run(function()
    for _ = 1, 10 do pcall(string.gsub, "x", "x", function() rt.call(print) end) end
    assert.equal(1, rt.call(sleepy, 1))
  end))
end)

describe("outside a run", function()
  local waits = {
    ["rt.call"] = function() rt.call(print) end,
    ["rt.spawn"] = function() rt.spawn(print) end,
    ["rt.sleep"] = function() rt.sleep(0) end,
    ["rt.gather"] = function() rt.gather {} end,
    ["rt.settle"] = function() rt.settle {} end,
    ["rt.map"] = function() rt.map(print, {}) end,
  }
  for name, wait in pairs(waits) do
    it(name .. " raises a usage error that names rt.run", function()
      local ok, err = pcall(wait)
      assert.is_false(ok)
      assert.equal("usage", rt.kind(err))
      assert.matches(name, tostring(err), 1, true)
      assert.matches("rt.run", tostring(err), 1, true)
    end)
  end

  it("task:await raises a usage error that names rt.run", function()
    local task = rt.run(function() return rt.spawn(math.abs, 1) end)
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
    assert.matches("rt.run", tostring(err), 1, true)
  end)

  it("nodes may be made", function()
    assert.truthy(rt.function_node("made outside", print))
  end)
end)
