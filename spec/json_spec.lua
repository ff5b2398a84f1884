local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal

describe("rt.array", function()
  it("returns the table it was given", function()
    local list = { 1, 2 }
    assert.equal(list, rt.array(list))
    assert.same({ 1, 2 }, list)
  end)

  it("makes a table where none is given", function()
    assert.same({}, rt.array())
    assert.same({}, rt.array(nil))
  end)

  it("refuses what is no table", function()
    for _, value in ipairs { 1, "list", true, print } do refusal(rt.array, value) end
  end)

  it("makes an empty table a list in the journal", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      rt.call(type, rt.array {})
      rt.call(type, {})
    ]] }
    local text = helper.run { "show", "--journal", journal, "--json" }
    text = text:gsub("%s+", "")
    assert.matches('"args":[[]]', text, 1, true)
    assert.matches('"args":[{}]', text, 1, true)
  end)
end)

describe("rt.json", function()
  it("encodes and decodes", function()
    local value = { a = { 1, 2.5, "x", true, false }, b = "ä\n\"" }
    assert.same(value, rt.json.decode(rt.json.encode(value)))
  end)

  it("decodes whole numbers as integers, others as floats", function()
    assert.equal("integer", math.type(rt.json.decode "[12]"[1]))
    assert.equal("float", math.type(rt.json.decode "[1.5]"[1]))
    assert.equal(12, rt.json.decode "12")
  end)

  it("has null both ways", function()
    assert.equal(rt.json.null, rt.json.decode "[null]"[1])
    assert.equal("[null]", rt.json.encode { rt.json.null })
  end)

  it("encodes strings, numbers and booleans alone", function()
    assert.equal('"a"', rt.json.encode "a")
    assert.equal("1", rt.json.encode(1))
    assert.equal("true", rt.json.encode(true))
  end)

  it("works inside a run", in_run(function()
    assert.equal("[1]", rt.call(rt.json.encode, { 1 }))
  end))

  local cycle = {}
  cycle.self = cycle
  for name, value in pairs { ["a function"] = print, ["a table with a function"] = { print },
    ["a userdata"] = io.stdout, ["a coroutine"] = coroutine.create(print), NaN = 0 / 0,
    infinity = math.huge, ["a cycle"] = cycle, ["a table with a table as key"] = { [{}] = 1 },
    ["an integer it cannot keep"] = math.maxinteger } do
    it("raises an error of kind json instead of encoding " .. name, function()
      local ok, err = pcall(rt.json.encode, value)
      assert.is_false(ok)
      assert.equal("json", rt.kind(err))
    end)
  end

  for name, text in pairs { ["nothing"] = "", ["half an object"] = '{"a":', ["two values"] = "1 2",
    ["a bare word"] = "hello", ["NaN"] = "[NaN]", ["a comma too many"] = "[1,]" } do
    it("raises an error of kind json instead of decoding " .. name, function()
      local ok, err = pcall(rt.json.decode, text)
      assert.is_false(ok)
      assert.equal("json", rt.kind(err))
    end)
  end

  it("raises for what is no text", function()
    assert.has_error(function() rt.json.decode(nil) end)
    assert.has_error(function() rt.json.decode {} end)
  end)
end)
