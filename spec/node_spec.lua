local rt = require "railtracks"
local helper = require "spec.helper"

local refusal = helper.refusal

local function nothing() end

--- What rt.call(node, ...) raises inside a run.
local function refused_call(node, ...)
  local args = table.pack(...)
  return rt.run(function()
    local ok, err = pcall(rt.call, node, table.unpack(args, 1, args.n))
    assert.is_false(ok)
    return err
  end)
end

describe("rt.function_node", function()
  it("makes a node of a name and a function", function()
    local node = rt.function_node("double", function(x) return 2 * x end)
    assert.equal(42, rt.run(node, 21))
  end)

  it("makes a node of a name, a function and options", function()
    local node = rt.function_node("said", nothing, { description = "Says it." })
    assert.equal("Says it.", node.description)
  end)

  it("makes a node of one table", function()
    local node = rt.function_node {
      name = "triple", description = "Three times.", run = function(x) return 3 * x end,
      params = { { name = "x", type = "number" } }, record = "all",
    }
    assert.equal("triple", node.name)
    assert.equal("Three times.", node.description)
    assert.equal("x", node.params[1].name)
    assert.equal(63, rt.run(node, 21))
  end)

  it("leaves the given options table as it was", function()
    local options = { description = "d" }
    rt.function_node("kept", nothing, options)
    assert.same({ description = "d" }, options)
  end)

  it("takes a C function to run", function()
    assert.equal("AB", rt.run(rt.function_node("upper", string.upper), "ab"))
  end)

  it("takes a name with any bytes", function()
    local name = "größe \0 \xff"
    assert.equal(name, rt.function_node(name, nothing).name)
  end)

  it("refuses a missing name", function()
    assert.matches("name", refusal(rt.function_node))
    assert.matches("name", refusal(rt.function_node, nil, nothing))
  end)

  it("refuses an empty name", function()
    assert.matches("non%-empty", refusal(rt.function_node, "", nothing))
  end)

  it("refuses a name that is no string, and says what it is", function()
    assert.matches("number", refusal(rt.function_node, 12, nothing))
    assert.matches("boolean", refusal(rt.function_node, { name = true, run = nothing }))
  end)

  it("refuses a body that is no function, naming the node and what was given", function()
    local text = refusal(rt.function_node, "load", "text")
    assert.matches("load", text, 1, true)
    assert.matches("string", text, 1, true)
  end)

  it("refuses a missing body", function()
    assert.matches("nil", refusal(rt.function_node, "load"))
    assert.matches("nil", refusal(rt.function_node, { name = "load" }))
  end)

  it("refuses a node as the body", function()
    local node = rt.function_node("inner", nothing)
    assert.matches("node", refusal(rt.function_node, "outer", node))
  end)

  it("refuses options that are no table", function()
    assert.matches("argument 3.*number", refusal(rt.function_node, "load", nothing, 5))
  end)

  it("refuses name and run among the options", function()
    refusal(rt.function_node, "load", nothing, { name = "other" })
    refusal(rt.function_node, "load", nothing, { run = nothing })
  end)

  it("refuses an unknown option, and names it", function()
    assert.matches("'retry'", refusal(rt.function_node, "load", nothing, { retry = 3 }), 1, true)
    assert.matches("'retry'", refusal(rt.function_node, { name = "a", run = nothing, retry = 3 }))
  end)

  it("refuses a description that is no string", function()
    assert.matches("description", refusal(rt.function_node, "a", nothing, { description = 1 }))
  end)

  it("refuses a record that is neither 'all' nor 'none'", function()
    assert.matches("'some'", refusal(rt.function_node, "a", nothing, { record = "some" }))
    assert.matches("record", refusal(rt.function_node, "a", nothing, { record = true }))
  end)

  it("does not register a node that was refused", function()
    refusal(rt.function_node, "never made", nothing, { record = "some" })
    assert.is_nil(rt.nodes["never made"])
  end)

  describe("refuses params", function()
    local function with(params)
      return refusal(rt.function_node, "load", nothing, { params = params })
    end

    it("that are no table", function() assert.matches("params", with("path")) end)

    it("that are no list, naming the key", function()
      assert.matches("path", with { path = "string" })
    end)

    it("with an item that is no table, naming its place", function()
      assert.matches("params[2]", with { { name = "a" }, "b" }, 1, true)
    end)

    it("without a name", function() assert.matches("params[1]", with { {} }, 1, true) end)

    it("with an empty name", function() assert.matches("name", with { { name = "" } }) end)

    it("with a name that is no string", function()
      assert.matches("name", with { { name = 1 } })
    end)

    it("of an unknown type, listing the known ones", function()
      local text = with { { name = "a", type = "float" } }
      assert.matches("float", text, 1, true)
      assert.matches("string number integer boolean table any", text, 1, true)
    end)

    it("with an unknown field, naming it", function()
      assert.matches("'default'", with { { name = "a", default = 1 } }, 1, true)
    end)

    it("where a required one follows an optional one", function()
      assert.matches("'b'", with { { name = "a", optional = true }, { name = "b" } }, 1, true)
    end)
  end)
end)

