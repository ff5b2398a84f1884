local rt = require "railtracks"
local helper = require "spec.helper"

--- rt.run of `fn` in which every assertion may be made.
local function in_run(fn) return function() rt.run(fn) end end

local function sleepy(...)
  rt.sleep(0)
  return ...
end

local function usage(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("usage", rt.kind(err))
  return tostring(err)
end

describe("rt.run from plain Lua", function()
  it("returns all results, nils kept", function()
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(rt.run(function() return 1, nil, 3, nil end)))
    assert.same({ 1, nil, n = 2 }, table.pack(rt.run(sleepy, 1, nil)))
  end)

  it("returns nothing for a node that returns nothing", function()
    assert.equal(0, select("#", rt.run(function() end)))
  end)

  it("passes all arguments, nils kept", function()
    assert.equal(3, rt.run(function(...) return select("#", ...) end, nil, 2, nil))
  end)

  it("carries 100,000 arguments and results", function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local got = table.pack(rt.run(sleepy, table.unpack(values)))
    assert.equal(100000, got.n)
    assert.equal(100000, got[100000])
  end)

  it("takes a node, a function and a C function", function()
    assert.equal(1, rt.run(rt.function_node("one", function() return 1 end)))
    assert.equal(2, rt.run(function() return 2 end))
    assert.equal(3, rt.run(math.abs, -3))
  end)

  it("raises the error as the same value", function()
    local value = {}
    local ok, err = pcall(rt.run, function() error(value) end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("raises nil where nil was raised", function()
    assert.same({ false, nil, n = 2 }, table.pack(pcall(rt.run, function() error(nil) end)))
  end)

  it("may be used a thousand times", function()
    local sum = 0
    for i = 1, 1000 do sum = sum + rt.run(sleepy, i) end
    assert.equal(500500, sum)
  end)

  it("is not disturbed by an error in the run before", function()
    for i = 1, 100 do
      pcall(rt.run, function()
        rt.spawn(sleepy)
        rt.spawn(function() rt.sleep(3600) end)
        if i % 2 == 0 then rt.sleep(0) end
        error "no"
      end)
      assert.equal(i, rt.run(sleepy, i))
      assert.is_nil(rt.current())
    end
  end)

  it("may be used in a coroutine of plain Lua", function()
    local co = coroutine.wrap(function()
      coroutine.yield(rt.run(sleepy, 1))
      return rt.run(sleepy, 2)
    end)
    assert.equal(1, co())
    assert.equal(2, co())
  end)

  it("may be used where Lua cannot yield", function()
    assert.equal("ABC", (("abc"):gsub(".", function(c)
      return rt.run(function() return rt.call(string.upper, c) end)
    end)))
  end)

  it("may be used in a metamethod and in __gc", function()
    local seen
    do
      local _ = setmetatable({}, { __gc = function() seen = rt.run(sleepy, 5) end })
    end
    collectgarbage()
    collectgarbage()
    assert.equal(5, seen)
  end)

  it("takes errors whose message cannot be made", function()
    local value = setmetatable({}, { __tostring = function() error "no text" end })
    local _, err = pcall(rt.run, function() error(value) end)
    assert.is_true(rawequal(value, err))
  end)
end)

describe("rt.run inside a run", function()
  it("returns all results, nils kept", in_run(function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.run(sleepy, 1, nil, 3)))
  end))

  it("raises the error as the same value", in_run(function()
    local value = {}
    local _, err = pcall(rt.run, function() rt.sleep(0) error(value) end)
    assert.is_true(rawequal(value, err))
  end))

  it("is a run with an id of its own, whose calls begin at 1", in_run(function()
    local inner = rt.run(function() return rt.call(rt.current) end)
    assert.not_equal(rt.current().run, inner.run)
    assert.equal("1.1", inner.call)
  end))

  it("takes no number from the calls of the outer run", in_run(function()
    rt.run(sleepy)
    assert.equal("1.1", rt.spawn(sleepy).id)
  end))

  it("lets the tasks of the outer run go on", in_run(function()
    local seen
    rt.spawn(function() seen = true end)
    rt.run(sleepy)
    assert.is_true(seen)
  end))

  it("waits for the calls of the inner run", in_run(function()
    local ended
    rt.run(function() rt.spawn(function() sleepy() sleepy() ended = true end) end)
    assert.is_true(ended)
  end))

  it("may be done by many tasks at once", in_run(function()
    local results = rt.map(function(x) return (rt.run(sleepy, x)) end, { 1, 2, 3, 4, 5 })
    assert.same({ 1, 2, 3, 4, 5, n = 5 }, results)
  end))

  it("goes 1,000 deep", function()
    local function down(n)
      if n == 0 then return "bottom" end
      return (rt.run(down, n - 1))
    end
    assert.equal("bottom", rt.run(down, 1000))
  end)
end)

