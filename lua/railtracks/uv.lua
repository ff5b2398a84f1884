--- rt.uv: luv on the engine's loop. Also what `require "luv"` gives.

local check = require "railtracks.check"
local core = require "railtracks.core"

local path, tried = package.searchpath("luv", package.cpath)
if not path then
  check.usage("rt.uv: there is no luv (on Debian it is in the package lua-luv):\n\t%s", tried)
end
local uv = core.open_uv(path)
core.guard_uv(uv)

--- What a thread runs, which has a Lua of its own: luv would end the process on an error.
local function in_thread(code, ...)
  local ok, err = xpcall(load(code, "=?", "b"), debug.traceback, ...)
  if not ok then
    io.stderr:write("railtracks: error: a thread of rt.uv failed: ", tostring(err), "\n")
  end
end

local new_thread = uv.new_thread

function uv.new_thread(options, ...)
  local args = table.pack(options, ...)
  local at = type(options) == "table" and 2 or 1
  local entry = args[at]
  if type(entry) == "function" then args[at] = string.dump(entry)
  elseif type(entry) ~= "string" then
    check.usage("rt.uv.new_thread: argument %d: expected a function, got %s", at, type(entry))
  end
  table.insert(args, at, in_thread)
  return new_thread(table.unpack(args, 1, args.n + 1))
end

package.loaded.luv = uv
return uv
