local helper = require "spec.helper"

local embed = helper.build .. "/examples/embed"

describe("the example of an embedded engine", function()
  it("calls a node, runs a workflow and shows a failure", function()
    local output, said, status = helper.shell(embed .. " 'hello big world'")
    assert.equal([[
HELLO BIG WORLD
1: HELLO
2: BIG
3: WORLD
failed: usage: shout: argument 1: expected string, got number
]], output, said)
    assert.equal(0, status)
  end)

  it("fails with the node's own words", function()
    local output, _, status = helper.shell(embed .. " " .. ("x"):rep(300))
    assert.matches("failed: native: shout: 300 bytes are too many\n", output, 1, true)
    assert.equal(1, status)
  end)
end)

describe("the example of an engine in another loop", function()
  it("answers lines as they are ready, and ends", function()
    local output, said, status = helper.shell(
      "printf 'slow 3\\nquick 1\\nwrong\\nnow 0\\n' | " .. helper.build .. "/examples/poll")
    assert.equal("failed: expected a name and a number, got wrong\nnow\nquick\nslow\n",
      output, said)
    assert.equal(0, status)
  end)
end)