describe("rt.current", function()
  it("is nil outside a run", function() assert.is_nil(rt.current()) end)

  it("has run, call and node", in_run(function()
    local here = rt.call(rt.function_node("here", function() return rt.current() end))
    assert.equal(rt.current().run, here.run)
    assert.equal("1.1", here.call)
    assert.equal("here", here.node)
  end))

  it("has a UUIDv7 for the run, larger with each run", function()
    local last = ""
    for _ = 1, 100 do
      local run = rt.run(function() return rt.current().run end)
      local four = ("%x"):rep(4)
      assert.matches("^" .. four:rep(2) .. "%-" .. four .. "%-7%x%x%x%-[89ab]%x%x%x%-" ..
        four:rep(3) .. "$", run)
      assert.is_true(run > last)
      last = run
    end
  end)

  it("is the same before and after a wait", in_run(function()
    rt.map(function()
      local before = rt.current().call
      rt.sleep(0)
      pcall(rt.call, error, "no")
      rt.call(sleepy)
      assert.equal(before, rt.current().call)
    end, { 1, 2, 3 })
    assert.equal("1", rt.current().call)
  end))

  it("is known inside a coroutine of the task's", in_run(function()
    assert.equal("1", coroutine.wrap(function() return rt.current().call end)())
  end))

  it("is nil again after the run", function()
    rt.run(sleepy)
    assert.is_nil(rt.current())
    pcall(rt.run, error)
    assert.is_nil(rt.current())
  end)
end)

