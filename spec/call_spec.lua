local rt = require "railtracks"

describe("a call", function()
  it("returns all results of the node, nils kept", function()
    local function three() return 1, nil, 3, nil end
    local results = rt.run(function() return table.pack(rt.call(three)) end)
    assert.same({ 1, nil, 3, nil, n = 4 }, results)
  end)
end)
