local helper = require "spec.helper"

describe("what was recorded, in Lua,", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local function run(code)
    local output, said, status = place:run { "run", "-e",
      'local rt = require "railtracks"\n' .. code }
    assert.same({ "", 0 }, { said, status })
    return output
  end

  it("is the tree of the current run, up to now", function()
    assert.equal("1 (command line) running 2 1.1 done x true 1.2 failed oops 1.2.1\n", run [[
      local leaf = rt.function_node("leaf", function(...) return ... end)
      rt.call(leaf, "x", { true })
      pcall(rt.call, function() rt.call(leaf) error("oops", 0) end)
      local root = rt.trace()
      local first, second = root.children[1], root.children[2]
      print(table.concat({ root.id, root.run.name, root.run.status, #root.children, first.id,
        first.status, first.args[1], tostring(first.results[2][1]), second.id, second.status,
        second.error.message, second.children[1].id }, " "))
    ]])
  end)

  it("is any other run by its name", function()
    run "rt.call(math.abs, -1)"
    assert.equal("1.1 -1 1 done\n", run [[
      local call = rt.trace("@2").children[1]
      print(call.id .. " " .. call.args[1] .. " " .. call.results[1] .. " " .. call.status)
    ]])
  end)

  it("is a list of runs, newest first, by status and name", function()
    run ""
    place:run { "run", "-e", "error 'x'" }
    place:write("named.lua", "")
    place:run { "run", "named.lua" }
    assert.equal("running done failed done|x|named.lua|2|1\n", run [[
      local all, text = rt.runs(), {}
      for i, run in ipairs(all) do text[i] = run.status end
      print(table.concat(text, " ") .. "|" .. all[3].error.message:match "x$"
        .. "|" .. rt.runs { name = "named.lua" }[1].name .. "|" .. #rt.runs { status = "done" }
        .. "|" .. #rt.runs { limit = 1 })
    ]])
  end)

  it("is refused where there is none, or the question is wrong", function()
    assert.equal("", run [[
      for message, call in pairs {
        ["usage: rt.runs: limit: expected a whole number, got 'x'"] =
          function() rt.runs { limit = "x" } end,
        ["usage: rt.runs: there is no option 'state'"] = function() rt.runs { state = 1 } end,
        ["usage: rt.trace: expected the name of a run, got 1"] = function() rt.trace(1) end,
      } do
        local ok, err = pcall(call)
        assert(not ok and tostring(err) == message, tostring(err))
      end
      local ok, err = pcall(rt.trace, "@99")
      assert(not ok and rt.kind(err) == "journal")
    ]])
    local _, said, status = place:run { "run", "--journal", "none", "-e",
      "require 'railtracks'.trace()" }
    assert.matches("journal: rt.trace: nothing is recorded in a file", said)
    assert.equal(1, status)
  end)
end)