describe("ids", function()
  it("are paths: 1, then 1.3, then 1.3.1", in_run(function()
    local function own() return rt.current().call end
    assert.equal("1", own())
    rt.call(own)
    rt.spawn(own)
    assert.same({ "1.3", "1.3.1", "1.3.2" }, rt.call(function()
      return { own(), rt.call(own), (rt.spawn(own):await()) }
    end))
  end))

  it("follow the order of starting, not of ending", in_run(function()
    local function slow(turns)
      for _ = 1, turns do rt.sleep(0) end
      return rt.current().call
    end
    assert.same({ "1.1", "1.2", "1.3", n = 3 },
      rt.gather(rt.spawn(slow, 5), rt.spawn(slow, 1), rt.spawn(slow, 3)))
  end))

  it("are the same when a run is repeated", function()
    local function program()
      local ids = {}
      local function note() ids[#ids + 1] = rt.current().call end
      rt.map(function(x) note() rt.sleep(x / 1000) rt.call(note) end, { 3, 1, 2 })
      rt.gather(rt.spawn(note), rt.spawn(function() rt.call(note) end))
      table.sort(ids)
      return ids
    end
    assert.same(rt.run(program), rt.run(program))
  end)

  describe("longer than 255 bytes", function()
    --- The ids of `depth` nested calls.
    local function ids_of(depth)
      local ids = {}
      local function down(n)
        ids[#ids + 1] = rt.current().call
        if n > 1 then rt.call(down, n - 1) end
      end
      rt.run(down, depth)
      return ids
    end

    it("are shortened to their beginning, … and ~SEQ", function()
      local ids = ids_of(300)
      assert.equal(("1."):rep(127) .. "1", ids[128])
      for i = 129, 300 do
        local head, seq = ids[i]:match("^([1.]+)…~(%d+)$")
        assert.truthy(head, ids[i])
        assert.equal(ids[128]:sub(1, #head), head)
        assert.equal(i, tonumber(seq))
      end
    end)

    it("stay at most 255 bytes long", function()
      for _, id in ipairs(ids_of(10000)) do assert.is_true(#id <= 255) end
    end)

    it("differ from each other", function()
      local seen = {}
      for _, id in ipairs(ids_of(2000)) do
        assert.is_nil(seen[id])
        seen[id] = true
      end
    end)

    it("are the same for a task and its call", function()
      local function down(n)
        if n > 0 then return (rt.call(down, n - 1)) end
        local task = rt.spawn(function() return rt.current().call end)
        return task.id == task:await() and task.id
      end
      assert.matches("…~%d+$", rt.run(down, 200))
    end)
  end)
end)

describe("rt.sleep", function()
  it("returns nothing", in_run(function()
    assert.equal(0, select("#", rt.sleep(0)))
    assert.equal(0, select("#", rt.sleep(0.001)))
  end))

  it("lasts at least as long as was asked for", in_run(function()
    for _, seconds in ipairs { 0, 0.001, 0.0105, 0.02 } do
      local before = rt.now()
      rt.sleep(seconds)
      assert.is_true(rt.now() - before >= seconds)
    end
  end))

  it("wakes sleepers in the order of their times", in_run(function()
    local order = {}
    rt.map(function(x) rt.sleep(x / 100) order[#order + 1] = x end, { 5, 1, 4, 2, 3 })
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end))

  it("of 0 gives way once to everybody who is ready", in_run(function()
    local order = {}
    local function turns(name)
      for i = 1, 3 do
        order[#order + 1] = name .. i
        rt.sleep(0)
      end
    end
    rt.gather(rt.spawn(turns, "a"), rt.spawn(turns, "b"), rt.spawn(turns, "c"))
    assert.same({ "a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3" }, order)
  end))

  it("of 0 wakes its sleepers in the order they came", in_run(function()
    local order = {}
    for i = 1, 1000 do rt.spawn(function() rt.sleep(0) order[#order + 1] = i end) end
    rt.sleep(0)
    rt.sleep(0)
    for i = 1, 1000 do assert.equal(i, order[i]) end
  end))

  it("takes integers and tiny numbers", in_run(function()
    rt.sleep(0)
    rt.sleep(1e-12)
    rt.sleep(-0.0)
  end))

  it("of 10,000 tasks at once ends for all", in_run(function()
    local ended = 0
    local list = {}
    for i = 1, 10000 do list[i] = i % 10 / 1000 end
    rt.map(function(seconds) rt.sleep(seconds) ended = ended + 1 end, list)
    assert.equal(10000, ended)
  end))

  it("may last for ever, until it is cancelled", in_run(function()
    for _, seconds in ipairs { math.huge, 1e300, 1e12, 9.3e9 } do
      local task = rt.spawn(rt.sleep, seconds)
      rt.sleep(0.001)
      assert.equal("running", task:status())
      task:cancel()
      rt.settle(task)
      assert.equal("cancelled", task:status())
    end
  end))

  for name, value in pairs { ["a negative number"] = -1, NaN = 0 / 0,
    ["minus infinity"] = -math.huge, ["a string"] = "1", ["a table"] = {}, ["true"] = true } do
    it("refuses " .. name, in_run(function()
      assert.matches("rt.sleep", usage(rt.sleep, value), 1, true)
    end))
  end

  it("refuses nothing and nil", in_run(function()
    usage(rt.sleep)
    usage(rt.sleep, nil)
  end))
end)

describe("rt.now", function()
  it("is a float number of seconds, inside a run and outside", function()
    assert.equal("float", math.type(rt.now()))
    assert.equal("float", math.type(rt.run(rt.now)))
  end)

  it("never goes back", function()
    local last = rt.now()
    for _ = 1, 1000 do
      local now = rt.now()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("goes on while a task computes", in_run(function()
    local before = rt.now()
    local clock = os.clock()
    while os.clock() == clock do end -- luacheck: ignore 542
    assert.is_true(rt.now() > before)
  end))
end)

describe("a run that stands still", function()
  local function stand_still()
    local a, b
    a = rt.spawn(function() rt.gather(b) end)
    b = rt.spawn(function() rt.gather(a) end)
    rt.gather(a, b)
  end

  it("fails with a deadlock error", function()
    local ok, err = pcall(rt.run, stand_still)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)

  it("lists who waits for what", function()
    local _, err = pcall(rt.run, stand_still)
    for _, word in ipairs { "call 1 ", "call 1.1 ", "call 1.2 ", "rt.gather" } do
      assert.matches(word, tostring(err), 1, true)
    end
  end)

  it("unwinds its tasks", function()
    local closed = 0
    pcall(rt.run, function()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = rt.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
          assert(guard)
          rt.gather(tasks[i % 10 + 1])
        end)
      end
      rt.gather(tasks)
    end)
    assert.equal(10, closed)
  end)

  it("does not stand still while somebody sleeps", function()
    assert.equal("woken", rt.run(function()
      local a, b
      a = rt.spawn(function() rt.gather(b) end)
      b = rt.spawn(function() rt.gather(a) end)
      rt.spawn(function() rt.sleep(0.01) a:cancel() end)
      rt.settle(a, b)
      return "woken"
    end))
  end)

  it("is not caught by pcall inside it", function()
    local ok, err = pcall(rt.run, function()
      pcall(stand_still)
      rt.sleep(0)
      return "went on"
    end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
  end)

  it("inside another run fails alone, as an error of that rt.run", function()
    assert.equal("deadlock", rt.run(function()
      local _, err = pcall(rt.run, stand_still)
      rt.sleep(0)
      return rt.kind(err)
    end))
  end)

  it("leaves the next run undisturbed", function()
    for _ = 1, 10 do
      pcall(rt.run, stand_still)
      assert.equal(1, rt.run(sleepy, 1))
    end
  end)
end)

describe("rt.kind", function()
  it("is nil for what is not the engine's error", function()
    for _, value in ipairs { "usage: text", 1, {}, { kind = "usage" }, true, print, io.stdout } do
      assert.is_nil(rt.kind(value))
    end
    assert.is_nil(rt.kind(nil))
    assert.is_nil(rt.kind())
    assert.is_nil(rt.kind(setmetatable({ kind = "usage" }, {})))
  end)

  it("is the kind of the engine's error, which has kind and message", function()
    local _, err = pcall(rt.sleep, 0)
    assert.equal("usage", rt.kind(err))
    assert.equal("usage", err.kind)
    assert.equal("string", type(err.message))
    assert.matches(err.message, tostring(err), 1, true)
  end)

  it("is known inside a run and outside", in_run(function()
    local _, err = pcall(rt.sleep, -1)
    assert.equal("usage", rt.kind(err))
  end))
end)

describe("an error of the engine's", function()
  it("is one readable line", function()
    for _, fn in ipairs {
      function() rt.sleep(0) end, function() rt.function_node() end,
      function() rt.run(rt.map) end, function() rt.json.decode "{" end,
    } do
      local _, err = pcall(fn)
      assert.is_nil(tostring(err):find "\n")
      assert.is_true(#tostring(err) > 10)
    end
  end)
end)

describe("rt.traceback", function()
  --- The lines of `text` that begin with `pattern`, their first words only.
  local function lines(text)
    local list = {}
    for line in text:gmatch("[^\n]+") do list[#list + 1] = line end
    return list
  end

  --- The line of the caller.
  local function here() return debug.getinfo(2, "l").currentline end

  it("is nil for an error the current call has not received", in_run(function()
    assert.is_nil(rt.traceback("no such"))
    assert.is_nil(rt.traceback({}))
    assert.is_nil(rt.traceback(nil))
    assert.is_nil(rt.traceback())
  end))

  it("is nil outside a run", function()
    local _, err = pcall(rt.run, error, "no")
    assert.is_nil(rt.traceback(err))
  end)

  it("has the frames of the failing call, then of each caller up to the root", function()
    local leaf_line, middle_line, top_line, root_line
    local leaf = rt.function_node("leaf", function()
      leaf_line = here() + 1
      error "broken"
    end)
    local middle = rt.function_node("middle", function()
      middle_line = here() + 1
      rt.call(leaf)
    end)
    local top = rt.function_node("top", function()
      top_line = here() + 1
      rt.spawn(middle):await()
    end)
    local text = rt.run(rt.function_node("root", function()
      root_line = here() + 1
      local _, err = pcall(rt.call, top)
      return rt.traceback(err)
    end))
    local wanted = {
      "stack traceback:",
      "run_spec.lua:" .. leaf_line, "in call 1.1.1.1 (leaf)",
      "run_spec.lua:" .. middle_line, "in call 1.1.1 (middle)",
      "run_spec.lua:" .. top_line, "in call 1.1 (top)",
      "run_spec.lua:" .. root_line, "in call 1 (root)",
    }
    local at = 1
    for _, piece in ipairs(wanted) do
      local from, to = text:find(piece, at, true)
      assert.truthy(from, piece .. " is not in its place in\n" .. text)
      at = to + 1
    end
  end)

  it("says how each call was started, and where", in_run(function()
    local line
    local node = rt.function_node("leaf", error)
    local function middle()
      line = here() + 1
      rt.spawn(node, "no"):await()
    end
    local _, err = pcall(rt.call, middle)
    assert.matches("in call 1.1.1 %(leaf%), spawned at [^\n]*run_spec.lua:" .. line,
      rt.traceback(err))
    assert.matches("in call 1.1 %([^\n]*run_spec.lua:%d+%), called at [^\n]*run_spec.lua:%d+",
      rt.traceback(err))
  end))

  it("leaves the engine's frames out", in_run(function()
    local function down(n)
      if n == 0 then error "no" end
      if n == 1 then return rt.map(down, { 0 })[1] end
      if n == 2 then return (rt.gather(rt.spawn(down, 1))) end
      return (rt.call(down, n - 1))
    end
    local _, err = pcall(rt.call, down, 4)
    for _, line in ipairs(lines(rt.traceback(err))) do
      if line:find "^\t" then
        assert.is_true(line:find "run_spec.lua" ~= nil or line:find "%[C%]: in [^\n]*'error'" ~= nil
          or line:find "%[C%]: in [^\n]*'x?pcall'" ~= nil, line)
      end
    end
  end))

  it("leaves the frames of railtracks' own Lua files out", in_run(function()
    local _, err = pcall(rt.call, function() rt.function_node("") end)
    assert.is_nil(rt.traceback(err):find("railtracks:", 1, true))
    assert.matches("run_spec.lua", rt.traceback(err), 1, true)
  end))

  it("tells a Lua error's own place", in_run(function()
    local line
    local _, err = pcall(rt.call, function()
      line = here() + 1
      local x = nil + 1
      return x
    end)
    assert.matches("run_spec.lua:" .. line .. ": in", rt.traceback(err), 1, true)
  end))

  it("has no frame twice", in_run(function()
    local _, err = pcall(rt.call, function() rt.call(function() rt.sleep(0) error "no" end) end)
    local calls = 0
    for _ in rt.traceback(err):gmatch "in call 1" do calls = calls + 1 end
    assert.equal(3, calls)
  end))

  it("is of the place where the error began, also when it is raised again", in_run(function()
    local _, err = pcall(rt.call, rt.function_node("again", function()
      local ok, e = pcall(rt.call, rt.function_node("origin", function() error { "no" } end))
      assert.is_false(ok)
      rt.sleep(0)
      error(e)
    end))
    assert.matches("in call 1.1.1 (origin)", rt.traceback(err), 1, true)
  end))

  it("is of the newest failure with that value", in_run(function()
    local value = {}
    local function fail() error(value) end
    pcall(rt.call, rt.function_node("first", fail))
    pcall(rt.call, rt.function_node("second", fail))
    assert.matches("(second)", rt.traceback(value), 1, true)
  end))

  it("goes through a spawned failure that nobody awaited", in_run(function()
    local _, err = pcall(rt.call, function() rt.spawn(rt.function_node("lost", error), "no") end)
    assert.matches("(lost)", rt.traceback(err), 1, true)
  end))

  it("of a 10,000 deep failure shows the 50 innermost and the 20 outermost calls", function()
    local function down(n)
      if n == 0 then error "no" end
      return 1 + rt.call(down, n - 1)
    end
    local text = rt.run(function()
      local _, err = pcall(rt.call, down, 10000)
      return rt.traceback(err)
    end)
    local calls = 0
    for _ in text:gmatch "in call " do calls = calls + 1 end
    assert.equal(70, calls)
    assert.matches((10002 - 70) .. " calls left out", text, 1, true)
    assert.matches("in call 1 %([^\n]*$", text)
  end)

  it("shows all calls of a failure 70 deep", function()
    local function down(n)
      if n == 0 then error "no" end
      return 1 + rt.call(down, n - 1)
    end
    local text = rt.run(function()
      local _, err = pcall(rt.call, down, 68)
      return rt.traceback(err)
    end)
    local calls = 0
    for _ in text:gmatch "in call " do calls = calls + 1 end
    assert.equal(70, calls)
    assert.is_nil(text:find "left out")
  end)

  it("stays short for a call that recursed deeply in Lua itself", in_run(function()
    local function deep(n) if n == 0 then error "no" end return 1 + deep(n - 1) end
    local _, err = pcall(rt.call, deep, 100000)
    assert.is_true(#lines(rt.traceback(err)) < 50)
    assert.matches("skipping", rt.traceback(err), 1, true)
  end))

  it("is known after collections", in_run(function()
    local _, err = pcall(rt.call, function() error {} end)
    collectgarbage()
    collectgarbage()
    assert.matches("run_spec.lua", rt.traceback(err), 1, true)
  end))

  it("is printed with the message by the program when a run fails", function()
    local _, said, status = helper.run { "run", "-e", [[
      local rt = require "railtracks"
      rt.call(rt.function_node("breaks", function() error("broken", 0) end))
    ]] }
    assert.equal(1, status)
    assert.matches("broken.*in call 1.1 %(breaks%).*in call 1 %(", said)
  end)
end)

describe("rt.array", function()
  it("returns the table it was given", function()
    local list = { 1, 2 }
    assert.equal(list, rt.array(list))
    assert.same({ 1, 2 }, list)
  end)

  it("makes a table where none is given", function()
    assert.same({}, rt.array())
    assert.same({}, rt.array(nil))
  end)

  it("refuses what is no table", function()
    for _, value in ipairs { 1, "list", true, print } do usage(rt.array, value) end
  end)

  it("makes an empty table a list in the journal", function()
    local folder = helper.folder()
    finally(function() helper.remove(folder) end)
    local journal = folder .. "/journal.db"
    helper.run { "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      rt.call(type, rt.array {})
      rt.call(type, {})
    ]] }
    local text = helper.run { "show", "--journal", journal, "--json" }
    text = text:gsub("%s+", "")
    assert.matches('"args":[[]]', text, 1, true)
    assert.matches('"args":[{}]', text, 1, true)
  end)
end)

describe("rt.json", function()
  it("encodes and decodes", function()
    local value = { a = { 1, 2.5, "x", true, false }, b = "ä\n\"" }
    assert.same(value, rt.json.decode(rt.json.encode(value)))
  end)

  it("decodes whole numbers as integers, others as floats", function()
    assert.equal("integer", math.type(rt.json.decode "[12]"[1]))
    assert.equal("float", math.type(rt.json.decode "[1.5]"[1]))
    assert.equal(12, rt.json.decode "12")
  end)

  it("has null both ways", function()
    assert.equal(rt.json.null, rt.json.decode "[null]"[1])
    assert.equal("[null]", rt.json.encode { rt.json.null })
  end)

  it("encodes strings, numbers and booleans alone", function()
    assert.equal('"a"', rt.json.encode "a")
    assert.equal("1", rt.json.encode(1))
    assert.equal("true", rt.json.encode(true))
  end)

  it("works inside a run", in_run(function()
    assert.equal("[1]", rt.call(rt.json.encode, { 1 }))
  end))

  local cycle = {}
  cycle.self = cycle
  for name, value in pairs { ["a function"] = print, ["a table with a function"] = { print },
    ["a userdata"] = io.stdout, ["a coroutine"] = coroutine.create(print), NaN = 0 / 0,
    infinity = math.huge, ["a cycle"] = cycle, ["a table with a table as key"] = { [{}] = 1 },
    ["an integer it cannot keep"] = math.maxinteger } do
    it("raises an error of kind json instead of encoding " .. name, function()
      local ok, err = pcall(rt.json.encode, value)
      assert.is_false(ok)
      assert.equal("json", rt.kind(err))
    end)
  end

  for name, text in pairs { ["nothing"] = "", ["half an object"] = '{"a":', ["two values"] = "1 2",
    ["a bare word"] = "hello", ["NaN"] = "[NaN]", ["a comma too many"] = "[1,]" } do
    it("raises an error of kind json instead of decoding " .. name, function()
      local ok, err = pcall(rt.json.decode, text)
      assert.is_false(ok)
      assert.equal("json", rt.kind(err))
    end)
  end

  it("raises for what is no text", function()
    assert.has_error(function() rt.json.decode(nil) end)
    assert.has_error(function() rt.json.decode {} end)
  end)
end)

describe("the collector", function()
  --- Everything at once, with `between` called wherever Lua runs.
  local function everything(between)
    local function node(x)
      between()
      rt.sleep(0)
      between()
      if x % 3 == 0 then error { x } end
      return { x }
    end
    local good, bad = 0, 0
    for _ = 1, 3 do
      for _, outcome in ipairs(rt.map(node, { 1, 2, 3, 4, 5, 6 }, { limit = 2, settle = true })) do
        if outcome.ok then good = good + outcome.value[1] else bad = bad + outcome.error[1] end
      end
      between()
      local a, b = rt.spawn(node, 1), rt.spawn(node, 2)
      between()
      good = good + rt.gather(a, b)[2][1]
      local ok, err = pcall(rt.gather, rt.spawn(node, 3), rt.spawn(rt.sleep, 3600))
      between()
      assert(not ok)
      assert(rt.traceback(err))
      bad = bad + err[1] + select(2, pcall(rt.call, node, 6))[1]
      between()
      good = good + rt.run(node, 5)[1]
      good = good + rt.call(setmetatable({}, { __index = {} }).x or node, 1)[1]
    end
    return good, bad
  end

  it("may run anywhere in a run", function()
    assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage() end) })
  end)

  it("may step anywhere in a run", function()
    assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage("step", 1) end) })
  end)

  it("may be generational", function()
    local mode = collectgarbage "generational"
    finally(function() collectgarbage(mode) end)
    for _ = 1, 20 do
      assert.same({ 60, 54 }, { rt.run(everything, function() collectgarbage("step", 1) end) })
    end
  end)

  it("may change its mode inside a run", function()
    finally(function() collectgarbage "incremental" end)
    local turn = 0
    assert.same({ 60, 54 }, { rt.run(everything, function()
      turn = turn + 1
      collectgarbage(turn % 2 == 0 and "generational" or "incremental")
    end) })
  end)

  it("may run with all its pauses off", function()
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    finally(function()
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", step)
    end)
    assert.same({ 60, 54 }, { rt.run(everything, function() end) })
  end)

  it("leaves nothing of a thousand runs behind", function()
    local function runs(count)
      for i = 1, count do
        pcall(rt.run, function()
          rt.map(sleepy, { 1, 2, 3 })
          local task = rt.spawn(rt.sleep, 3600)
          rt.sleep(0)
          task:cancel()
          pcall(rt.call, error, {})
          local bad = rt.spawn(error, {})
          if i % 100 > 0 then rt.settle(bad) end
        end)
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    runs(200)
    local before = runs(200)
    assert.is_true(runs(1000) - before < 64)
  end)
end)
