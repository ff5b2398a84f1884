local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy = helper.in_run, helper.sleepy

describe("coroutine.yield outside a coroutine inside a task", function()
  local yield = coroutine.yield

  it("raises an error that says what it is", in_run(function()
    local ok, err = pcall(yield, 1, 2, 3)
    assert.is_false(ok)
    assert.matches("coroutine.yield", tostring(err), 1, true)
  end))

  it("fails the call where nobody catches it", in_run(function()
    local ok, err = pcall(rt.call, function() yield() end)
    assert.is_false(ok)
    assert.matches("coroutine.yield", tostring(err), 1, true)
  end))

  it("fails the run where nobody catches it", function()
    local ok, err = pcall(rt.run, function() yield() end)
    assert.is_false(ok)
    assert.matches("coroutine.yield", tostring(err), 1, true)
  end)

  it("fails a spawned call alone", in_run(function()
    local bad, good = rt.spawn(yield, 1), rt.spawn(sleepy, 5)
    assert.is_false(rt.settle { bad }[1].ok)
    assert.equal(5, good:await())
  end))

  it("leaves the task able to wait afterwards", in_run(function()
    for _ = 1, 100 do
      pcall(yield)
      rt.sleep(0)
      assert.equal(1, rt.call(sleepy, 1))
    end
  end))

  it("is found below a call too", in_run(function()
    local function down(n)
      if n == 0 then return yield() end
      return (rt.call(down, n - 1))
    end
    for n = 1, 20 do
      local ok, err = pcall(down, n)
      assert.is_false(ok)
      assert.matches("coroutine.yield", tostring(err), 1, true)
    end
  end))
end)

describe("a coroutine inside a task", function()
  it("yields to the one who resumed it", in_run(function()
    local generate = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
    assert.same({ 1, 2, 3 }, { generate(), generate(), generate() })
  end))

  it("may outlive a wait of the task", in_run(function()
    local generate = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
    local got = {}
    for i in generate do
      got[#got + 1] = i
      rt.sleep(0)
      rt.call(sleepy)
    end
    assert.same({ 1, 2, 3 }, got)
  end))
end)
