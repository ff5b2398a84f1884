local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage, unshuffled = helper.in_run, helper.refusal, helper.unshuffled

local function nothing() end

describe("rt.flow", function()
  it("makes a Flow with a name and an entry", function()
    local entry = rt.function_node("begin", nothing)
    local flow = rt.flow { name = "greeting", entry = entry }
    assert.equal("greeting", flow.name)
    assert.equal(entry, flow.entry)
    assert.is_nil(flow.nothing)
    assert.equal("Flow greeting", tostring(flow))
  end)

  it("takes its entry's name where it is given none", function()
    assert.equal("begin", rt.flow { entry = rt.function_node("begin", nothing) }.name)
    assert.matches("flow_spec.lua:%d+$", rt.flow { entry = nothing }.name)
  end)

  it("cannot be changed", function()
    local flow = rt.flow { name = "fixed", entry = nothing }
    assert.matches("flow:with", usage(function() flow.name = "other" end), 1, true)
    assert.equal("fixed", flow.name)
  end)

  it("is not changed by what becomes of the table it was made of", function()
    local options = { name = "a", entry = function() return rt.context.get "x" end,
      context = { x = 1 } }
    local flow = rt.flow(options)
    options.name, options.context.x = "b", 2
    assert.equal("a", flow.name)
    assert.equal(1, flow:run())
  end)

  it("refuses what is no table of options", function()
    assert.matches("rt.flow: expected a table of options, got nil", usage(rt.flow), 1, true)
    usage(rt.flow, "name")
  end)

  it("refuses an unknown option, and names it", function()
    assert.matches("'retries'", usage(rt.flow, { entry = nothing, retries = 1 }), 1, true)
  end)

  it("refuses an entry that cannot be called", function()
    assert.matches("entry: expected a node or a function, got nil", usage(rt.flow, { name = "a" }),
      1, true)
    usage(rt.flow, { name = "a", entry = "b" })
  end)

  it("refuses a name that is no text or empty", function()
    assert.matches("name", usage(rt.flow, { name = 5, entry = nothing }))
    assert.matches("name", usage(rt.flow, { name = "", entry = nothing }))
  end)

  it("refuses a timeout that is no positive number, and says what was given", function()
    for _, wrong in ipairs { 0, -1, 0 / 0, "1", true } do
      assert.matches("timeout", usage(rt.flow, { entry = nothing, timeout = wrong }))
    end
    assert.matches("got -1", usage(rt.flow, { entry = nothing, timeout = -1 }), 1, true)
  end)

  it("refuses a context that is no table and a stop_on_error that is no boolean", function()
    assert.matches("context", usage(rt.flow, { entry = nothing, context = 1 }))
    assert.matches("stop_on_error", usage(rt.flow, { entry = nothing, stop_on_error = 1 }))
  end)
end)

