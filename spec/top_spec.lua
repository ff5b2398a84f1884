local helper = require "spec.helper"
local terminal = require "spec.terminal"

describe("railtracks top", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  -- Works until the file "go" is there, and says on standard output that it has begun.
  local script = [[
    local rt = require "railtracks"
    local until_go = rt.function_node("until_go", function()
      repeat rt.sleep(0.01) until io.open "go"
    end)
    local item = rt.function_node("item", function(i)
      if i > 4 then rt.call(until_go)
      else rt.sleep(0.15) end
      if i % 3 == 0 then error "no" end
    end)
    local steps = rt.function_node("steps", function()
      rt.progress(6, 10, "files")
      until_go()
    end)
    local inner = rt.flow { entry = until_go, name = "inner" }
    local outer = rt.function_node("outer", function() inner:run() end)
    local tasks = { rt.spawn(steps), rt.spawn(outer) }
    print "begun"
    io.stdout:flush()
    rt.map(item, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, { limit = 2, settle = true })
    rt.gather(tasks)
  ]]

  local function begin()
    place:write("flow.lua", script)
    local process = place:start { "run", "flow.lua" }
    process:wait_for_output "begun"
    return process
  end

  it("draws what another process runs, and leaves a summary when that ends", function()
    local process <close> = begin()
    local pane <close> = terminal.open({ "top" }, { journal = place.journal, width = 90 })
    local function see(text)
      return pane:wait(text, function(screen) return screen:match("\n *[%d.]+ m?s " .. text) end)
    end
    see "   ▸ steps  ████████████░░░░░░░░ 6/10  files\n"
    see "   ▸ item"
    see "     ▸ until_go"
    see "   ▸ outer\n *[%d.]+ m?s      ▸ until_go\n"
    see " 3 done, 1 failed  4 item\n?"
    local first = pane:screen():match "^[^\n]*"
    assert.matches("^ *[%d.]+ m?s  ▸ flow.lua  ████████░░░░░░░░░░░░ 4/10$", first)
    place:write("go", "")
    local _, _, ended = process:wait()
    assert.equal(0, ended)
    assert.equal(0, (pane:wait_for_end()))
    local last = pane:everything()
    assert.matches("^flow.lua  done\n *[%d.]+ m?s  [%d]+ done, 3 failed\n", last)
    assert.matches("\n *[%d.]+ m?s  10 item  3 failed\n", last)
    assert.is_nil(last:find "▸")
  end)

  it("ends at Ctrl-C, and the run goes on", function()
    local process <close> = begin()
    local pane <close> = terminal.open({ "top" }, { journal = place.journal })
    pane:see "▸ steps"
    pane:press "C-c"
    assert.equal(130, (pane:wait_for_end()))
    local last = pane:everything()
    assert.matches("^flow.lua  running\n", last)
    assert.is_nil(last:find "▸")
    assert.is_nil(last:find("^C", 1, true))
    place:write("go", "")
    assert.equal(0, (select(3, process:wait())))
  end)

  it("keeps to plain lines where there is no terminal", function()
    local process <close> = begin()
    local top <close> = place:start { "top" }
    top:wait_for_output "progress: "
    place:write("go", "")
    local output, said, status = top:wait()
    assert.same({ "", 0 }, { said, status })
    assert.matches("\nflow.lua  done\n", output)
    assert.is_nil(output:find "\27")
    process:wait()
  end)

  it("sums up a run that is over, when it is named", function()
    place:run { "run", "-e", "local rt = require 'railtracks' pcall(rt.call, error, 'x')" }
    local output, said, status = place:run { "top", "@1" }
    assert.same({ "", 0 }, { said, status })
    assert.matches("^%(command line%)  done\n *[%d.]+ %S+  1 done, 1 failed\n", output)
  end)

  it("says that a process was killed", function()
    local process <close> = begin()
    local top <close> = place:start { "top" }
    top:wait_for_output "progress: "
    process:kill "KILL"
    assert.matches("\nflow.lua  interrupted\n", (top:wait()))
  end)

  it("says so when nothing runs, or there is no such run, or no journal", function()
    local _, said, status = place:run { "top" }
    assert.matches("^railtracks: cannot read journal .*no such file\n$", said)
    assert.equal(1, status)
    place:run { "run", "-e", "" }
    _, said, status = place:run { "top" }
    assert.matches("^railtracks: no run of journal .* is running\n$", said)
    assert.equal(1, status)
    _, said, status = place:run { "top", "zzz" }
    assert.matches('^railtracks: no run "zzz" in journal ', said)
    assert.equal(1, status)
    _, said, status = place:run { "top", "--journal", "none" }
    assert.equal("railtracks: top: there is nothing to read in the journal 'none'\n", said)
    assert.equal(2, status)
  end)
end)