describe("rt.nodes", function()
  it("finds a node by its name", function()
    local node = rt.function_node("findable", nothing)
    assert.equal(node, rt.nodes.findable)
  end)

  it("is nil for a name that was never given", function()
    assert.is_nil(rt.nodes["no such node"])
  end)

  it("finds the newest of a name, and the older one still works", function()
    local old = rt.function_node("twice", function() return "old" end)
    local new = rt.function_node("twice", function() return "new" end)
    assert.equal(new, rt.nodes.twice)
    assert.equal("old", rt.run(old))
    assert.equal("new", rt.run(rt.nodes.twice))
  end)

  it("does not know plain functions", function()
    local name = rt.run(function() return rt.call(function() return rt.current().node end) end)
    assert.is_nil(rt.nodes[name])
  end)
end)

describe("a node", function()
  it("is rt.call when called", function()
    local add = rt.function_node("add", function(a, b) return a + b, rt.current().call end)
    assert.same({ 5, "1.1" }, rt.run(function() return { add(2, 3) } end))
  end)

  it("raises a usage error naming rt.run when called outside a run", function()
    local node = rt.function_node("outside", nothing)
    assert.matches("rt.run", refusal(node), 1, true)
  end)

  it("has neither description nor params unless given", function()
    local node = rt.function_node("bare", nothing)
    assert.is_nil(node.description)
    assert.is_nil(node.params)
  end)

  it("has no other fields", function()
    local node = rt.function_node("plain", nothing)
    assert.is_nil(node.nothing)
    assert.is_nil(node[1])
  end)

  it("cannot be changed", function()
    local node = rt.function_node("fixed", nothing)
    assert.has_error(function() node.name = "other" end)
  end)

  it("shows its name with tostring", function()
    assert.matches("shown", tostring(rt.function_node("shown", nothing)), 1, true)
  end)

  it("names the current call", function()
    local node = rt.function_node("who", function() return rt.current().node end)
    assert.equal("who", rt.run(node))
    assert.equal("who", rt.run(function() return rt.call(node) end))
  end)

  it("lives on in a call that is running when it is collected", function()
    local function make()
      return rt.function_node("fleeting", function()
        rt.nodes.fleeting = nil
        collectgarbage()
        rt.sleep(0)
        collectgarbage()
        return rt.current().node
      end)
    end
    assert.equal("fleeting", rt.run(function() return rt.spawn(make()):await() end))
  end)
end)

