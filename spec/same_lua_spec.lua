--- pcall, xpcall and coroutine.* beside those that Lua has itself, in rt.raw.

local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, closing = helper.in_run, helper.closing

--- Each uses `lua.pcall`, `lua.xpcall` and `lua.coroutine` only.
local programs = {
  ["values through resume and yield"] = function(lua)
    local co = lua.coroutine.create(function(...)
      local got = table.pack(lua.coroutine.yield(...))
      return got.n, table.unpack(got, 1, got.n)
    end)
    return lua.coroutine.resume(co, 1, nil), lua.coroutine.resume(co, nil, 2, nil)
  end,
  ["values at a start"] = function(lua)
    return lua.coroutine.wrap(function(...) return select("#", ...), ... end)(nil, 1, nil)
  end,
  ["an error in a coroutine"] = function(lua)
    local co = lua.coroutine.create(function() error "x" end)
    local ok, err = lua.coroutine.resume(co)
    return ok, err, lua.coroutine.status(co), lua.coroutine.resume(co)
  end,
  ["a table as an error"] = function(lua)
    local e = setmetatable({}, { __tostring = function() return "E" end })
    local _, err = lua.pcall(lua.coroutine.wrap(function() error(e) end))
    return err == e
  end,
  ["nil as an error"] = function(lua)
    return lua.pcall(error), lua.coroutine.resume(lua.coroutine.create(error))
  end,
  ["a dead one"] = function(lua)
    local step = lua.coroutine.wrap(function() end)
    step()
    return lua.pcall(step)
  end,
  ["one that resumes itself"] = function(lua)
    local co
    co = lua.coroutine.create(function() return lua.coroutine.resume(co) end)
    return lua.coroutine.resume(co)
  end,
  ["one that resumes who resumed it"] = function(lua)
    local outer
    outer = lua.coroutine.create(function()
      return lua.coroutine.wrap(function()
        return lua.coroutine.status(outer), lua.coroutine.resume(outer)
      end)()
    end)
    return lua.coroutine.resume(outer)
  end,
  ["close of one that waits"] = function(lua)
    local log = ""
    local co = lua.coroutine.create(function()
      local _ <close> = closing(function(_, e) log = log .. "1" .. tostring(e) end)
      lua.coroutine.yield()
    end)
    lua.coroutine.resume(co)
    return lua.coroutine.close(co), lua.coroutine.status(co), #log > 0
  end,
  ["close with an error in __close"] = function(lua)
    local co = lua.coroutine.create(function()
      local _ <close> = closing(function() error("in close", 0) end)
      lua.coroutine.yield()
    end)
    lua.coroutine.resume(co)
    return lua.coroutine.close(co)
  end,
  ["yield in __close of one that fails"] = function(lua)
    local tried
    local step = lua.coroutine.wrap(function()
      local _ <close> = closing(function(_, e)
        tried = table.pack(e, lua.coroutine.isyieldable(), lua.pcall(lua.coroutine.yield, "out"))
      end)
      error({}, 0)
    end)
    local ok, err = lua.pcall(step)
    return ok, err == tried[1], table.unpack(tried, 2, tried.n)
  end,
  ["yield in __close of one that fails, not caught"] = function(lua)
    local log = ""
    local step = lua.coroutine.wrap(function()
      local _ <close> = closing(function(_, e) log = log .. "2" .. e end)
      local _ <close> = closing(function(_, e)
        log = log .. "1" .. e
        lua.coroutine.yield "out"
      end)
      error("x", 0)
    end)
    return (lua.pcall(step)), log, (lua.pcall(step))
  end,
  ["yield in __close of one that is closed"] = function(lua)
    local log = ""
    local co = lua.coroutine.create(function()
      local _ <close> = closing(function(_, e) log = log .. "2" .. tostring(e) end)
      local _ <close> = closing(function(_, e)
        log = log .. "1" .. tostring(e)
        lua.coroutine.yield "out"
      end)
      lua.coroutine.yield()
    end)
    lua.coroutine.resume(co)
    local ok, err = lua.coroutine.close(co)
    return ok, err, log, lua.coroutine.status(co)
  end,
  ["yield after load has caught what its reader raised"] = function(lua)
    local co = lua.coroutine.wrap(function()
      local _ <close> = closing(function() lua.coroutine.yield "closing" end)
      lua.coroutine.yield((select(2, load(function() error("x", 0) end))))
      return "over"
    end)
    return co(), co(), co()
  end,
  ["yield in __close under a pcall of the coroutine's"] = function(lua)
    local co = lua.coroutine.wrap(function()
      return lua.pcall(function()
        local _ <close> = closing(function(_, e)
          lua.coroutine.yield(e .. " out", lua.coroutine.isyieldable())
        end)
        error("x", 0)
      end)
    end)
    local seen, yieldable = co()
    return seen, yieldable, co()
  end,
  ["yield in __close of one that returns"] = function(lua)
    local co = lua.coroutine.wrap(function()
      local _ <close> = closing(function() lua.coroutine.yield "out" end)
      return "over"
    end)
    return co(), co()
  end,
  ["yield of one that is resumed in __close"] = function(lua)
    local got
    local step = lua.coroutine.wrap(function()
      local _ <close> = closing(function()
        local inner = lua.coroutine.wrap(function()
          lua.pcall(function()
            local _ <close> = closing(function() lua.coroutine.yield "first" end)
            error "x"
          end)
          lua.coroutine.yield "second"
        end)
        got = inner() .. inner()
      end)
      error("x", 0)
    end)
    return (lua.pcall(step)), got
  end,
  ["close of one that has failed, of a new one, of a dead one"] = function(lua)
    local failed = lua.coroutine.create(function() error("x", 0) end)
    local new, dead = lua.coroutine.create(print), lua.coroutine.create(function() end)
    lua.coroutine.resume(failed)
    lua.coroutine.resume(dead)
    return (lua.coroutine.close(new)), lua.coroutine.status(new), lua.coroutine.close(dead),
      (lua.coroutine.close(failed)), lua.coroutine.status(failed)
  end,
  ["close of oneself"] = function(lua)
    return lua.pcall(function()
      return lua.coroutine.wrap(function()
        return lua.pcall(lua.coroutine.close, (lua.coroutine.running()))
      end)()
    end)
  end,
  ["pcall of what is no function"] = function(lua)
    return lua.pcall(1), lua.pcall(nil), lua.pcall({})
  end,
  ["pcall of nothing"] = function(lua) return lua.pcall(lua.pcall) end,
  ["pcall with many values"] = function(lua) return lua.pcall(select, 2, nil, 1, nil) end,
  ["xpcall and its handler"] = function(lua)
    return lua.xpcall(error, function(m) return m .. "!", 2 end, "m"),
      lua.xpcall(function(...) return ... end, print, nil, 2, nil)
  end,
  ["xpcall whose handler fails"] = function(lua)
    return (lua.xpcall(error, function() error "again" end, "m"))
  end,
  ["xpcall without a handler"] = function(lua) return lua.pcall(lua.xpcall, print) end,
  ["wrap and create of what is no function"] = function(lua)
    return lua.pcall(lua.coroutine.wrap, 1), lua.pcall(lua.coroutine.create, {})
  end,
  ["a deep recursion"] = function(lua)
    local function down() return 1 + down() end
    local ok, err = lua.pcall(down)
    return ok, err:find "stack overflow" ~= nil
  end,
  ["yield across pcall"] = function(lua)
    local co = lua.coroutine.wrap(function()
      local ok, err = lua.pcall(function()
        lua.coroutine.yield "out"
        error("after", 0)
      end)
      return ok, err
    end)
    return co(), co()
  end,
  ["yield across a C function"] = function(lua)
    local co = lua.coroutine.create(function()
      table.sort({ 2, 1 }, function() lua.coroutine.yield() end)
    end)
    return lua.coroutine.resume(co)
  end,
}

