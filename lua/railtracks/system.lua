--- What rt.fs, rt.process and rt.net have in common: errors of the system, and waiting for
--- what libuv does.

local check = require "railtracks.check"
local core = require "railtracks.core"
local uv = require "railtracks.uv"

local system = {}

-- Errors --------------------------------------------------------------------------------

--- The code of an error of luv's ("ENOENT: no such file or directory: /there", or a code
--- alone) or of libcurl's ("tls: ..."), and what it says.
local function read_error(err)
  local code, rest = err:match "^(%u[%u%d_]+)(.*)$"
  if not code then return err:match "^(tls): " or "unknown", (err:gsub("^tls: ", "")) end
  if rest == "" then return code, core.error_message(code) end
  return code, rest:match "^: ([^:]*)" or err
end

--- Raises what luv has said as an error of the engine's: "fs.read: no such file or directory:
--- /there", with `code` and what else is known of it.
function system.fail(kind, what, err, where, fields)
  local code, text = read_error(err)
  fields = fields or {}
  fields.code = code
  core.fail(kind, ("%s: %s%s"):format(what, text, where and ": " .. where or ""), fields)
end

-- Waiting -------------------------------------------------------------------------------

local closing = {}
closing.__close = function(guard) guard:close() end

--- What is to be closed by calling `close`.
function system.closing(guard)
  return setmetatable(guard, closing)
end

local request = { __close = nil }
request.__index = request

--- Nobody waits for it any more. It cannot be stopped once a thread has begun with it, and
--- until it has ended what it uses must stay as it is.
function request:__close()
  if not self.busy then return end
  uv.cancel(self.handle)
  core.await(function(resume) self.wake = resume end)
end

--- Calls the function of luv with these arguments and a callback, and returns what that is
--- given: an error, or nil and a value. When the wait is cancelled `dispose` is called with
--- the value that nobody takes.
function system.request(dispose, fn, ...)
  local self <close> = setmetatable({ busy = false }, request)
  local args = table.pack(...)
  return core.await(function(resume)
    args[args.n + 1] = function(err, value)
      self.busy = false
      if not resume(err, value) and not err and dispose then dispose(value) end
      if self.wake then self.wake() end
    end
    local handle, problem = fn(table.unpack(args, 1, args.n + 1))
    if handle then self.handle, self.busy = handle, true
    else resume(problem) end
  end)
end

-- Arguments -----------------------------------------------------------------------------

--- A text for C, in which a zero byte would be the end.
function system.check_text(what, name, value)
  if type(value) ~= "string" then
    check.usage("%s: %s: expected a string, got %s", what, name, check.shown(value))
  end
  if value:find("\0", 1, true) then
    check.usage("%s: %s: expected a string without zero bytes", what, name)
  end
  return value
end

return system