describe("params", function()
  local function node_of(...)
    return rt.function_node("checked", function(...) return ... end, { params = { ... } })
  end

  local values = {
    string = "text", float = 2.5, integer = 7, boolean = false, table = {},
    ["function"] = nothing, whole = 3.0, numeral = "10",
  }
  local fitting = {
    string = { "string", "numeral" },
    number = { "float", "integer", "whole" },
    integer = { "integer", "whole" },
    boolean = { "boolean" },
    table = { "table" },
    any = { "string", "float", "integer", "boolean", "table", "function", "whole", "numeral" },
  }
  for type_name, good in pairs(fitting) do
    local fits = {}
    for _, value in ipairs(good) do fits[value] = true end
    for value_name, value in pairs(values) do
      local verb = fits[value_name] and "take" or "refuse"
      it(("of type %s %s a %s value"):format(type_name, verb, value_name), function()
        local node = node_of { name = "x", type = type_name }
        if fits[value_name] then
          assert.is_true(rawequal(value, (rt.run(node, value))))
        else
          assert.equal("usage", rt.kind(refused_call(node, value)))
        end
      end)
    end
    it(("of type %s refuse nil and nothing"):format(type_name), function()
      local node = node_of { name = "x", type = type_name }
      assert.equal("usage", rt.kind(refused_call(node, nil)))
      assert.equal("usage", rt.kind(refused_call(node)))
    end)
    it(("of type %s take nil and nothing where optional"):format(type_name), function()
      local node = node_of { name = "x", type = type_name, optional = true }
      assert.equal(1, select("#", rt.run(node, nil)))
      assert.equal(0, select("#", rt.run(node)))
    end)
  end

  it("without a type take anything but nil", function()
    local node = node_of { name = "x" }
    assert.equal(nothing, rt.run(node, nothing))
    assert.equal("usage", rt.kind(refused_call(node)))
  end)

  it("refuse a value of another type where optional", function()
    local node = node_of { name = "x", type = "string", optional = true }
    assert.equal("usage", rt.kind(refused_call(node, 5)))
  end)

  it("refuse a float beyond all integers", function()
    local node = node_of { name = "x", type = "integer" }
    for _, value in ipairs { 2 ^ 63, math.huge, 0 / 0 } do
      assert.equal("usage", rt.kind(refused_call(node, value)))
    end
  end)

  it("leave 3.0 a float where an integer is expected", function()
    local node = node_of { name = "x", type = "integer" }
    assert.equal("float", math.type(rt.run(node, 3.0)))
  end)

  it("let extra arguments pass", function()
    local node = node_of { name = "x", type = "integer" }
    assert.same({ 1, "more", nil, 4, n = 4 }, table.pack(rt.run(node, 1, "more", nil, 4)))
  end)

  it("name node, parameter, expected and given type in the message", function()
    local node = rt.function_node("load", nothing, {
      params = { { name = "path", type = "string" }, { name = "lines", type = "integer" } },
    })
    local text = tostring(refused_call(node, "a.txt", {}))
    for _, word in ipairs { "load", "lines", "integer", "table" } do
      assert.matches(word, text, 1, true)
    end
  end)

  it("tell a number from an integer in the message", function()
    local text = tostring(refused_call(node_of { name = "x", type = "integer" }, 2.5))
    assert.matches("integer", text, 1, true)
    assert.matches("number", text, 1, true)
  end)

  it("say nothing was given where an argument is missing", function()
    assert.matches("nothing", tostring(refused_call(node_of { name = "x" })), 1, true)
  end)

  it("are checked before the body runs", function()
    local ran = false
    local node = rt.function_node("careful", function() ran = true end,
      { params = { { name = "x", type = "string" } } })
    refused_call(node, 1)
    assert.is_false(ran)
  end)

  it("fail the call, not the one who spawned it", function()
    local node = node_of { name = "x", type = "string" }
    rt.run(function()
      local task = rt.spawn(node, 1)
      local outcome = rt.settle { task }[1]
      assert.is_false(outcome.ok)
      assert.equal("usage", rt.kind(outcome.error))
      assert.equal("failed", task:status())
    end)
  end)

  it("are checked for the items of a map", function()
    local node = node_of { name = "x", type = "string" }
    local outcomes = rt.run(function() return rt.map(node, { "a", 1 }, { settle = true }) end)
    assert.equal("a", outcomes[1].value)
    assert.equal("usage", rt.kind(outcomes[2].error))
  end)

  it("are checked for the root of a run", function()
    local ok, err = pcall(rt.run, node_of { name = "x", type = "string" }, 1)
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
  end)
end)

