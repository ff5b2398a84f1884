local helper = require "spec.helper"

local plugin = helper.build .. "/plugins/odd.so"

-- In several processes, since ThreadSanitizer counts each error of Lua's as a call that has not
-- returned, and bears 65,536 of them.
describe("ten thousand later nodes", function()
  for seed = 1, 5 do
    it("are finished, failed, dropped and cancelled by eight threads, seed " .. seed, function()
      local output, said, status = helper.run {
        "run", "--journal", "none", "spec/programs/handles.lua", plugin, seed, 2000 }
      assert.equal("2000\n", output, said)
      assert.equal(0, status)
    end)
  end
end)
