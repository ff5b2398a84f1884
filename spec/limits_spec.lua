local helper = require "spec.helper"

describe("a run with --memory-limit", function()
  local place, journal

  before_each(function()
    place = helper.workplace()
    journal = place.journal
  end)
  after_each(function() place:remove() end)

  --- Runs the code as a script. Returns output, errors and status.
  local function run(code, limit)
    place:write("script.lua", "local rt = require 'railtracks'\n" .. code)
    local output, said, status = place:run { "run", "--memory-limit", limit or "16M", "script.lua" }
    -- On a busy machine it may take long enough to be told of.
    return output, (said:gsub("railtracks: warning: [^\n]* has run for 1 s [^\n]*\n", "")), status
  end

  local over = "^railtracks: budget: the Lua heap would grow over its limit of 16M, "
    .. "in call %S+\nstack traceback:\n"

  local function fails(code, limit)
    local output, said, status = run(code, limit)
    assert.matches(limit and over:gsub("16M", limit) or over, said)
    assert.equal(1, status)
    return output, said
  end

  it("fails when its values take more, and says where", function()
    local _, said = fails [[
      local hoard = rt.function_node("hoard", function()
        local list = {}
        while true do
          list[#list + 1] = ("x"):rep(100) .. #list
        end
      end)
      rt.call(hoard)
    ]]
    assert.matches("\n\tscript.lua:[56]: in [^\n]*\n  in call 1%.1 %(hoard%)", said)
    assert.matches("in call 1 %(script.lua%)$", (said:gsub("\n$", "")))
    local found = helper.recorded(journal, "@1")
    assert.equal("budget", found.run.error.kind)
    assert.same({ "failed", "failed" }, { found.calls[1].status, found.calls[2].status })
  end)

  for what, code in pairs {
    ["one large string"] = "local s = ('x'):rep(100000000)",
    ["strings that double"] = "local s = 'x' while true do s = s .. s end",
    ["a table that doubles"] = "local t = {} for i = 1, 1e9 do t[i] = i end",
    ["a table made in C"] = "local t = table.pack(('x'):rep(100000):byte(1, -1)) "
      .. "local u = {} for i = 1, 100 do u[i] = table.move(t, 1, t.n, 1, {}) end",
    ["deep recursion"] = "local function f(n) return f(n + 1) + 1 end "
      .. "local list = {} for i = 1, 1e9 do list[i] = coroutine.create(f) "
      .. "coroutine.resume(list[i], 1) end",
    ["a buffer"] = "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(10000) end "
      .. "local all = {} for i = 1, 1000 do all[i] = table.concat(t) .. i end",
    ["queued calls"] = "for i = 1, 1e9 do rt.spawn(function() rt.sleep(60) end) end",
  } do
    it("fails by " .. what, function() fails(code) end)
    it("fails by " .. what .. " in a call", function()
      fails(("rt.call(function() %s end)"):format(code))
    end)
    it("fails by " .. what .. " in a task", function()
      fails(("rt.spawn(function() %s end):await()"):format(code))
    end)
  end

  for how, code in pairs {
    pcall = "pcall(grow)", xpcall = "xpcall(grow, print)",
    ["coroutine.resume"] = "coroutine.resume(coroutine.create(grow))",
    ["the pcall of rt.raw"] = "rt.raw.pcall(grow) do return end",
  } do
    it("fails although " .. how .. " catches it, by a table and by a string", function()
      local text = "while true do " .. code .. " end"
      fails("local function grow() local t = {} while true do t[#t + 1] = {} end end " .. text)
      local output = fails("local function grow() return ('x'):rep(100000000) end " .. text)
      assert.equal("", output)
    end)
  end

  it("fails at once with a limit that is too low to begin with", function()
    fails("local list = {} for i = 1, 1e9 do list[i] = {} end", "1K")
  end)

  it("cancels the other tasks, which clean up", function()
    local output = fails [[
      rt.spawn(function()
        local it <close> = setmetatable({}, { __close = function() print "other" end })
        rt.sleep(60)
      end)
      rt.sleep(0)
      rt.call(function()
        local it <close> = setmetatable({}, { __close = function() print "mine" end })
        local list = {}
        while true do list[#list + 1] = {} end
      end)
    ]]
    assert.equal("mine\nother\n", output)
  end)

  it("does not fail for what can be collected", function()
    local output, said, status = run [[
      local keep = {}
      for i = 1, 70000 do keep[i] = { i } end     -- about 5 MB
      for i = 1, 60 do
        local text = ("x"):rep(1000000)
        local list = {}
        for j = 1, 1000 do list[j] = text:sub(j, j + 100) .. i end
        text = table.concat(list)
      end
      print(#keep)
    ]]
    assert.same({ "70000\n", 0 }, { output, status }, said)
  end)

  it("does not fail a little below the limit", function()
    local output, said, status = run [[
      local keep, size = {}, 0
      while collectgarbage "count" < 13 * 1024 do
        keep[#keep + 1] = ("x"):rep(1000) .. #keep
        local more = table.concat({ ("y"):rep(3000), #keep })
        size = size + #more
      end
      for _ = 1, 1000 do local more = ("z"):rep(10000) .. size end
      print "done"
    ]]
    assert.same({ "done\n", 0 }, { output, status }, said)
  end)

  it("fails as a run inside another, which goes on", function()
    local output, _, status = run [[
      local ok, e = pcall(rt.run, function()
        local list = {}
        while true do list[#list + 1] = {} end
      end)
      print(ok, rt.kind(e))
      e = nil
      local list = {}
      for i = 1, 1000 do list[i] = {} end
      print(#list, rt.call(function() return "went on" end))
    ]]
    assert.equal("false\tbudget\n1000\twent on\n", output)
    assert.equal(0, status)
  end)

  it("leaves what it prints, and os.exit, alone", function()
    local output, _, status = run "print 'said'; os.exit(3)"
    assert.same({ "said\n", 3 }, { output, status })
  end)
end)