describe("a plain function", function()
  it("is named after the file and line of its definition", function()
    local function named() return rt.current().node end
    local line = debug.getinfo(named, "S").linedefined
    local name = rt.run(function() return rt.call(named) end)
    assert.matches("node_spec.lua:" .. line .. "$", name)
  end)

  it("has its file's name in full, however long", function()
    local path = ("folder/"):rep(40) .. "file.lua"
    local fn = assert(load("local rt = ... return function() return rt.current().node end",
      "@" .. path))(rt)
    assert.equal(path .. ":1", rt.run(fn))
  end)

  it("that was loaded from a text is named after Lua's short form of it", function()
    local fn = assert(load "local rt = ... return function() return rt.current().node end")(rt)
    assert.equal('[string "local rt = ... return function() return rt.cu..."]:1', rt.run(fn))
  end)

  it("written in C is named as in package.loaded", function()
    local upper, sleep = rt.run(function()
      return rt.spawn(string.upper, "").node, rt.spawn(rt.sleep, 0).node
    end)
    assert.equal("string.upper", upper)
    assert.equal("railtracks.sleep", sleep)
  end)

  it("written in C is named as the global it is", function()
    local name = rt.run(function() return rt.spawn(tostring, 1).node end)
    assert.equal("tostring", name)
  end)

  it("written in C and known nowhere is named [C]", function()
    local iterator = ("a"):gmatch(".")
    local name = rt.run(function() return rt.spawn(iterator).node end)
    assert.equal("[C]", name)
  end)

  it("may be called, spawned and mapped", function()
    rt.run(function()
      assert.equal(3, rt.call(math.max, 1, 3))
      assert.equal(3, rt.spawn(math.max, 1, 3):await())
      assert.same({ 1, 2, n = 2 }, rt.map(math.abs, { -1, -2 }))
    end)
  end)
end)

describe("what is no node", function()
  for name, value in pairs { ["nil"] = false, string = "load", table = {}, number = 4 } do
    it("is refused by rt.call, rt.spawn, rt.map and rt.run: a " .. name, function()
      if name == "nil" then value = nil end
      rt.run(function()
        for _, use in ipairs { rt.call, rt.spawn, rt.run } do
          assert.matches(name, refusal(use, value), 1, true)
        end
        assert.matches(name, refusal(rt.map, value, {}), 1, true)
      end)
      assert.matches(name, refusal(rt.run, value), 1, true)
    end)
  end

  it("is refused where another library's userdata is given", function()
    rt.run(function() assert.matches("userdata", refusal(rt.call, io.stdout), 1, true) end)
  end)
end)

describe("record = 'none'", function()
  local journal
  helper.each_in_folder(function(_, path) journal = path end)

  local function calls_of(code)
    local _, said = helper.run { "run", "--journal", journal, "-e", code }
    local text, problem, status = helper.run { "show", "--journal", journal, "--json" }
    assert.equal(0, status, said .. problem)
    return rt.json.decode(text).calls, helper.read(journal) .. text
  end

  it("keeps arguments and results of the node out of the journal", function()
    local calls, everything = calls_of [[
      local rt = require "railtracks"
      local login = rt.function_node("login", function(word)
        return word:upper()
      end, { record = "none" })
      rt.call(login, "a" .. "bra" .. "cadabra")
      rt.spawn(login, { "a" .. "bra" .. "cadabra" })
      rt.settle { rt.spawn(login, 1, "a" .. "bra" .. "cadabra") }
      rt.map(login, { "a" .. "bra" .. "cadabra" })
    ]]
    assert.equal("login", calls[2].node)
    assert.equal("done", calls[2].status)
    assert.truthy(calls[2].started_at)
    assert.is_nil(everything:find "abracadabra")
    assert.is_nil(everything:find "ABRACADABRA")
  end)

  it("keeps the message of its error", function()
    local calls = calls_of [[
      local rt = require "railtracks"
      local login = rt.function_node("login", function() error("wrong word", 0) end,
        { record = "none" })
      pcall(rt.call, login, "secret")
    ]]
    assert.equal("failed", calls[2].status)
    assert.equal("wrong word", calls[2].error.message)
  end)

  it("does not reach the calls below it", function()
    local calls = calls_of [[
      local rt = require "railtracks"
      local login = rt.function_node("login", function() rt.call(string.rep, "x", 3) end,
        { record = "none" })
      rt.call(login)
    ]]
    assert.same({ "xxx" }, calls[3].results)
  end)

  it("'all' is the default", function()
    local calls = calls_of [[
      local rt = require "railtracks"
      rt.call(rt.function_node("a", function(x) return x end), 1)
      rt.call(rt.function_node("b", function(x) return x end, { record = "all" }), 2)
    ]]
    assert.same({ 1 }, calls[2].args)
    assert.same({ 2 }, calls[3].results)
  end)
end)
