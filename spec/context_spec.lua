local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage = helper.in_run, helper.refusal

local context = rt.context

describe("rt.context", function()
  it("shares a value put in one node with all others of the run", in_run(function()
    local put = rt.function_node("put", function() context.put("user", "ada") end)
    local get = rt.function_node("get", function() return context.get "user" end)
    rt.call(put)
    assert.equal("ada", rt.call(get))
    assert.equal("ada", rt.spawn(get):await())
    assert.equal("ada", rt.call(function() return rt.call(get) end))
  end))

  it("does not show a value of one run in another", function()
    rt.run(function() context.put("user", "ada") end)
    assert.is_nil(rt.run(function() return context.get "user" end))
  end)

  it("of a nested run starts empty, and leaves nothing behind in the outer one", in_run(function()
    context.put("user", "ada")
    rt.run(function()
      assert.is_nil(context.get "user")
      assert.same({}, context.keys())
      context.put("user", "bob")
      context.put("more", 1)
    end)
    assert.equal("ada", context.get "user")
    assert.same({ "user" }, context.keys())
  end))

  it("is kept apart in runs that are interleaved", in_run(function()
    local function keep(mine)
      return rt.run(function()
        context.put("mine", mine)
        rt.sleep(0)
        return context.get "mine"
      end)
    end
    assert.same({ 1, 2, 3, n = 3 }, rt.map(keep, { 1, 2, 3 }))
  end))

  it("gives the default where there is no value", in_run(function()
    assert.equal(5, context.get("missing", 5))
    assert.is_nil(context.get("missing"))
  end))

  it("keeps false apart from nothing", in_run(function()
    context.put("on", false)
    assert.is_false(context.get("on", true))
  end))

  it("takes any value as a key, and keeps values as they are", in_run(function()
    local key, value = {}, function() end
    context.put(key, value)
    context.put(2, "two")
    context.put(false, "no")
    assert.equal(value, context.get(key))
    assert.equal("two", context.get(2))
    assert.equal("no", context.get(false))
  end))

  it("takes a key away with delete, and with a nil", in_run(function()
    context.put("a", 1)
    context.put("b", 2)
    context.delete "a"
    context.delete "never there"
    context.put("b", nil)
    assert.same({}, context.keys())
  end))

  it("is updated by all of a table's values, the others stay", in_run(function()
    context.put("a", 1)
    context.put("b", 1)
    context.update { b = 2, c = 3 }
    assert.same({ 1, 2, 3 }, { context.get "a", context.get "b", context.get "c" })
  end))

  it("lists its keys: strings first, then numbers, each sorted", in_run(function()
    context.update { b = 1, a = 1, [10] = 1, [2.5] = 1, [true] = 1, [false] = 1 }
    assert.same({ "a", "b", 2.5, 10, false, true }, context.keys())
  end))

  it("lists keys that have no order after those that have one", in_run(function()
    local key, other = {}, print
    context.update { [key] = 1, x = 1, [other] = 1 }
    local keys = context.keys()
    assert.equal(3, #keys)
    assert.equal("x", keys[1])
    assert.is_true(keys[2] == key and keys[3] == other or keys[2] == other and keys[3] == key)
  end))

  it("is gone with its run", function()
    local held = setmetatable({}, { __mode = "v" })
    local task = rt.run(function()
      held[1] = {}
      context.put("held", held[1])
      return rt.spawn(function() end)
    end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(held[1])
    assert.equal("done", task:status())
  end)

  describe("outside a run", function()
    for _, name in ipairs { "get", "put", "update", "delete", "keys" } do
      it("refuses " .. name .. ", and names rt.run", function()
        local text = usage(context[name], "key", "value")
        assert.matches("rt.context." .. name, text, 1, true)
        assert.matches("rt.run(", text, 1, true)
      end)
    end
  end)

  it("refuses a key that is nil or NaN, and names the function", in_run(function()
    for _, name in ipairs { "get", "put", "delete" } do
      local text = usage(context[name], nil, 1)
      assert.matches("rt.context." .. name .. ": argument 1", text, 1, true)
      assert.matches("got nil", text, 1, true)
      usage(context[name], 0 / 0, 1)
    end
  end))

  it("refuses to be updated with what is no table", in_run(function()
    assert.matches("rt.context.update: argument 1: expected a table, got nil",
      usage(context.update), 1, true)
    usage(context.update, "a")
  end))
end)
