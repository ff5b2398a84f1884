local rt = require "railtracks"

describe("pairs(rt)", function()
  it("has what is loaded when it is first used, too", function()
    local found = {}
    for name, value in pairs(rt) do
      assert.is_nil(found[name], name)
      found[name] = value
    end
    for _, name in ipairs { "call", "context", "flow", "fs", "function_node", "json",
      "net", "process", "require", "retry", "run", "uv", "verify", "wrap" } do
      assert.is_not_nil(found[name], name)
      assert.equal(rt[name], found[name])
    end
  end)
end)
