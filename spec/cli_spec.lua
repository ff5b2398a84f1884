local helper = require "spec.helper"

describe("the program", function()
  local place, journal

  before_each(function()
    place = helper.workplace()
    journal = place.journal
  end)
  after_each(function() place:remove() end)

  local function write(name, text) return place:write(name, text) end

  --- Runs the program in the folder, with its journal there.
  local function program(words, options) return place:run(words, options) end

  local function one_line(text)
    assert.matches("^railtracks: [^\n]+\n$", text)
  end

  for _, wrong in ipairs {
    { { "run", "--bogus", "script.lua" }, "%-%-bogus" },
    { { "run", "-x" }, "%-x" },
    { { "run" }, "script" },
    { { "run", "--journal" }, "%-%-journal" },
    { { "run", "-e" }, "%-e" },
    { { "run", "--record-limit", "much", "-e", "" }, "much" },
    { { "run", "--journal-max", "-1", "-e", "" }, "%-1" },
    { { "run", "nowhere.lua" }, "nowhere.lua.*No such file" },
    { { "nowhere.lua" }, "nowhere.lua.*No such file" },
    { { "run", "." }, "%..*directory" },
    { { "run", "broken.lua" }, "broken.lua:2:" },
    { { "-e", "x x" }, "syntax error" },
    { { "bogus" }, "bogus" },
    { { "--bogus" }, "bogus" },
    { { "help", "bogus" }, "bogus" },
    { { "show", "--bogus" }, "%-%-bogus" },
    { { "show", "@1", "@2" }, "@2" },
    { { "show", "--limit", "many" }, "many" },
    { { "show", "--json=yes" }, "%-%-json" },
    { { "show", "--journal", "none" }, "none" },
    { { "runs", "x" }, "x" },
    { { "version", "--foo" }, "%-%-foo" },
    { { "--version", "x" }, "x" },
    { { "help", "show", "extra" }, "extra" },
    { { "help", "--foo" }, "%-%-foo" },
    { { "run", "--timeout", "soon", "-e", "" }, "%-%-timeout.*soon" },
    { { "run", "--timeout", "0", "-e", "" }, "%-%-timeout.*'0'" },
    { { "run", "--timeout", "-1", "-e", "" }, "%-%-timeout.*%-1" },
    { { "run", "--timeout", "2s", "-e", "" }, "%-%-timeout.*2s" },
    { { "run", "--timeout", "0x10", "-e", "" }, "%-%-timeout.*0x10" },
    { { "run", "--grace", "nan", "-e", "" }, "%-%-grace.*nan" },
    { { "run", "--grace", "inf", "-e", "" }, "%-%-grace.*inf" },
    { { "run", "--slice-limit", ".", "-e", "" }, "%-%-slice%-limit" },
    { { "run", "--slice-limit" }, "%-%-slice%-limit" },
    { { "run", "--memory-limit", "lots", "-e", "" }, "%-%-memory%-limit.*lots" },
    { { "run", "--memory-limit", "0", "-e", "" }, "%-%-memory%-limit.*'0'" },
    { { "run", "pipe/nothing.lua" }, "pipe/nothing.lua" },
  } do
    it("refuses '" .. table.concat(wrong[1], " ") .. "' in one line, with status 2", function()
      write("broken.lua", "print 'never'\nlocal = 1")
      local output, said, status = program(wrong[1])
      assert.equal("", output)
      one_line(said)
      assert.matches(wrong[2], said)
      assert.equal(2, status)
    end)
  end

  it("takes a grace of 0: cleanup that would wait is cut off at once", function()
    local output, said, status = program { "run", "--grace", "0", "-e", [[
      local rt = require "railtracks"
      local task = rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() rt.sleep(60) end })
        rt.sleep(60)
      end)
      rt.sleep(0)
      task:cancel()
      rt.settle(task)
      print(task:status())]] }
    assert.equal("cancelled\n", output)
    assert.matches("cut off after its grace of 0 s", said, 1, true)
    assert.equal(0, status)
  end)

  it("takes seconds as a decimal number, and sizes with their unit", function()
    for _, seconds in ipairs { "5", "0.5", ".5", "5.", "1000000000000000000000" } do
      for _, option in ipairs { "--timeout", "--grace", "--slice-limit" } do
        local output, said, status = program { "run", option, seconds, "-e", "print 'on'" }
        assert.same({ "on\n", "", 0 }, { output, said, status })
      end
    end
    for _, size in ipairs { "100000000", "64M", "1G", "64MiB", "8000000T" } do
      local output, said, status = program { "run", "--memory-limit", size, "-e", "print 'on'" }
      assert.same({ "on\n", "", 0 }, { output, said, status })
    end
  end)

  it("names every option of run in its help", function()
    local output = program { "help", "run" }
    for _, option in ipairs { "-e CODE", "--journal FILE", "--journal-max SIZE",
      "--record-limit SIZE", "--timeout SECONDS", "--grace SECONDS", "--slice-limit SECONDS",
      "--memory-limit SIZE" } do
      assert.matches(option, output, 1, true)
    end
  end)

  it("opens no journal for a script that does not compile", function()
    program { "-e", "x x" }
    assert.is_false(helper.exists(journal))
  end)

  it("tells its version", function()
    local output, said, status = program { "version" }
    assert.matches("^railtracks %d+%.%d+%.%d+", output)
    assert.same({ "", 0 }, { said, status })
    assert.equal(output, (program { "--version" }))
  end)

  it("tells how it is used", function()
    local output, said, status = program { "help" }
    assert.same({ "", 0 }, { said, status })
    for _, command in ipairs { "run", "runs", "show", "new-plugin", "version", "help" } do
      assert.matches("railtracks " .. command, output, 1, true)
    end
    assert.equal(output, (program { "--help" }))
  end)

  for _, command in ipairs { "run", "runs", "show", "new-plugin", "version", "help" } do
    it("tells how " .. command .. " is used", function()
      local output, _, status = program { "help", command }
      assert.equal(1, (output:find("usage: railtracks " .. command, 1, true)))
      assert.equal(0, status)
    end)
  end

  it("tells how a command is used when it is given --help", function()
    for _, command in ipairs { "run", "runs", "show" } do
      assert.equal((program { "help", command }), (program { command, "--help" }))
    end
  end)
end)