describe("flow:run", function()
  it("runs the entry with all arguments and returns all results", function()
    local flow = rt.flow { entry = function(...) return select("#", ...), ... end }
    assert.same({ 3, 1, nil, nil, n = 4 }, table.pack(flow:run(1, nil, nil)))
  end)

  it("raises the entry's error as the same value", function()
    local value = {}
    local flow = rt.flow { entry = function() error(value) end }
    local ok, err = pcall(flow.run, flow)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("carries as many arguments as rt.run", function()
    local values = {}
    for i = 1, 100000 do values[i] = i end
    local flow = rt.flow { entry = function(...) return select("#", ...) end }
    assert.equal(100000, flow:run(table.unpack(values)))
  end)

  it("twice with a context that the run changes sees the original", function()
    local seen = {}
    local flow = rt.flow {
      context = { count = 1, list = { 1 } },
      entry = function()
        local list = rt.context.get "list"
        seen[#seen + 1] = { rt.context.get "count", #list }
        rt.context.put("count", 2)
        list[2] = 2
      end,
    }
    flow:run()
    flow:run()
    assert.same({ { 1, 1 }, { 1, 1 } }, seen)
  end)

  it("copies all of the context: cycles, shared tables, tables as keys, metatables", function()
    local key, class = {}, { __index = { greeting = "hello" } }
    local context = { object = setmetatable({}, class), [key] = "by table", f = nothing }
    context.self, context.same = context, { context.object }
    local flow = rt.flow {
      context = context,
      entry = function()
        local object = rt.context.get "object"
        assert.equal("hello", object.greeting)
        assert.not_equal(context.object, object)
        assert.is_true(rawequal(rt.context.get("same")[1], object))
        assert.is_true(rawequal(rt.context.get("self").object, object))
        assert.equal(nothing, rt.context.get "f")
        assert.is_nil(rt.context.get(key))
      end,
    }
    flow:run()
  end)

  it("copies a context that is nested 100,000 deep", function()
    local deep = {}
    for _ = 1, 100000 do deep = { deep } end
    local flow = rt.flow { context = { deep = deep }, entry = function()
      local depth, at = 0, rt.context.get "deep"
      while at[1] do depth, at = depth + 1, at[1] end
      return depth
    end }
    assert.equal(100000, flow:run())
  end)

  it("inside a run does not see the outer run's context", in_run(function()
    rt.context.put("x", "outer")
    local flow = rt.flow { context = { y = 1 }, entry = function()
      return rt.context.get "x", rt.context.get "y"
    end }
    assert.same({ nil, 1, n = 2 }, table.pack(flow:run()))
  end))

  it("is usage when it is not called as a method", function()
    local flow = rt.flow { entry = nothing }
    assert.matches("flow:run: expected a Flow, got nil", usage(flow.run), 1, true)
    usage(flow.run, {})
  end)
end)

describe("flow:spawn", function()
  it("is a task of the current call, with the flow's name, that has the run's results",
    in_run(function()
      local flow = rt.flow { name = "double", entry = function(x) return 2 * x, "two" end }
      local task = flow:spawn(21)
      assert.equal("1.1", task.id)
      assert.equal("double", task.node)
      assert.same({ 42, "two" }, { task:await() })
    end))

  it("runs in a run of its own", in_run(function()
    local flow = rt.flow { entry = function() return rt.current() end }
    local inner, outer = flow:spawn():await(), rt.current()
    assert.not_equal(outer.run, inner.run)
    assert.equal("1", inner.call)
  end))

  it("raises the run's error as the same value where it is awaited", in_run(function()
    local value = {}
    local task = rt.flow({ entry = function() error(value) end }):spawn()
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal(value, err)
  end))

  it("runs beside others", in_run(function()
    local order = {}
    local flow = rt.flow { entry = function(name)
      order[#order + 1] = name .. " begins"
      rt.sleep(0)
      order[#order + 1] = name .. " ends"
    end }
    rt.gather(flow:spawn "a", flow:spawn "b")
    assert.same({ "a begins", "b begins", "a ends", "b ends" }, order)
  end, unshuffled))

  it("is cancelled with its run when the task is cancelled", in_run(function()
    local closed
    local flow = rt.flow { entry = function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      rt.sleep(3600)
    end }
    local task = flow:spawn()
    rt.sleep(0)
    task:cancel "enough"
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.equal("cancelled", rt.kind(err))
    assert.equal("cancelled", task:status())
    assert.is_true(closed)
  end))

  it("starts with a context of its own each time", in_run(function()
    local flow = rt.flow { context = { n = 0 }, entry = function()
      rt.context.put("n", rt.context.get "n" + 1)
      rt.sleep(0)
      return rt.context.get "n"
    end }
    assert.same({ 1, 1, n = 2 }, rt.gather(flow:spawn(), flow:spawn()))
  end))

  it("outside a run is usage, and names rt.run", function()
    local flow = rt.flow { entry = nothing }
    assert.matches("rt.run(", usage(flow.spawn, flow), 1, true)
  end)
end)

describe("flow:with", function()
  it("makes a changed copy and leaves the original as it was", function()
    local flow = rt.flow { name = "a", entry = function() return rt.context.get "x" end,
      context = { x = 1 } }
    local other = flow:with { name = "b", context = { x = 2 } }
    assert.equal("a", flow.name)
    assert.equal("b", other.name)
    assert.equal(flow.entry, other.entry)
    assert.equal(1, flow:run())
    assert.equal(2, other:run())
  end)

  it("keeps what is not given", function()
    local flow = rt.flow { name = "a", entry = function() return rt.context.get "x" end,
      context = { x = 1 } }
    assert.equal(1, flow:with { name = "b" }:run())
    assert.equal(5, flow:with { entry = function() return 5 end }:run())
  end)

  it("checks what it is given as rt.flow does", function()
    local flow = rt.flow { name = "a", entry = nothing }
    assert.matches("flow:with: expected a table", usage(flow.with, flow), 1, true)
    assert.matches("'nmae'", usage(flow.with, flow, { nmae = "b" }), 1, true)
    assert.matches("timeout", usage(flow.with, flow, { timeout = 0 }))
  end)
end)

describe("in the journal a flow", function()
  local folder, journal
  helper.each_in_folder(function(path, file) folder, journal = path, file end)

  local function record(text) return helper.record(folder, text) end

  it("run inside a run is a run of its own with its name, linked to the call that ran it",
    function()
      record [[
        local entry = rt.function_node("begin", function(x) return x end)
        rt.call(function() rt.flow{ name = "inner", entry = entry }:run(1) end)
      ]]
      assert.equal("inner|1|2", helper.sql(journal, [[
        SELECT child.name, child.calls, child.parent_call FROM runs child
        JOIN runs parent ON child.parent_run = parent.id]]))
      local inner = helper.recorded(journal, "@1")
      assert.equal("begin", inner.by_id["1"].node)
      assert.same({ 1 }, inner.by_id["1"].args)
      assert.equal(2, #helper.recorded(journal, "@2").calls)
    end)

  it("spawned is a call with its name, and a run linked to that", function()
    record [[
      local flow = rt.flow{ name = "inner", entry = function(x) return x + 1 end }
      flow:spawn(1):await()
    ]]
    local outer = helper.recorded(journal, "@2")
    assert.equal("inner", outer.by_id["1.1"].node)
    assert.same({ 1 }, outer.by_id["1.1"].args)
    assert.same({ 2 }, outer.by_id["1.1"].results)
    assert.equal("2", helper.sql(journal,
      "SELECT parent_call FROM runs WHERE parent_run IS NOT NULL"))
  end)

  it("cancelled with the task that runs it is a cancelled run", function()
    record [[
      local task = rt.flow{ name = "inner", entry = function() rt.sleep(3600) end }:spawn()
      rt.sleep(0)
      task:cancel()
    ]]
    assert.equal("inner|cancelled", helper.sql(journal,
      "SELECT name, status FROM runs WHERE parent_run IS NOT NULL"))
  end)

  it("whose entry keeps its arguments out is spawned by a call that does, too", function()
    record [[
      local entry = rt.function_node("secret", function() return "PASSWORD" end,
        { record = "none" })
      rt.flow{ name = "inner", entry = entry }:spawn("PASSWORD"):await()
    ]]
    assert.equal("0", helper.sql(journal, "SELECT count(*) FROM calls WHERE "
      .. "args LIKE '%PASSWORD%' OR results LIKE '%PASSWORD%'"))
  end)
end)
