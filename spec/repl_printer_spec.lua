local rt = require "railtracks"
local printer = require "railtracks.repl.printer"

local function shown(value, width) return printer.format(value, { width = width or 80 }) end

describe("a value, to be read,", function()
  it("is a number as Lua writes it, integers and floats apart", function()
    assert.equal("1", shown(1))
    assert.equal("1.0", shown(1.0))
    assert.equal("0.1", shown(0.1))
    assert.equal("1e+100", shown(1e100))
    assert.equal("0.1", shown(0.1))
    assert.equal("0.30000000000000004", shown(0.1 + 0.2))
    assert.same({ "inf", "-inf", "nan" },
      { shown(math.huge), shown(-math.huge), shown(0 / 0) })
  end)

  it("is a string in quotes, escaped, with its characters", function()
    assert.equal([["a\n\"q\" \\ \x1b[31m \x00"]], shown "a\n\"q\" \\ \27[31m \0")
    assert.equal('"é 日本 🚀"', shown "é 日本 🚀")
    assert.equal([["\xff"]], shown "\xff")
  end)

  it("is cut with its length where it is long", function()
    local text = shown(("x"):rep(10000000))
    assert.is_true(#text < 3000)
    assert.matches('x…" %(10,000,000 bytes%)$', text)
    local inner = shown({ long = ("x"):rep(300) }, 60):match "\n(.-),\n"
    assert.matches('^  long = "x+…" %(300 bytes%)$', inner)
    assert.is_true(utf8.len(inner) < 60)
  end)

  it("is a table on one line where that fits, its keys in order", function()
    assert.equal("{}", shown {})
    assert.equal("{1, 2, 3}", shown { 1, 2, 3 })
    assert.equal('{7, [1.5] = 3, a = 1, ["b c"] = 2, ["end"] = 4, [true] = 5}',
      shown { 7, a = 1, ["b c"] = 2, [1.5] = 3, [true] = 5, ["end"] = 4 })
    assert.equal("{nil, nil, 3}", shown { nil, nil, 3 })
  end)

  it("is a table on several lines where it does not fit, indented", function()
    assert.equal([[
{
  name = "Bob",
  tags = {
    "aaaaaaaaaaaa", "bbbbbbbbbbbb",
    "cccccccccccc",
  },
}]], shown({ name = "Bob", tags = { ("a"):rep(12), ("b"):rep(12), ("c"):rep(12) } }, 40))
  end)

  it("fits into the width, wide characters counted twice", function()
    local list = {}
    for i = 1, 40 do list[i] = "日本" end
    for line in shown(list, 40):gmatch("[^\n]+") do
      local columns = 0
      for _, code in utf8.codes(line) do columns = columns + (code > 255 and 2 or 1) end
      assert.is_true(columns <= 40, line)
    end
  end)

  it("marks a cycle", function()
    local t = { 1 }
    t.self = t
    assert.equal("{1, self = <cycle>}", shown(t))
    local twice = { 2 }
    assert.equal("{{2}, {2}}", shown { twice, twice })
  end)

  it("is cut with a count where it has many items, fast", function()
    local list, map = {}, {}
    for i = 1, 1000000 do list[i] = i end
    for i = 1, 250 do map["key " .. i] = ("v"):rep(20) end
    assert.matches("99, 100,\n  … 999,900 more\n}$", shown(list))
    assert.matches("\n  … 150 more\n}$", shown(map))
    assert.is_true(#shown(list) < 1000)
  end)

  it("is cut where it is deep, or has many tables", function()
    local deep = {}
    for _ = 1, 1000 do deep = { deep } end
    assert.matches("{…}", shown(deep))
    local wide = {}
    for i = 1, 100 do
      wide[i] = {}
      for j = 1, 100 do wide[i][j] = { ("x"):rep(30), ("y"):rep(30), ("z"):rep(30) } end
    end
    local _, lines = shown(wide):gsub("\n", "\n")
    assert.is_true(lines < 600, lines)
  end)

  it("honours __tostring and __name, and survives a __tostring that fails", function()
    assert.equal("I am", shown(setmetatable({}, { __tostring = function() return "I am" end })))
    assert.equal("Point {x = 1}", shown(setmetatable({ x = 1 }, { __name = "Point" })))
    assert.matches("^<__tostring failed: .*no>$",
      shown(setmetatable({}, { __tostring = function() error "no" end })))
    assert.matches("^<__tostring failed: .*>$",
      shown(setmetatable({}, { __tostring = function() return {} end })))
  end)

  it("runs no other metamethod", function()
    local function never() error "was run" end
    local strange = setmetatable({ 1 }, { __index = never, __len = never, __pairs = never,
      __eq = never, __lt = never, __concat = never, __metatable = "hidden" })
    assert.equal("{1}", shown(strange))
  end)

  it("tells what a function is", function()
    assert.equal("function print", shown(print))
    assert.equal("function string.rep", shown(string.rep))
    assert.equal("function railtracks.call", shown(rt.call))
    assert.matches("^function %(a, b, %.%.%.%) .-spec/repl_printer_spec.lua:%d+$",
      shown(function(a, b, ...) return a, b, ... end))
  end)

  it("tells what a node and a task are, with name, params, id and state", function()
    assert.equal("Node load(url, ...)",
      shown(rt.function_node("load", function(url, ...) return url, ... end)))
    assert.equal("Node fetch(url: string, tries: integer?)",
      shown(rt.function_node { name = "fetch", run = print, params = {
        { name = "url", type = "string" },
        { name = "tries", type = "integer", optional = true } } }))
    rt.run(function()
      local task = rt.spawn(rt.function_node("nap", function() rt.sleep(0) end))
      assert.equal("Task 1.1 (nap, pending)", shown(task))
      task:await()
      assert.equal("{Task 1.1 (nap, done)}", shown { task })
    end)
  end)

  it("is one short line where only one is wanted", function()
    assert.equal("{a = 1}", printer.brief({ a = 1 }, 40))
    assert.equal("{…}", printer.brief({ { ("x"):rep(100) } }, 40))
    assert.equal(40, utf8.len(printer.brief(("x"):rep(100), 40)))
  end)
end)
