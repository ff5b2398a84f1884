local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run

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

  describe("outside a run", function()
    local function failing() error({}, 0) end

    it("knows the last failure that rt.run has raised", function()
      local _, err = pcall(rt.run, function() rt.call(failing) end)
      local text = rt.traceback(err)
      assert.matches("^stack traceback:\n.*in call 1%.1 .*in call 1 ", text)
      rt.run(function() end)
      assert.equal(text, rt.traceback(err))
      local _, other = pcall(rt.run, failing)
      assert.is_nil(rt.traceback(err))
      assert.is_string(rt.traceback(other))
    end)

    it("is nil for any other value", function()
      pcall(rt.run, failing)
      assert.is_nil(rt.traceback({}))
      assert.is_nil(rt.traceback("no such"))
      assert.is_nil(rt.traceback(nil))
    end)

    it("knows what rt.flow and a nested run have passed on", function()
      local _, err = pcall(rt.run, function() rt.run(failing) end)
      assert.is_string(rt.traceback(err))
      local flow = rt.flow { name = "flow", entry = failing }
      _, err = pcall(flow.run, flow)
      assert.is_string(rt.traceback(err))
    end)

    it("does not reach into a run", function()
      local _, err = pcall(rt.run, failing)
      assert.is_nil(rt.run(function() return rt.traceback(err) end))
    end)
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
      "traceback_spec.lua:" .. leaf_line, "in call 1.1.1.1 (leaf)",
      "traceback_spec.lua:" .. middle_line, "in call 1.1.1 (middle)",
      "traceback_spec.lua:" .. top_line, "in call 1.1 (top)",
      "traceback_spec.lua:" .. root_line, "in call 1 (root)",
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
    assert.matches("in call 1.1.1 %(leaf%), spawned at [^\n]*traceback_spec.lua:" .. line,
      rt.traceback(err))
    assert.matches("in call 1.1 %([^\n]*traceback_spec.lua:%d+%), "
      .. "called at [^\n]*traceback_spec.lua:%d+", rt.traceback(err))
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
        assert.is_true(line:find "traceback_spec.lua" ~= nil
          or line:find "%[C%]: in [^\n]*'error'" ~= nil
          or line:find "%[C%]: in [^\n]*'x?pcall'" ~= nil, line)
      end
    end
  end))

  it("leaves the frames of railtracks' own Lua files out", in_run(function()
    local _, err = pcall(rt.call, function() rt.function_node("") end)
    assert.is_nil(rt.traceback(err):find("railtracks:", 1, true))
    assert.matches("traceback_spec.lua", rt.traceback(err), 1, true)
  end))

  it("tells a Lua error's own place", in_run(function()
    local line
    local _, err = pcall(rt.call, function()
      line = here() + 1
      local x = nil + 1
      return x
    end)
    assert.matches("traceback_spec.lua:" .. line .. ": in", rt.traceback(err), 1, true)
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

  it("has no frames for a call that did not begin", in_run(function()
    local strict = rt.function_node("strict", function() end, {
      params = { { name = "text", type = "string" } },
    })
    local _, err = pcall(rt.call, strict, 1)
    assert.matches("^stack traceback:\n  in call %S+ %(strict%)", rt.traceback(err))
  end))

  it("is known after collections", in_run(function()
    local _, err = pcall(rt.call, function() error {} end)
    collectgarbage()
    collectgarbage()
    assert.matches("traceback_spec.lua", rt.traceback(err), 1, true)
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
