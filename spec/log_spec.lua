local helper = require "spec.helper"
local rt = require "railtracks"

describe("rt.log", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  --- Runs the code with the options. Returns what it printed, the lines on standard error, and
  --- the exit status.
  local function run(code, ...)
    local words = { "run", ... }
    words[#words + 1] = "-e"
    words[#words + 1] = 'local rt = require "railtracks"\n' .. code
    local output, said, status = place:run(words)
    return output, said, status
  end

  local stamp = "^%[%+%d+%.%d%d%ds%] "

  it("writes a line with time, level, run, call and node", function()
    local _, said, status = run [[
      rt.call(rt.function_node("node", function()
        rt.log.warning("look", { b = 1, a = "x" })
      end))
    ]]
    assert.equal(0, status)
    assert.matches(stamp .. 'WARNING %x%x%x%x%x%x%x%x 1%.1 node: look {"a":"x","b":1}\n$', said)
    local id = helper.recorded(place.journal, "@1").run.id
    assert.equal(id:sub(-8), said:match "WARNING (%x+)")
  end)

  it("writes warnings and errors, unless another level is asked for", function()
    local code = "for _, name in ipairs { 'debug', 'info', 'warning', 'error' } do "
      .. "rt.log[name](name .. '!') end"
    local function words(...)
      local found = {}
      for word in select(2, run(code, ...)):gmatch "(%a+)!" do found[#found + 1] = word end
      return table.concat(found, " ")
    end
    assert.equal("warning error", words())
    assert.equal("debug info warning error", words("--log-level", "debug"))
    assert.equal("info warning error", words("--log-level=info"))
    assert.equal("error", words("--log-level", "error"))
    assert.equal("", words("--log-level", "none"))
  end)

  it("stands in the journal, whatever the level", function()
    run("rt.log.debug('quiet', { n = 1 }) rt.call(function() rt.log.error 'loud' end)",
      "--log-level", "none")
    assert.equal('1|log|{"fields":{"n":1},"level":"debug","message":"quiet"}\n'
      .. '2|log|{"fields":null,"level":"error","message":"loud"}',
      helper.sql(place.journal, "SELECT seq, kind, value FROM events ORDER BY key"))
  end)

  it("keeps to one line, whatever is in the message", function()
    local _, said = run "rt.log.error('a\\nb\\27[31m\\0c')"
    assert.matches(": a\\nb\\x1b%[31m\\x00c\n$", said)
  end)

  it("refuses what is no message, and no fields", function()
    for message, call in pairs {
      ["usage: rt.log.info: argument 1: expected a string, got nil"] = { nil },
      ["usage: rt.log.info: argument 1: expected a string, got table"] = { {} },
      ['usage: rt.log.info: argument 2: expected a table of fields, got string "b"'] = { "a", "b" },
    } do
      local ok, err = pcall(rt.log.info, call[1], call[2])
      assert.is_false(ok)
      assert.equal(message, tostring(err))
    end
  end)

  it("tells of calls: at debug when they begin, at info when they end", function()
    local code = [[
      local fails = rt.function_node("fails", function() error("no\nway", 0) end)
      rt.call(function() end)
      pcall(rt.call, fails)
      local task = rt.spawn(rt.sleep, 9)
      rt.sleep(0)
      task:cancel()
      rt.settle { task }
    ]]
    local _, said = run(code, "--log-level", "info")
    assert.matches(stamp .. "INFO    %x+ 1%.1 %(command line%):3: call done after 0%.%d+ s\n", said)
    assert.matches("INFO    %x+ 1%.2 fails: call failed after 0%.%d+ s: no\\nway\n", said)
    assert.matches("INFO    %x+ 1%.3 railtracks.sleep: call cancelled after 0%.%d+ s: ", said)
    assert.is_nil(said:find "DEBUG")
    _, said = run(code, "--log-level", "debug")
    assert.matches("DEBUG   %x+ 1%.2 fails: call created\n", said)
  end)

  it("is written as JSON where that is asked for", function()
    local _, said = run("rt.log.warning('a \"b\"', { n = 1.0 }) rt.call(function() end)",
      "--log-format", "json", "--log-level", "info")
    local lines = {}
    for line in said:gmatch "[^\n]+" do lines[#lines + 1] = rt.json.decode(line) end
    assert.equal(3, #lines)
    local id = helper.recorded(place.journal, "@1").run.id
    local first = lines[1]
    assert.same({ level = "warning", message = 'a "b"', fields = { n = 1.0 }, run = id, call = "1",
      node = "(command line)", time = first.time, elapsed = first.elapsed }, first)
    assert.is_true(math.abs(first.time - os.time()) < 60 and first.elapsed < 60)
    assert.equal("call_ended", lines[2].event)
    assert.equal("done", lines[2].status)
    assert.equal("number", type(lines[2].seconds))
    assert.equal("1", lines[3].call)
  end)

  describe("with a file", function()
    it("appends the same lines to it", function()
      local file = place.folder .. "/log"
      for n = 1, 2 do
        local _, said = run(("rt.log.error 'line %d'"):format(n), "--log-file", file)
        assert.matches("line " .. n, said)
      end
      assert.matches("^[^\n]*line 1\n[^\n]*line 2\n$", helper.read(file))
    end)

    it("is what the environment says, where no option does", function()
      local file, other = place.folder .. "/log", place.folder .. "/other"
      local words = { "run", "-e", "require 'railtracks'.log.info 'here'" }
      local env = ("RAILTRACKS_LOG_FILE=%s RAILTRACKS_LOG_LEVEL=info"):format(file)
      local _, said = place:run(words, { env = env })
      assert.matches("here\n", said)
      assert.matches("here\n", helper.read(file))
      table.insert(words, 2, "--log-level=error")
      table.insert(words, 2, "--log-file=" .. other)
      assert.equal("", (select(2, place:run(words, { env = env }))))
      assert.equal("", helper.read(other))
    end)

    it("begins a new one before it is too large, and keeps five", function()
      local file = place.folder .. "/log"
      local _, _, status = run("for i = 1, 100 do rt.log.error(('%3d'):format(i)) end",
        "--log-file", file, "--log-max", "500")
      assert.equal(0, status)
      local text = ""
      for _, name in ipairs { ".5", ".4", ".3", ".2", ".1", "" } do
        local part = helper.read(file .. name)
        assert.is_true(#part <= 500)
        text = text .. part
      end
      assert.is_false(helper.exists(file .. ".6"))
      local last = 100
      for number in text:reverse():gmatch "\n(%d+) " do
        assert.equal(last, tonumber((number:reverse())))
        last = last - 1
      end
      assert.is_true(last < 70)
    end)

    it("says why it cannot be opened, before anything is run", function()
      local output, said, status = run("print 'ran'", "--log-file", "/nowhere/log")
      assert.same({ "", "railtracks: run: cannot open the log file /nowhere/log: "
        .. "No such file or directory\n", 1 }, { output, said, status })
    end)
  end)

  it("never makes a call wait for who reads it", function()
    -- A pipe that nobody reads has room for 64 KiB.
    local script = place:write("much.lua", [[
      local rt = require "railtracks"
      local till = rt.now() + 1.5 -- the engine's own warning does not wait, either
      for i = 1, 20000 do rt.log.error(("x"):rep(100)) end
      while rt.now() < till do end
      print "done"
    ]])
    local output = helper.shell(("mkfifo %s/pipe; sh -c 'exec 9<>%s/pipe; exec timeout 60 %s "
      .. "run --journal none %s 2>&9'"):format(place.folder, place.folder, helper.program, script))
    assert.equal("done\n", output)
  end)
end)
