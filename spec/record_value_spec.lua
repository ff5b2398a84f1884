local helper = require "spec.helper"

describe("a recorded call", function()
  local folder, journal
  helper.each_in_folder(function(...) folder, journal = ... end)

  local function record(...) return helper.record(folder, ...) end

  --- The JSON that is stored for one value, given as an expression.
  local function stored(expression, ...)
    record(("rt.call(function() end, (%s))"):format(expression), { ... })
    local list = helper.sql(journal, "SELECT args FROM calls WHERE seq = 2")
    return list:match("^%[(.*)%]$")
  end

  local forms = {
    { "1", "1" }, { "1.0", "1.0" }, { "-7", "-7" }, { "0.1", "0.1" }, { "1e300", "1e+300" },
    { "-0.0", "-0.0" }, { "2^53", "9007199254740992.0" },
    { "math.maxinteger", "9223372036854775807" },
    { "math.mininteger", "-9223372036854775808" },
    { "nil", "null" }, { "true", "true" }, { "false", "false" },
    { "0/0", '{"$lua":"nan"}' }, { "1/0", '{"$lua":"inf"}' }, { "-1/0", '{"$lua":"-inf"}' },
    { "''", '""' }, { "'héé'", '"héé"' }, { [['"\\']], [["\"\\"]] },
    { [['\0\1\n']], [["\u0000\u0001\n"]] }, { [['\xff']], '{"$bytes":"/w=="}' },
    { "{}", "{}" }, { "rt.array{}", "[]" }, { "{ 1, 'two', { 3 } }", '[1,"two",[3]]' },
    { "{ b = 1, a = 2, c = 3 }", '{"a":2,"b":1,"c":3}' },
    { "{ [1] = 'a', [3] = 'c' }", '{"$map":[[1,"a"],[3,"c"]]}' },
    { "{ 'a', x = 'b' }", '{"$map":[[1,"a"],["x","b"]]}' },
    { "{ [1.5] = 'a' }", '{"$map":[[1.5,"a"]]}' },
    { "{ [true] = 1 }", '{"$map":[[true,1]]}' },
    { [[{ ['$x'] = 1 }]], '{"$$x":1}' }, { [[{ ['$$x'] = 1 }]], '{"$$$x":1}' },
    { "print", '{"$lua":"function"}' }, { "io.stdout", '{"$lua":"userdata"}' },
    { "coroutine.create(print)", '{"$lua":"thread"}' },
    { "(function() local t = {}; t.me = t; return t end)()", '{"me":{"$lua":"cycle"}}' },
    { "(function() local s = { 1 }; return { s, s } end)()", "[[1],[1]]" },
  }
  for _, form in ipairs(forms) do
    it(("stores %s as %s"):format(form[1], form[2]), function()
      assert.equal(form[2], stored(form[1]))
    end)
  end

  it("stores a key that is not UTF-8 so that it is not lost", function()
    assert.equal('{"$map":[[{"$bytes":"/w=="},1]]}', stored [[{ ['\xff'] = 1 }]])
  end)

  it("runs no metamethods of what it records", function()
    assert.equal('{"a":1}', stored [[
      setmetatable({ a = 1 }, {
        __index = error, __pairs = error, __len = error, __tostring = error, __name = {},
      })
    ]])
  end)

  it("says of a value nested too deep where it stopped", function()
    local text = stored [[(function()
      local t = {}
      for _ = 1, 10000 do t = { t } end
      return t
    end)()]]
    assert.matches('{"$lua":"depth"}', text, nil, true)
  end)

  it("cuts a string of 100 MB at 64 KiB and says how long it was", function()
    local text = stored "('x'):rep(100 << 20)"
    assert.matches('^{"$cut":104857600,"head":"x+"}$', text)
    assert.is_true(#text > 60000 and #text <= 65536 + 100)
  end)

  it("cuts at --record-limit", function()
    local text = stored("('x'):rep(5000)", "--record-limit", "1K")
    assert.matches('^{"$cut":5000,"head":"x+"}$', text)
    assert.is_true(#text <= 1024 + 100)
  end)

  it("keeps whole what is just shorter than --record-limit", function()
    assert.equal('"' .. ("x"):rep(1000) .. '"',
      stored("('x'):rep(1000)", "--record-limit", "1K"))
  end)

  it("cuts every argument and result for itself", function()
    local run = record([[
      rt.call(function(...) return ... end, ("a"):rep(800), ("b"):rep(800))
    ]], { "--record-limit", "1K" })
    assert.same({ ("a"):rep(800), ("b"):rep(800) }, run.by_id["1.1"].args)
    assert.same({ ("a"):rep(800), ("b"):rep(800) }, run.by_id["1.1"].results)
  end)

  it("does not cut a character in two", function()
    local run = record("rt.call(function() end, ('é'):rep(5000))", { "--record-limit", "1K" })
    local value = run.by_id["1.1"].args[1]
    assert.equal(10000, value["$cut"])
    assert.equal("", (value.head:gsub("é", "")))
  end)

  it("marks a table that was cut", function()
    local text = stored [[(function()
      local t = {}
      for i = 1, 100000 do t[i] = i end
      return t
    end)()]]
    assert.matches('"$cut":', text, 1, true)
    assert.is_true(#text < 200000)
  end)

  it("cuts a map of more than 10,000 keys", function()
    local text = stored([[(function()
      local t = {}
      for i = 1, 20000 do t["key" .. i] = i end
      return t
    end)()]], "--record-limit", "10M")
    assert.matches('"$cut":', text, 1, true)
  end)

  it("is JSON, whatever the names and values are", function()
    local run = record [[
      local node = rt.function_node('a"b\\c\n\1\xff', function(...) return ... end)
      rt.call(node, '"\\\n\1\u{7f}\u{2028}', { ['"\n'] = '\xfe' })
    ]]
    assert.matches('^a"b\\c\n\1', run.by_id["1.1"].node)
    assert.equal('"\\\n\1\u{7f}\u{2028}', run.by_id["1.1"].args[1])
  end)

  it("never fails for what it is given", function()
    local run = record [[
      local weird = setmetatable({}, { __mode = "k", __gc = error, __metatable = false })
      weird[weird] = weird
      weird[print] = coroutine.create(print)
      weird[0/1] = io.stdout
      weird[1e308 * 10] = -(0/0)
      assert(rt.call(function(...) return ... end, weird) == weird)
    ]]
    assert.equal("done", run.by_id["1.1"].status)
  end)
end)
