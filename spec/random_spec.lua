local helper = require "spec.helper"

describe("a random tree of calls that wait, fail and are cancelled", function()
  for seed = 1, 8 do
    it("comes to its end, with every call recorded as ended (seed " .. seed .. ")", function()
      local folder <close> = helper.temporary()
      local journal = folder.path .. "/journal.db"
      local output, said, status = helper.run {
        "run", "--journal", journal, "spec/programs/random.lua", seed,
      }
      assert.equal("done\n", output, said)
      assert.equal(0, status)
      local left = helper.shell("sqlite3 " .. journal ..
        " \"SELECT count(*) FROM calls WHERE status = 'running' OR ended_at IS NULL\"")
      assert.equal("0\n", left)
    end)
  end
end)
