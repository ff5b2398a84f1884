local rt = require "railtracks"
local helper = require "spec.helper"

describe("the types in lua/meta", function()
  local text = helper.read "lua/meta/railtracks.lua" .. helper.read "lua/meta/io.lua"

  local function is_there(name, value)
    if type(value) == "function" then return text:find("\nfunction " .. name .. "(", 1, true) end
    local field = name:match "[^.]+$"
    return text:find("\n" .. name .. " = ", 1, true)
      or text:find("\n---@field " .. field .. "%?? ")
  end

  it("are there for every function and table of rt", function()
    for name, value in pairs(rt) do
      assert.is_truthy(is_there("rt." .. name, value), "rt." .. name)
    end
  end)

  for _, module in ipairs { "context", "fs", "http", "json", "net", "process" } do
    it("are there for all of rt." .. module, function()
      for name, value in pairs(rt[module]) do
        local full = ("rt.%s.%s"):format(module, name)
        assert.is_truthy(is_there(full, value) or is_there(module .. "." .. name, value), full)
      end
    end)
  end

  it("are Lua", function()
    for _, name in ipairs { "railtracks", "io", "testing" } do
      assert.is_function(loadfile(("lua/meta/%s.lua"):format(name)))
    end
  end)
end)
