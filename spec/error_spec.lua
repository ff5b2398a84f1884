local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run

describe("rt.kind", function()
  it("is nil for what is not the engine's error", function()
    for _, value in ipairs { "usage: text", 1, {}, { kind = "usage" }, true, print, io.stdout } do
      assert.is_nil(rt.kind(value))
    end
    assert.is_nil(rt.kind(nil))
    assert.is_nil(rt.kind())
    assert.is_nil(rt.kind(setmetatable({ kind = "usage" }, {})))
  end)

  it("is the kind of the engine's error, which has kind and message", function()
    local _, err = pcall(rt.sleep, 0)
    assert.equal("usage", rt.kind(err))
    assert.equal("usage", err.kind)
    assert.equal("string", type(err.message))
    assert.matches(err.message, tostring(err), 1, true)
  end)

  it("is known inside a run and outside", in_run(function()
    local _, err = pcall(rt.sleep, -1)
    assert.equal("usage", rt.kind(err))
  end))
end)

describe("an error of the engine's", function()
  it("is one readable line", function()
    for _, fn in ipairs {
      function() rt.sleep(0) end, function() rt.function_node() end,
      function() rt.run(rt.map) end, function() rt.json.decode "{" end,
    } do
      local _, err = pcall(fn)
      assert.is_nil(tostring(err):find "\n")
      assert.is_true(#tostring(err) > 10)
    end
  end)
end)
