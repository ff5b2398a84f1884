local helper = require "spec.helper"

describe("the journal", function()
  local folder, journal
  helper.each_in_folder(function(...) folder, journal = ... end)

  describe("on a full disk", function()
    local text = [[
      local rt = require "railtracks"
      local function echo(value) return value end
      for i = 1, 3000 do rt.call(echo, (tostring(i) .. " "):rep(1000)) end
      print "went on to the end"
    ]]

    --- Runs the text where files cannot grow past `blocks` of 512 bytes.
    local function run_in(blocks)
      return helper.run({ "run", "--journal", journal, "-e", text },
        { env = ("trap '' XFSZ; ulimit -f %d;"):format(blocks) })
    end

    it("lets the run go on to its end, and fails with what was not recorded", function()
      local output, said, status = run_in(2000)
      assert.equal("went on to the end\n", output)
      assert.equal(1, status)
      local lost = tonumber(said:match "(%d+) calls were not recorded")
      local kept = helper.sql(journal, "SELECT count(*) FROM calls WHERE status = 'done'")
      assert.equal(3001, lost + tonumber(kept))
    end)

    it("says so once, at once, naming the file", function()
      local _, said = run_in(2000)
      local _, times = said:gsub("no longer recorded", "")
      assert.equal(1, times)
      assert.matches(journal, said, 1, true)
      local _, lines = said:gsub("\n", "")
      assert.equal(2, lines)
    end)

    it("keeps what was recorded before, how the run ended, and the file whole", function()
      run_in(2000)
      assert.equal("ok", helper.sql(journal, "PRAGMA integrity_check"))
      local found = helper.recorded(journal, "@1")
      assert.equal("done", found.run.status)
      assert.equal(3001, found.run.calls)
      for _, call in ipairs(found.calls) do
        if call.status == "done" then assert.is_table(call.results) end
      end
    end)

    it("is written again by the next run when there is room", function()
      run_in(2000)
      local _, said, status = helper.run { "run", "--journal", journal, "-e", "" }
      assert.same({ "", 0 }, { said, status })
      assert.equal("done", helper.recorded(journal, "@1").run.status)
    end)

    it("is refused when it cannot even be made", function()
      local output, said, status = run_in(8)
      assert.equal("", output)
      assert.matches("^railtracks: [^\n]+\n$", said)
      assert.matches(journal, said, 1, true)
      assert.equal(1, status)
    end)
  end)

  describe("with --journal-max", function()
    --- Runs 400 calls of about 4 KB each.
    local function fill()
      helper.run { "run", "--journal", journal, "-e", [[
        local rt = require "railtracks"
        local function echo(value) return value end
        for i = 1, 400 do rt.call(echo, ("x"):rep(2000)) end
      ]] }
    end

    local function run(max, text)
      return helper.run { "run", "--journal", journal, "--journal-max", max, "-e", text or "" }
    end

    it("removes the oldest ended runs, no more than need be", function()
      for _ = 1, 3 do fill() end
      local ids = helper.sql(journal, "SELECT id FROM runs ORDER BY run DESC LIMIT 2")
      assert.equal(0, (select(3, run "4M")))
      assert.matches(ids, helper.sql(journal, "SELECT id FROM runs ORDER BY run DESC"), 1, true)
      assert.equal("3|803|0", helper.sql(journal, "SELECT count(*), "
        .. "(SELECT count(*) FROM calls), (SELECT count(*) FROM calls "
        .. "WHERE run NOT IN (SELECT run FROM runs)) FROM runs"))
    end)

    it("tells once that it removes runs", function()
      for _ = 1, 3 do fill() end
      local _, said = run "1M"
      assert.matches("^[^\n]*removing[^\n]*\n$", said)
      assert.matches(journal, said, 1, true)
      assert.equal("1", helper.sql(journal, "SELECT count(*) FROM runs"))
    end)

    it("does not remove a run that is being written", function()
      local running <close> = helper.start { "run", "--journal", journal, "-e", [[
        local rt = require "railtracks"
        local function echo(value) return value end
        for i = 1, 400 do rt.call(echo, ("x"):rep(2000)) end
        rt.run(function() end) -- commits
        io.write "ready\n"
        io.stdout:flush()
        rt.sleep(60)
      ]] }
      running:wait_for_output "ready"
      run "1M"
      assert.equal("400", helper.sql(journal,
        "SELECT count(*) FROM calls WHERE run = 1 AND status = 'done'"))
    end)

    it("does not let a run that alone exceeds it grow on, and says so", function()
      local _, _, status = helper.shell(([[
        %s run --journal %s --journal-max 200K -e '
          local rt = require "railtracks"
          local function echo(value) return value end
          for i = 1, 500 do rt.call(echo, ("x"):rep(2000)) end
          repeat -- until it is noticed
            rt.sleep(0.02)
            local said = io.open(...):read "a"
          until said:find "%%-%%-journal%%-max"
          for i = 1, 500 do rt.call(echo, ("x"):rep(2000)) end
        ' %s/said 2>%s/said
      ]]):format(helper.quote(helper.program), journal, folder, folder))
      assert.equal(1, status)
      local said = helper.read(folder .. "/said")
      local kept = helper.sql(journal, "SELECT count(*) FROM calls WHERE status = 'done'")
      assert.equal(1001 - tonumber(kept), tonumber(said:match "(%d+) calls were not recorded"))
      assert.is_true(tonumber(kept) <= 500)
      local _, lines = said:gsub("\n", "")
      assert.equal(2, lines)
    end)

    it("sets no bound when it is 0", function()
      fill()
      local _, said, status = run "0"
      assert.same({ "", 0 }, { said, status })
      assert.equal("2", helper.sql(journal, "SELECT count(*) FROM runs"))
    end)
  end)
end)
