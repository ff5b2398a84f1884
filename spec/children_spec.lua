local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleepy, sleeper = helper.in_run, helper.sleepy, helper.sleeper

describe("a call ends after its children", function()
  it("when its body has returned", function()
    local ended = 0
    rt.run(function()
      rt.call(function()
        for _ = 1, 3 do rt.spawn(function() rt.sleep(0) rt.sleep(0) ended = ended + 1 end) end
      end)
      assert.equal(3, ended)
    end)
  end)

  it("and after those that its children started", function()
    local ended = 0
    rt.run(function()
      rt.call(function()
        rt.spawn(function()
          rt.spawn(function()
            rt.spawn(function() rt.sleep(0) ended = ended + 1 end)
            ended = ended + 1
          end)
          ended = ended + 1
        end)
      end)
      assert.equal(3, ended)
    end)
  end)

  it("and keeps the results of its body", in_run(function()
    local function busy() rt.spawn(sleepy) return 1, nil, 3 end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.call(busy)))
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.spawn(busy):await()))
    assert.same({ 1, nil, 3, n = 3 }, table.pack(rt.run(busy)))
  end))

  it("when its body has failed: they are cancelled first", in_run(function()
    local value, child = {}, nil
    local ok, err = pcall(rt.call, function()
      child = rt.spawn(sleeper)
      rt.sleep(0)
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.equal("cancelled", child:status())
  end))

  it("when its body has failed: those not begun never begin", in_run(function()
    local ran = false
    pcall(rt.call, function()
      rt.spawn(function() ran = true end)
      error "no"
    end)
    assert.is_false(ran)
  end))

  it("and what their cleanup does when they are cancelled", in_run(function()
    local closed = false
    pcall(rt.call, function()
      rt.spawn(function()
        local guard <close> = setmetatable({}, { __close = function()
          closed = true
        end })
        assert(guard)
        rt.sleep(3600)
      end)
      rt.sleep(0)
      error "no"
    end)
    assert.is_true(closed)
  end))

  it("and a run after all of its calls", function()
    local ended = false
    rt.run(function() rt.spawn(function() rt.sleep(0.001) ended = true end) end)
    assert.is_true(ended)
  end)
end)
