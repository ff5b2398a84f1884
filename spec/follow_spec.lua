local cjson = require "cjson"
local helper = require "spec.helper"
local quote = helper.quote

describe("railtracks show --follow", function()
  local place

  before_each(function()
    place = helper.workplace()
    assert(os.execute("mkfifo " .. place.folder .. "/go"))
  end)
  after_each(function() place:remove() end)

  --- Starts a run that says "on" and goes on when `go` is called.
  local function start(code)
    place:write("flow.lua", 'local rt = require "railtracks"\n'
      .. "local function pause() print 'on' io.stdout:flush() rt.fs.read 'go' end\n" .. code)
    local running = place:start { "run", "flow.lua" }
    running:wait_for_output "on"
    return running
  end

  local function go() os.execute("echo on >" .. place.folder .. "/go") end

  local function follow(...)
    local output, said, status = place:run { "show", "--follow", ... }
    assert.same({ "", 0 }, { said, status })
    return output
  end

  --- The calls and the run that --json gives, line by line.
  local function decode(text)
    local calls = {}
    for line in text:gmatch "[^\n]+" do calls[#calls + 1] = cjson.decode(line) end
    local last = table.remove(calls)
    return calls, last.run
  end

  local function ids(calls)
    local found = {}
    for i, call in ipairs(calls) do found[i] = call.id end
    return table.concat(found, " ")
  end

  it("tells each call when it has ended, and ends with the run", function()
    local running <close> = start [[
      local node = rt.function_node("node", function(x) return rt.call(type, x) end)
      rt.call(node, 1)
      rt.sleep(0.6) -- as long as it takes until the root is recorded
      pause()
      rt.call(node, "a")
    ]]
    local following <close> = place:start { "show", "--follow" }
    following:wait_for_output "1.1 node(1) → \"number\"\n"
    assert.is_false(following:over())
    go()
    running:wait()
    local output, said, status = following:wait()
    assert.same({ "", 0 }, { said, status })
    assert.matches("^flow.lua  running  [^\n]+\n[^\n]+1%.1%.1 type%(1%) [^\n]+\n[^\n]+1%.1 node"
      .. "%(1%) .*1%.3%.1 type%(\"a\"%) [^\n]+\n[^\n]+1%.3 node[^\n]+\n[^\n]+ 1 flow.lua%(%)\n"
      .. "flow.lua  done  [^\n]+  6 calls\n$", output)
  end)

  it("tells of all calls what show --json does, callers after what they have called", function()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local down
      down = rt.function_node("down", function(n) if n > 0 then return rt.call(down, n - 1) end end)
      local fail = rt.function_node("fail", function() error "no" end)
      rt.call(down, 300)
      rt.map(down, { 0, 1, 2, 3 })
      pcall(rt.call, fail)
      rt.spawn(rt.sleep, 3600):cancel()
    ]])
    place:run { "run", "flow.lua" }
    local calls, run = decode(follow "--json")
    local recorded = helper.recorded(place.journal, "@1")
    assert.same(recorded.run, run)
    local by_id = {}
    for _, call in ipairs(calls) do
      assert.is_nil(by_id[call.parent], call.id)
      by_id[call.id] = call
    end
    assert.same(recorded.by_id, by_id)
    assert.equal(#recorded.calls, #calls)
  end)

  it("tells of some of the calls", function()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local leaf = rt.function_node("leaf", function(n) if n == 2 then error("two", 0) end end)
      local branch = rt.function_node("branch", function(n) rt.call(leaf, n) end)
      for n = 1, 3 do pcall(rt.call, branch, n) end
    ]])
    place:run { "run", "flow.lua" }
    assert.equal("1.2.1 1.2", ids((decode(follow("--json", "--failed")))))
    assert.equal("1.1.1 1.2.1 1.3.1", ids((decode(follow("--json", "--node", "leaf")))))
    assert.equal("1.1 1.2 1.3 1", ids((decode(follow("--json", "--depth", "1")))))
    -- A failure is told where it came from.
    assert.equal(1, select(2, follow():gsub("\n +two\n", "")))
  end)

  it("ends with the error of the run", function()
    place:run { "run", "-e", "error 'it broke'" }
    assert.matches("\n%(command line%)  failed  [^\n]+\n\nerror: [^\n]*it broke\n", follow())
  end)

  it("tells what was cut short when the process of the run is killed", function()
    local running <close> = start [[
      local node = rt.function_node("node", function() pause() end)
      rt.spawn(node)
      rt.sleep(3600)
    ]]
    -- Its rows are there once it has run for half a second.
    helper.wait_for("the calls", function()
      return helper.sql(place.journal, "SELECT count(*) FROM calls") == "3"
    end)
    local following <close> = place:start { "show", "--follow", "--json" }
    running:kill "KILL"
    running:wait()
    local output, said, status = following:wait()
    assert.same({ "", 0 }, { said, status })
    local calls, run = decode(output)
    assert.equal("interrupted", run.status)
    assert.equal(3, #calls)
    for _, call in ipairs(calls) do assert.equal("interrupted", call.status) end
    assert.equal("1", calls[3].id)
  end)

  it("gives a call whose caller is lost the id that others give it", function()
    place:run { "run", "-e", [[
      local rt = require "railtracks"
      rt.call(rt.function_node("lost", function()
        rt.call(rt.function_node("above", function() rt.call(type, 1) end))
      end))
    ]] }
    helper.sql(place.journal, "DELETE FROM calls WHERE node = 'lost'")
    local calls = decode(follow "--json")
    assert.equal("…~4 …~3 1", ids(calls))
    assert.equal("…~3", calls[1].parent)
    assert.equal("…~2", calls[2].parent)
    local recorded = helper.recorded(place.journal, "@1").by_id
    for _, call in ipairs(calls) do assert.same(recorded[call.id], call) end
  end)

  it("says that the run has been removed", function()
    local running <close> = start "pause()"
    local following <close> = place:start { "show", "--follow" }
    following:wait_for_output "running"
    helper.sql(place.journal, "DELETE FROM runs")
    local _, said, status = following:wait()
    assert.matches("^railtracks: run number 1 has been removed from journal [^\n]+\n$", said)
    assert.equal(1, status)
    running:kill "KILL"
  end)

  it("ends when nobody reads on, though nothing happens", function()
    local running <close> = start "pause()"
    local output, _, status = helper.shell(("bash -c 'RAILTRACKS_JOURNAL=%s timeout 60 %s show "
      .. "--follow | head -n 1; exit ${PIPESTATUS[0]}'"):format(place.journal,
      quote(helper.program):gsub("'", "'\\''")))
    assert.matches("^flow.lua  running  [^\n]+\n$", output)
    assert.equal(141, status)
    running:kill "KILL"
  end)

  it("does not go together with what wants to know all calls", function()
    for _, option in ipairs { "--slowest", "--limit" } do
      local _, said, status = place:run { "show", "--follow", option, "3" }
      assert.matches("show: --follow and " .. option .. " do not go together; ", said, 1, true)
      assert.equal(2, status)
    end
  end)
end)
