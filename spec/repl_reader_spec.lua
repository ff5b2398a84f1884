local _ = require "railtracks"
local reader = require "railtracks.repl.reader"

describe("what is typed", function()
  for text, kind in pairs {
    ["1 + 1"] = "expression", ["f()"] = "expression", ["f(), g()"] = "expression",
    ["f();"] = "expression", ["= x"] = "expression", ["'a' -- b"] = "expression",
    ["x = 1"] = "statement", ["local x"] = "statement", ["return 1"] = "statement",
    ["for i = 1, 2 do end"] = "statement", [";"] = "statement",
    ["x ="] = "incomplete", ["f("] = "incomplete", ["{ 1,"] = "incomplete",
    ["1 +"] = "incomplete", ["[[a"] = "incomplete", ["if x then"] = "incomplete",
    ["function f() --[[ end"] = "incomplete", ["a.b:c"] = "incomplete",
    ["local x = 1\nx"] = "both", ["local y = 2\n{ 1,\n2 }"] = "both",
    [""] = "nothing", ["-- a"] = "nothing", [" \n "] = "nothing",
  } do
    it(("%q is %s"):format(text, kind), function()
      assert.equal(kind, (reader.kind(text)))
    end)
  end

  for _, wrong in ipairs { "x x", "x = 'abc", 'x = "abc\ndef"', "1 = 2", "end", "goto nowhere" } do
    it(("%q is wrong, whatever comes"):format(wrong), function()
      local kind, problem = reader.kind(wrong)
      assert.is_nil(kind)
      assert.is_string(problem)
      assert.is_true(reader.is_complete(wrong))
    end)
  end

  it("is one piece where Lua takes it as one", function()
    local pieces = reader.pieces "x = f\n(g)()\ny = 2"
    assert.equal(1, #pieces)
    assert.equal("statement", pieces[1].kind)
  end)

  it("is read line by line where Lua does not", function()
    local kinds = {}
    for i, piece in ipairs(reader.pieces "1\nx = 2\n:nodes\nf(\n3)\ny y") do
      kinds[i] = piece.kind or "wrong"
    end
    assert.same({ "expression", "statement", "command", "expression", "wrong" }, kinds)
  end)
end)

describe("a local of the outermost block", function()
  --- The text with the locals hoisted, and their names.
  local function hoisted(text)
    local body, names = reader.hoist(text)
    return (body:gsub("%s+", " "):gsub("^ ", "")), table.concat(names, " ")
  end

  it("becomes an assignment", function()
    assert.same({ "x = 1", "x" }, { hoisted "local x = 1" })
    assert.same({ "x = nil", "x" }, { hoisted "local x" })
    assert.same({ "a, b = f()", "a b" }, { hoisted "local a <const>, b = f()" })
    assert.same({ "function f() end", "f" }, { hoisted "local function f() end" })
    assert.same({ "a = nil b = nil c = 1", "a b c" }, { hoisted "local a local b local c = 1" })
  end)

  it("stays where it is in a block, a function, a string, a comment", function()
    for _, text in ipairs {
      "do local x = 1 end", "for i = 1, 2 do local y end", "f = function() local z end",
      "if a then local b else local c end", "repeat local d until d", "s = 'local e = 1'",
      "-- local g", "s = [[local h]]", "while true do local i break end",
    } do
      assert.equal(text, (reader.hoist(text)))
    end
  end)

  it("stays local where it is to be closed, and for _ENV", function()
    assert.equal("local x <close> = f()", (reader.hoist "local x <close> = f()"))
    assert.equal("local _ENV = {}", (reader.hoist "local _ENV = {}"))
  end)

  it("keeps its row", function()
    local body = reader.hoist "local a,\n  b\nlocal c = 1"
    assert.equal(3, select(2, body:gsub("\n", "\n")) + 1)
    assert.matches("\nc = 1$", (body:gsub("\n +", "\n")))
  end)
end)
