local helper = require "spec.helper"

describe("railtracks diff", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local function run(count, word)
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local leaf = rt.function_node("leaf", function(x) return x end)
      local branch = rt.function_node("branch", function(x) rt.call(leaf, x) end)
      local count, word = ...
      for i = 1, tonumber(count) do rt.call(branch, i) end
      pcall(rt.call, rt.function_node("says", function(x) error(x, 0) end), word)
    ]])
    place:run { "run", "flow.lua", tostring(count), word }
  end

  local function diff(...)
    local output, said, status = place:run { "diff", ... }
    assert.equal("", said)
    return output:gsub("^%- [^\n]+\n%+ [^\n]+\n\n", ""), status
  end

  it("is silent about runs that went the same way", function()
    run(3, "a")
    run(3, "a")
    assert.same({ "no call is different\n", 0 }, { diff("@2", "@1") })
  end)

  it("shows what only one of them has, with how much is below it", function()
    run(2, "a")
    run(12, "a")
    local output, status = diff("@2", "@1")
    assert.equal(1, status)
    assert.matches("\n%+ 1%.4 branch%(4%) and 1 below it\n", output)
    assert.matches("\n%+ 1%.12 branch%(12%) and 1 below it\n%+ 1%.13 says%(\"a\"%)\n$", output)
    -- The third call is another one.
    assert.matches('\n~ 1%.3 says: node\n    %- says\n    %+ branch\n', output)
    assert.matches("\n%- 1%.12 branch%(12%) and 1 below it\n", (diff("@1", "@2")))
  end)

  it("shows arguments, status, results and errors that differ", function()
    run(1, "a")
    run(1, "b")
    local output = diff("@2", "@1")
    assert.equal('~ 1 flow.lua: arguments\n    - ["1","a"]\n    + ["1","b"]\n'
      .. '~ 1.2 says: arguments\n    - ["a"]\n    + ["b"]\n'
      .. "~ 1.2 says: error\n    - a\n    + b\n", output)
  end)

  it("matches calls by id, whichever sibling started first or never did", function()
    for _, cancels in ipairs { "true", "false" } do
      place:write("siblings.lua", "local cancels = " .. cancels .. "\n" .. [[
        local rt = require "railtracks"
        local says = rt.function_node("says", function(x) return rt.call(rt.now) and x end,
          { record = "none" })
        local first, second, third = rt.spawn(says), rt.spawn(says), rt.spawn(says)
        if cancels then second:cancel() end
        rt.settle { first, second, third }
      ]])
      place:run { "run", "siblings.lua" }
    end
    helper.sql(place.journal, "UPDATE calls SET results = NULL")
    local output = diff("@2", "@1")
    assert.matches("^~ 1%.2 says: status\n    %- cancelled\n    %+ done\n~ 1%.2 says: error\n"
      .. "    %- [^\n]+\n    %+ nothing\n%+ 1%.2%.1 [^\n]+\n$", output)
    -- As if they had begun in the other order.
    helper.sql(place.journal, "UPDATE calls SET started_at = 1e9 - seq WHERE run = 2")
    assert.equal(output, (diff("@2", "@1")))
  end)

  it("matches calls whose ids are too long to be told", function()
    place:write("deep.lua", [[
      local rt = require "railtracks"
      local down
      down = rt.function_node("down", function(n, last)
        if n > 0 then rt.call(down, n - 1, last) else rt.call(last, 1) end
      end)
      local last = rt.function_node(..., function() end)
      rt.call(type, last.name)
      rt.call(down, 300, last)
    ]])
    place:run { "run", "deep.lua", "one" }
    place:run { "run", "deep.lua", "other" }
    helper.sql(place.journal, "UPDATE calls SET args = NULL")
    local output = diff("@2", "@1")
    assert.matches("^~ 1%.2%.[%d.]+…~304 one: node\n    %- one\n    %+ other\n$", output)
  end)

  it("shows of long values where they differ", function()
    run(1, ("long "):rep(100) .. "é1")
    run(1, ("long "):rep(100) .. "é2")
    local output = diff("@2", "@1")
    assert.matches("\n    %- …[long ]+é1\"%]\n    %+ …[long ]+é2\"%]\n", output)
    for line in output:gmatch "[^\n]+" do assert.is_true(utf8.len(line) <= 100) end
  end)

  it("tells no more than it is asked for", function()
    run(1, "a")
    run(100, "a")
    local some = diff("@2", "@1", "--limit", "5")
    assert.matches("\n… %d+ more differences %(%-%-all shows them%)\n$", some)
    assert.equal(5, select(2, some:gsub("\n[~+]", "")) + 1)
    assert.is_nil(diff("@2", "@1", "--all"):find "more differences")
  end)

  it("wants two runs that there are", function()
    for _, words in ipairs { { "diff" }, { "diff", "@1" }, { "diff", "@1", "@2", "@3" } } do
      assert.equal(2, (select(3, place:run(words))))
    end
    run(1, "a")
    local _, said, status = place:run { "diff", "@1", "@7" }
    assert.matches("@7", said)
    assert.equal(1, status)
  end)
end)
