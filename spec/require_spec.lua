local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage, unshuffled = helper.in_run, helper.refusal, helper.unshuffled

describe("rt.require", function()
  local added

  before_each(function() added = {} end)
  after_each(function()
    for name in pairs(added) do
      package.preload[name] = nil
      package.loaded[name] = nil
    end
  end)

  --- Makes `loader` what loads the module.
  local function module(name, loader)
    added[name] = true
    package.preload[name] = loader
    return name
  end

  it("loads a module that waits while it loads", in_run(function()
    module("waits", function()
      rt.sleep(0)
      return { answer = rt.call(function() return 42 end) }
    end)
    assert.equal(42, rt.require "waits".answer)
    assert.equal(42, package.loaded.waits.answer)
  end))

  it("loads a file as require does, and passes it name and path", in_run(function()
    local folder <close> = helper.temporary()
    local path = package.path
    local _ <close> = setmetatable({}, { __close = function() package.path = path end })
    package.path = folder.path .. "/?.lua"
    added.from_file = true
    local file = helper.write(folder.path .. "/from_file.lua",
      "require 'railtracks'.sleep(0) return { ... }")
    local loaded, data = rt.require "from_file"
    assert.same({ "from_file", file }, loaded)
    assert.equal(file, data)
  end))

  it("returns what require returns: the module and its loader's data", in_run(function()
    local function loader() return "value" end
    module("by_require", loader)
    module("by_us", loader)
    assert.same({ "value", ":preload:", n = 2 }, table.pack(require "by_require"))
    assert.same({ "value", ":preload:", n = 2 }, table.pack(rt.require "by_us"))
    assert.same({ "value", n = 1 }, table.pack(require "by_require"))
    assert.same({ "value", n = 1 }, table.pack(rt.require "by_us"))
  end))

  it("takes what the loader left in package.loaded, true if there is nothing", in_run(function()
    module("returns_nothing", function() rt.sleep(0) end)
    module("sets_itself", function(name) package.loaded[name] = "itself" end)
    module("returns_false", function() return false end)
    assert.is_true((rt.require "returns_nothing"))
    assert.equal("itself", (rt.require "sets_itself"))
    assert.is_false((rt.require "returns_false"))
  end))

  it("does not load again what is loaded, by whomever", in_run(function()
    local count = 0
    module("counted", function() count = count + 1 return count end)
    assert.equal(1, require "counted")
    assert.equal(1, (rt.require "counted"))
    assert.equal(1, (rt.require "counted"))
    assert.equal(rt, rt.require "railtracks")
  end))

  it("is an error as of require where there is no such module", in_run(function()
    local _, expected = pcall(require, "no.such.module")
    local ok, err = pcall(rt.require, "no.such.module")
    assert.is_false(ok)
    assert.equal(expected, err)
    assert.matches("^module 'no.such.module' not found:\n\tno field package.preload", err)
  end))

  it("is an error as of require where the file cannot be read as Lua", in_run(function()
    local folder <close> = helper.temporary()
    local path = package.path
    local _ <close> = setmetatable({}, { __close = function() package.path = path end })
    package.path = folder.path .. "/?.lua"
    helper.write(folder.path .. "/broken.lua", "this is no Lua")
    local _, expected = pcall(require, "broken")
    local _, err = pcall(rt.require, "broken")
    assert.equal(expected, err)
    assert.matches("error loading module 'broken'", err)
  end))

  it("raises what the module raises, as the same value, and may be tried again", in_run(function()
    local value, count = {}, 0
    module("at_second", function()
      count = count + 1
      rt.sleep(0)
      if count == 1 then error(value) end
      return count
    end)
    local ok, err = pcall(rt.require, "at_second")
    assert.is_false(ok)
    assert.equal(value, err)
    assert.is_nil(package.loaded.at_second)
    assert.equal(2, (rt.require "at_second"))
  end))

  it("by two tasks loads the module once: the second waits for the first", in_run(function()
    local count = 0
    module("shared", function()
      count = count + 1
      rt.sleep(0)
      rt.sleep(0)
      return { count = count }
    end)
    local found = rt.gather(rt.spawn(rt.require, "shared"), rt.spawn(rt.require, "shared"),
      rt.spawn(rt.require, "shared"))
    assert.equal(1, count)
    assert.equal(found[1], found[2])
    assert.equal(found[1], found[3])
  end))

  it("by two tasks raises the failure in both", in_run(function()
    local value = {}
    module("fails", function() rt.sleep(0) error(value) end)
    local outcomes = rt.settle(rt.spawn(rt.require, "fails"), rt.spawn(rt.require, "fails"))
    assert.equal(value, outcomes[1].error)
    assert.equal(value, outcomes[2].error)
  end))

  it("loads the module for a second task when the first is cancelled meanwhile", in_run(function()
    local count = 0
    module("taken_over", function()
      count = count + 1
      if count == 1 then rt.sleep(3600) end
      return count
    end)
    local first = rt.spawn(rt.require, "taken_over")
    local second = rt.spawn(rt.require, "taken_over")
    while count == 0 do rt.sleep(0) end
    first:cancel()
    assert.equal(2, second:await())
    assert.equal("cancelled", first:status())
  end, unshuffled))

  it("leaves the load alone when the second task is cancelled", in_run(function()
    module("left_alone", function() rt.sleep(0) rt.sleep(0) return "loaded" end)
    local first = rt.spawn(rt.require, "left_alone")
    local second = rt.spawn(rt.require, "left_alone")
    rt.sleep(0)
    second:cancel()
    assert.equal("loaded", first:await())
    pcall(second.await, second)
    assert.equal("cancelled", second:status())
  end, unshuffled))

  it("waits for a load of another run", in_run(function()
    local count = 0
    module("across_runs", function() count = count + 1 rt.sleep(0) rt.sleep(0) return count end)
    local function inner() return (rt.run(rt.require, "across_runs")) end
    assert.same({ 1, 1, n = 2 }, rt.gather(rt.spawn(inner), rt.spawn(inner)))
  end))

  it("may be used by the module itself, for others", in_run(function()
    module("outer", function() return { inner = (rt.require "inner") } end)
    module("inner", function() rt.sleep(0) return "inner" end)
    assert.equal("inner", rt.require "outer".inner)
  end))

  it("of a module that requires itself is an error that names it", in_run(function()
    module("itself", function() return rt.require "itself" end)
    local ok, err = pcall(rt.require, "itself")
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("loop: itself -> itself", tostring(err), 1, true)
  end))

  it("of modules that require each other is an error that names them", in_run(function()
    module("a", function() return rt.require "b" end)
    module("b", function() return rt.call(function() return rt.require "c" end) end)
    module("c", function() return rt.require "a" end)
    local ok, err = pcall(rt.require, "a")
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    assert.matches("loop: c -> a -> b -> c", tostring(err), 1, true)
  end))

  it("in two tasks of modules that require each other is an error, too", in_run(function()
    module("left", function() rt.sleep(0) return rt.require "right" end)
    module("right", function() rt.sleep(0) return rt.require "left" end)
    local outcomes = rt.settle(rt.spawn(rt.require, "left"), rt.spawn(rt.require, "right"))
    for _, outcome in ipairs(outcomes) do
      assert.is_false(outcome.ok)
      assert.matches("loop: right -> left -> right", tostring(outcome.error), 1, true)
    end
  end, unshuffled))

  it("is no loop where a module is required twice on the way", in_run(function()
    module("top", function()
      return rt.gather(rt.spawn(rt.require, "one"), rt.spawn(rt.require, "two"))
    end)
    module("one", function() return rt.require "common" end)
    module("two", function() return rt.require "common" end)
    module("common", function() rt.sleep(0) return "common" end)
    assert.same({ "common", "common", n = 2 }, rt.require "top")
  end))

  it("is usage where Lua cannot wait, before anything was started", in_run(function()
    local ran = false
    module("sorting", function() ran = true end)
    local text = usage(table.sort, { 2, 1 }, function() return rt.require "sorting" end)
    assert.matches("rt.require cannot wait inside table.sort", text, 1, true)
    assert.is_false(ran)
  end))

  it("refuses what is no name", in_run(function()
    assert.matches("rt.require: argument 1: expected the name of a module, got nil",
      usage(rt.require), 1, true)
    usage(rt.require, {})
  end))

  it("outside a run loads as require does", function()
    module("plain", function(name, data) return { name, data } end)
    assert.same({ { "plain", ":preload:" }, ":preload:" }, { rt.require "plain" })
    module("waiting", function() rt.sleep(0) end)
    assert.matches("rt.run", usage(rt.require, "waiting"), 1, true)
  end)

  it("is in the journal as a call named after the module, with what that called below it",
    function()
      local folder <close> = helper.temporary()
      helper.write(folder.path .. "/slow.lua", [[
        local rt = require "railtracks"
        rt.sleep(0)
        return { value = rt.call(rt.function_node("fetch", function() return 1 end)) }
      ]])
      local run = helper.record(folder.path, [[rt.require "slow"; rt.require "slow"]])
      assert.equal(3, #run.calls)
      assert.same({ "require slow", "done" },
        { run.by_id["1.1"].node, run.by_id["1.1"].status })
      assert.equal("fetch", run.by_id["1.1.1"].node)
    end)
end)
