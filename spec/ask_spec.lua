local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run
local plugins = helper.build .. "/plugins/"
local asking, passers = helper.asking()

--- Every question has been answered exactly once.
local function all_told()
  local asked, told = rt.call(asking.tally)
  assert.equal(asked, told)
end

describe("a native node that calls another", function()
  for _, name in ipairs(passers) do
    local pass = asking[name]

    it("goes on with what that returns: " .. name, in_run(function()
      assert.same({ 1, nil, { x = { 1.5, "a\0b" } }, true, nil, n = 5 },
        table.pack(rt.call(pass, "give_back", 1, nil, { x = { 1.5, "a\0b" } }, true, nil)))
      assert.equal(0, select("#", rt.call(pass, "give_back")))
      assert.same({ "x", 2, n = 2 }, table.pack(rt.call(pass, "waits", 0.001, "x", 2)))
      all_told()
    end))

    it("calls native nodes of every kind: " .. name, in_run(function()
      for _, kind in ipairs { "echo", "echo_offload", "echo_later", "echo_soon" } do
        assert.same({ 1, "x", n = 2 }, table.pack(rt.call(pass, kind, 1, "x")))
      end
      assert.equal("deep", rt.call(pass, "pass", "pass_later", "pass_there", "give_back", "deep"))
    end))

    it("lets its failure through as the same value: " .. name, in_run(function()
      for _, value in ipairs { "text", { "table" }, 7, false } do
        rt.function_node("raises_it", function() error(value, 0) end)
        local ok, err = pcall(rt.call, pass, "raises_it")
        assert.is_false(ok)
        assert.equal(value, err)
      end
      all_told()
    end))

    it("is spawned, gathered and mapped: " .. name, in_run(function()
      local tasks = {}
      for i = 1, 200 do tasks[i] = rt.spawn(pass, i % 2 == 0 and "waits" or "give_back", 0, i) end
      local got = rt.gather(tasks)
      for i = 1, 200, 2 do assert.equal(0, got[i]) end
      for i = 2, 200, 2 do assert.equal(i, got[i]) end
      all_told()
    end))

    it("is cancelled with it, and told so: " .. name, in_run(function()
      local ended
      local sleeper = rt.function_node("sleeper", function()
        local _ <close> = setmetatable({}, { __close = function() ended = true end })
        rt.sleep(3600)
      end)
      local task = rt.spawn(pass, sleeper.name)
      rt.sleep(0.02)
      task:cancel "enough"
      local outcome = rt.settle { task }[1]
      assert.equal("cancelled", rt.kind(outcome.error))
      assert.equal("enough", outcome.error.reason)
      assert.is_true(ended)
      assert.equal("timeout", rt.kind(select(2, pcall(rt.timeout, 0.01, pass, "sleeper"))))
    end))
  end

  for _, suffix in ipairs { "", "_later" } do
    it("reads why that has failed: node" .. suffix, in_run(function()
      local catch = asking["catch" .. suffix]
      local kind, code, message, traceback = rt.call(catch, "fails")
      assert.equal("native", kind)
      assert.equal("FIRST", code)
      assert.matches("the first of 2", message, 1, true)
      assert.matches("(fails), called at", traceback, 1, true)
      kind, code, message = rt.call(catch, "raises", "plain")
      assert.same({ nil, nil, "plain" }, { kind, code, message })
      assert.is_nil(rt.call(catch, "give_back"))
      all_told()
    end))

    it("asks one after the other, as often as it likes: node" .. suffix, in_run(function()
      rt.function_node("increase", function(x) return x + 1 end)
      rt.function_node("increase_slowly", function(x) rt.sleep(0) return x + 1 end)
      assert.equal(5001, rt.call(asking["chain" .. suffix], "increase", 5000, 1))
      assert.equal(101, rt.call(asking["chain" .. suffix], "increase_slowly", 100, 1))
      all_told()
    end))

    it("ends when it is cancelled, whatever it tries: node" .. suffix, in_run(function()
      local task = rt.spawn(asking["stubborn" .. suffix], "waits", 3600)
      rt.sleep(0.001)
      task:cancel()
      assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
      all_told()
    end))
  end

  it("calls itself to any depth", in_run(function()
    assert.equal(0, rt.call(asking.down, 20000))
  end))

  it("keeps its arguments and results meanwhile", in_run(function()
    rt.function_node("nothing", function() collectgarbage() end)
    assert.same({ "before", "after", n = 2 }, table.pack(rt.call(asking.around, "nothing")))
  end))

  it("fails in its own words instead", in_run(function()
    local _, err = pcall(rt.call, asking.replace, "raises", "why")
    assert.equal("native: instead of: why", tostring(err))
    assert.equal("OTHER", err.code)
  end))

  it("is told when there is no such node, or nothing can be given or taken", in_run(function()
    local function failure(...) return tostring(select(2, pcall(rt.call, ...))) end
    assert.equal("usage: pass: rt_ask: there is no node 'nobody'", failure(asking.pass, "nobody"))
    assert.equal("usage: no_list: rt_ask: the arguments must be a list", failure(asking.no_list))
    assert.equal("native: no_then: rt_ask: a name and a function are needed",
      failure(asking.no_then))
    assert.equal("native: asks_wrongly_later: rt_ask: a name and a function are needed",
      failure(asking.asks_wrongly_later))
    assert.equal("native: twice: rt_ask: one node after the other", failure(asking.twice))
    assert.equal("native: then_fails: after all", failure(asking.then_fails))
    assert.equal("native: pass_offload: rt_ask: only functions of the kinds RT_INLINE and " ..
      "RT_LATER can ask", failure(asking.pass_offload, "give_back"))
    rt.function_node("gives_function", function() return 1, { f = print } end)
    assert.equal("usage: pass: result 2 of gives_function, at .f: a function cannot be given " ..
      "to a native node", failure(asking.pass, "gives_function"))
    all_told()
  end))

  it("does not keep a fatal error", in_run(function()
    rt.function_node("ends_all", function() rt.fatal "the end" end)
    local _, err = pcall(rt.run, function() rt.call(asking.catch, "ends_all") end)
    assert.equal("fatal", rt.kind(err))
    all_told()
  end))

  it("is the parent of what it calls, in the record too", function()
    local folder <close> = helper.temporary()
    local file = folder.path .. "/journal.db"
    local _, said, status = helper.run { "run", "--journal", file, "-e", [[
      local rt = require "railtracks"
      local asking = rt.load(...)
      rt.function_node("give_back", function(...) return ... end)
      rt.call(asking.chain, "give_back", 2, "x")
      rt.call(asking.pass_there, "pass_later", "give_back", "y")
      pcall(rt.call, asking.pass, "nobody")
    ]], plugins .. "asking.so" }
    assert.equal(0, status, said)
    local seen, output = {}, helper.run { "show", "--json", "--journal", file }
    for i, call in ipairs(rt.json.decode(output).calls) do
      seen[i] = ("%s %s %s %s"):format(call.id, call.node, call.kind, call.status)
    end
    table.remove(seen, 1)
    assert.same({ "1.1 chain native done", "1.1.1 give_back lua done", "1.1.2 give_back lua done",
      "1.2 pass_there native done", "1.2.1 pass_later native done", "1.2.1.1 give_back lua done",
      "1.3 pass native failed" }, seen)
  end)

  it("shows its failure with all callers, and none of the engine's frames", in_run(function()
    rt.function_node("breaks", function() error "broken" end)
    local _, err = pcall(rt.call, asking.pass, "pass_later", "breaks")
    local trace = rt.traceback(err)
    assert.matches("in call [%d.]+ %(breaks%), called at .-ask_spec%.lua:%d+" ..
      ".-in call [%d.]+ %(pass_later%), called at .-in call [%d.]+ %(pass%), called at", trace)
    assert.is_nil(trace:find("[C]: in ?", 1, true), trace)
  end))

  it("works inside coroutines, iterators and cleanup", in_run(function()
    local each = coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(rt.call(asking.pass, "waits", 0, i)) end
    end)
    assert.same({ 1, 2, 3 }, { each(), each(), each() })
    local task = rt.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        assert.equal("clean", rt.call(asking.pass, "waits", 0, "clean"))
      end })
      rt.sleep(3600)
    end)
    rt.sleep(0)
    task:cancel()
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
    all_told()
  end))
end)