--- What `program` returns with the functions of `lua`. Lua tells an argument's function by its
--- name in package.loaded, where those in rt.raw are no more.
local function outcome(program, lua)
  local got = table.pack(program(lua))
  for i = 1, got.n do
    if type(got[i]) == "string" then got[i] = got[i]:gsub("(bad argument #%d to )'.-'", "%1'?'") end
  end
  return got
end

local ours = { pcall = pcall, xpcall = xpcall, coroutine = coroutine }

describe("it is as with Lua's own functions:", function()
  for name, program in pairs(programs) do
    it(name .. ", outside of tasks", function()
      assert.same(outcome(program, rt.raw), outcome(program, ours))
    end)

    it(name .. ", in a task", in_run(function()
      assert.same(outcome(program, rt.raw), outcome(program, ours))
    end))
  end

  it("messages name them as Lua does", function()
    assert.matches("to 'pcall'", select(2, pcall(pcall)), 1, true)
    assert.matches("to 'xpcall'", select(2, pcall(xpcall)), 1, true)
    assert.matches("to 'coroutine.create'", select(2, pcall(coroutine.create)), 1, true)
  end)

  it("a wrapped coroutine's string error gets a place in front, but not in tasks", function()
    local function failing(lua)
      return select(2, lua.pcall(lua.coroutine.wrap(function() error("mine", 0) end)))
    end
    assert.equal(failing(rt.raw), failing(ours))
    assert.equal("mine", rt.run(failing, ours))
  end)
end)
