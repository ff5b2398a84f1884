local helper = require "spec.helper"

describe("standard output", function()
  local place, folder, journal

  before_each(function()
    place = helper.workplace()
    folder, journal = place.folder, place.journal
  end)
  after_each(function() place:remove() end)

  --- Runs the program in a shell with what stands behind it. The status is that of the
  --- program, not of what it is piped into.
  local function shell(words, behind)
    local line = { helper.quote(helper.program) }
    for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
    local output, said = helper.shell(("( %s; echo $? >%s/status ) %s"):format(
      table.concat(line, " "), folder, behind))
    return output, said, tonumber(helper.read(folder .. "/status"))
  end

  local function run(code, behind)
    return shell({ "run", "--journal", journal, "-e", code }, behind)
  end

  -- closed ---------------------------------------------------------------------------

  describe("that is a closed pipe", function()
    for how, code in pairs {
      ["without a wait"] = "while true do print 'y' end",
      ["and waits"] = "local rt = require 'railtracks'; while true do print 'y'; rt.sleep(0) end",
      ["and looks at the errors"] = "while true do assert(io.write('y', '\\n')) end",
      ["in a call"] = "require('railtracks').call(function() while true do print 'y' end end)",
    } do
      it("quietly ends a run that prints for ever " .. how, function()
        local output, said, status = run(code, "| head -1")
        assert.equal("y\n", output)
        assert.equal("", said)
        assert.equal(141, status)
        assert.equal("cancelled", helper.recorded(journal, "@1").run.status)
      end)
    end

    it("lets the run clean up", function()
      local _, said = run([[
        local closing <close> = setmetatable({}, { __close = function()
          print "nobody reads this"
          io.stderr:write "cleaned"
        end })
        while true do print "y" end
      ]], "| head -1")
      assert.matches("^cleaned$", said)
    end)

    it("quietly ends a run that only finds out at its end", function()
      local _, said, status = run(("io.write 'y'; while not io.open '%s/go' do end")
        :format(folder), ("| ( exec <&-; touch %s/go )"):format(folder))
      assert.same({ "", 141 }, { said, status })
    end)

    it("ends what only shows something", function()
      for _, word in ipairs { "version", "help" } do
        local _, said, status = shell({ word }, "| ( exec <&-; cat /dev/null )")
        assert.equal("", said)
        assert.is_true(status == 0 or status == 141)
      end
    end)
  end)

  it("goes on where another pipe is closed", function()
    local output, said, status = run([[
      local pipe = io.popen("true", "w")
      local ok, problem
      repeat ok, problem = pipe:write(("x"):rep(100000)) until not ok
      print(problem)
    ]], "")
    assert.same({ "Broken pipe\n", "", 0 }, { output, said, status })
  end)

  it("gives the programs a script starts the usual signals", function()
    local look = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    assert.equal((helper.shell(look)), (run(("os.execute(%q)"):format(look), "")))
    look = look .. " >&2"
    assert.equal((select(2, helper.shell(look))),
      (select(2, run(("io.popen(%q):close()"):format(look), ""))))
    assert.equal("141\n", (run([[
      os.execute "bash -c 'yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}'"
    ]], "")))
  end)

  -- full -----------------------------------------------------------------------------

  local full = "railtracks: cannot write to standard output: No space left on device\n"

  describe("that cannot be written to", function()
    for how, code in pairs {
      ["at the end"] = "print 'y'",
      ["in between"] = "for _ = 1, 10000 do print 'yyyyyyyyyy' end",
      ["when it is flushed"] = "print 'y'; io.stdout:flush()",
    } do
      it("fails a run that ignores it " .. how, function()
        local _, said, status = run(code, ">/dev/full")
        assert.equal(full, said)
        assert.equal(1, status)
      end)
    end

    it("leaves a failed run its message", function()
      local _, said, status = run("print 'y'; error('it broke', 0)", ">/dev/full")
      assert.matches("railtracks: it broke\n", said)
      assert.matches(full, said, 1, true)
      assert.equal(1, status)
    end)

    it("leaves os.exit its code", function()
      assert.equal(3, (select(3, run("print 'y'; os.exit(3)", ">/dev/full"))))
      assert.equal(1, (select(3, run("print 'y'; os.exit(0)", ">/dev/full"))))
    end)

    it("fails whatever shows something", function()
      run("", "")
      for _, words in ipairs {
        { "version" }, { "help" }, { "help", "run" }, { "--version" },
        { "runs", "--journal", journal }, { "show", "--journal", journal },
        { "show", "--json", "--journal", journal },
      } do
        local _, said, status = shell(words, ">/dev/full")
        assert.same({ full, 1 }, { said, status })
      end
    end)

    it("is told as such when it is not open at all", function()
      local _, said, status = run("print 'y'", ">&-")
      assert.same({ "railtracks: cannot write to standard output: Bad file descriptor\n", 1 },
        { said, status })
      assert.equal("ok", helper.sql(journal, "PRAGMA integrity_check"))
      _, said, status = run("", ">&-")
      assert.same({ "", 0 }, { said, status })
    end)
  end)
end)
