local helper = require "spec.helper"
local terminal = require "spec.terminal"

describe("railtracks run --progress", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local script = [[
    local rt = require "railtracks"
    local go = rt.channel(30)
    local fetch = rt.function_node("fetch", function(i)
      if i > 12 then go:receive() end
      if i % 5 == 0 then error "no" end
    end)
    local steps = rt.function_node("steps", function()
      rt.progress(6, 10, "files")
      go:receive()
    end)
    local task = rt.spawn(steps)
    local items = {}
    for i = 1, 30 do items[i] = i end
    rt.spawn(function()
      repeat rt.sleep(0.01) until io.open "go"
      for _ = 1, 19 do go:send(true) end
    end)
    io.write "begin\npart"
    rt.map(fetch, items, { limit = 4, settle = true })
    task:await()
    io.write "ial\n"
    io.stderr:write "said\n"
  ]]

  it("draws what runs below what the script prints, and takes it away at the end", function()
    place:write("flow.lua", script)
    local pane <close> = terminal.open({ "run", "--progress", "flow.lua" },
      { cd = place.folder, width = 90 })
    local screen = pane:wait("a drawing", function(shown)
      return shown:find("12/30", 1, true) and shown
    end)
    assert.matches("^begin\n *[%d.]+ m?s  ▸ flow.lua  ████████░░░░░░░░░░░░ 12/30\n", screen)
    assert.matches("\n *[%d.]+ m?s    ▸ steps  ████████████░░░░░░░░ 6/10  files\n", screen)
    assert.matches("\n *[%d.]+ m?s    ▸ fetch  channel:receive on channel ", screen)
    assert.matches("\n *[%d.]+ m?s  10 done, 2 failed  12 fetch", screen)
    place:write("go", "")
    assert.equal(0, (pane:wait_for_end()))
    local last = pane:everything()
    assert.matches("^begin\npartial\nsaid\n *[%d.]+ m?s  27 done, 6 failed\n", last)
    assert.matches("\n *[%d.]+ m?s  30 fetch  6 failed\n", last)
    assert.is_nil(last:find "▸")
  end)

  it("leaves the terminal as it was when it is interrupted", function()
    local pane <close> = terminal.open { "run", "--progress", "-e",
      "require 'railtracks'.sleep(60)" }
    pane:see "▸"
    pane:press "C-c"
    local status, last = pane:wait_for_end()
    assert.equal(130, status)
    assert.is_nil(last:find "▸")
    assert.matches("1 cancelled", last)
  end)

  it("keeps to plain lines where there is no terminal", function()
    place:write("flow.lua", script)
    place:write("go", "")
    local output, said, status = place:run { "run", "--progress", "flow.lua" }
    assert.same({ "begin\npartial\n", 0 }, { output, status })
    assert.matches("^said\n *[%d.]+ m?s  27 done, 6 failed\n", said)
    assert.is_nil(said:find "\27")
  end)

  it("tells of a failure below its summary", function()
    local _, said, status = place:run { "run", "--progress", "-e", "error('boom', 0)" }
    assert.equal(1, status)
    assert.matches("^ *[%d.]+ .s  0 done, 1 failed\n.*\nrailtracks: boom\n", said)
  end)

  it("counts a hundred thousand calls", function()
    local _, said = place:run { "run", "--progress", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local leaf = rt.function_node("leaf", function() end)
      for i = 1, 100000 do rt.call(leaf) end
      for i = 1, 100 do rt.call(rt.function_node("node " .. i, function() end)) end
    ]] }
    assert.matches("100,101 done\n", said)
    assert.matches("\n *[%d.]+ m?s  100,000 leaf\n", said)
    assert.matches(" 1 node 100\n", said)
  end)
end)
