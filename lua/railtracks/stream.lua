--- Bytes from and to another process or machine: what connections and the pipes of processes
--- have in common.
---
--- It is read only while somebody waits for it, so what nobody takes stays where it is, and
--- whoever sends it waits.

local check = require "railtracks.check"
local core = require "railtracks.core"
local new_buffer = require "railtracks.buffer"
local system = require "railtracks.system"

local LONGEST = 1 << 20 -- bytes of a line, unless said otherwise

local stream = {}

local Stream = {}
Stream.__index = Stream
Stream.__name = "railtracks.Stream"
stream.class = Stream

--- A stream of an open handle of luv's. Errors are of `kind`, and name it by `name`. One with
--- `one_way` set is closed when it has been read to its end.
function stream.new(handle, kind, name)
  return setmetatable({ handle = handle, kind = kind, name = name, buffer = new_buffer() }, Stream)
end

local function fail(self, what, err)
  system.fail(self.kind, what, err, self.name)
end

--- Whether it may be used for `what`. One that has ended, and is closed for that, can still be
--- read to its end.
local function check_open(self, what, reading)
  if type(self) ~= "table" or not self.buffer then
    check.usage("%s: expected a stream, got %s (a method wants a colon)", what, type(self))
  end
  if not self.handle and not (reading and self.ended) then
    check.usage("%s: it is closed: %s", what, self.name)
  end
end

-- Reading -------------------------------------------------------------------------------

--- Waits for more bytes and returns them; nil at the end.
local function more(self, what)
  if self.ended then return nil end
  if self.wake then check.usage("%s: another task is reading: %s", what, self.name) end
  local handle = self.handle
  local err, data = core.await(function(resume)
    self.wake = resume
    self.on_read = self.on_read or function(problem, bytes)
      handle:read_stop()
      local wake = self.wake
      self.wake = nil
      if wake(problem, bytes) then return end
      -- Who waited was cancelled, and does not know yet.
      if bytes then self.buffer:add(bytes) else self.ended = not problem end
    end
    local ok, problem = handle:read_start(self.on_read)
    if not ok then
      self.wake = nil
      resume(problem)
    end
    return function()
      self.wake = nil
      if self.handle then handle:read_stop() end
    end
  end)
  if err then fail(self, what, err) end
  if not data then
    self.ended = true
    if self.one_way then self:close() end
  end
  return data
end

--- What has come, at least one byte; with a number that many bytes, fewer only at the end;
--- with "a" all there will be. Nil at the end.
function Stream:read(how)
  check_open(self, "stream:read", true)
  core.may_wait "stream:read"
  local buffer, count = self.buffer, how
  if how == nil then return buffer:take_piece() or more(self, "stream:read") end
  if how == "a" then count = math.huge
  elseif math.type(how) ~= "integer" or how < 0 then
    check.usage("stream:read: argument 1: expected a number of bytes, 'a' or nothing, got %s",
      check.shown(how))
  end
  while buffer.size < count do
    local data = more(self, "stream:read")
    if not data then break end
    buffer:add(data)
  end
  if buffer.size == 0 and how ~= "a" and how > 0 then return nil end
  return buffer:take(math.min(count, buffer.size))
end

--- The next line without its end, which is a newline, or a carriage return and a newline; nil
--- at the end. One of more than `longest` bytes is an error.
function Stream:read_line(longest)
  check_open(self, "stream:read_line", true)
  core.may_wait "stream:read_line"
  local buffer = self.buffer
  longest = longest or LONGEST
  while true do
    local line, too_long = buffer:take_line(longest)
    if line then return line end
    if too_long then
      core.fail(self.kind, ("stream:read_line: a line of more than %s bytes: %s"):format(longest,
        self.name), { code = "too_large" })
    end
    if self.ended then
      if buffer.size == 0 then return nil end
      return buffer:take(buffer.size)
    end
    local data = more(self, "stream:read_line")
    if data then buffer:add(data) end
  end
end

--- The lines until the end: `for line in stream:lines() do`.
function Stream:lines(longest)
  check_open(self, "stream:lines", true)
  return function() return self:read_line(longest) end
end

-- Writing -------------------------------------------------------------------------------

--- Writes all of it; waits until the system has taken it.
function Stream:write(data)
  check_open(self, "stream:write")
  if type(data) ~= "string" then
    check.usage("stream:write: argument 1: expected a string, got %s", check.shown(data))
  end
  core.may_wait "stream:write"
  local handle = self.handle
  local written, problem, code = handle:try_write(data)
  if written == #data then return end
  if not written and code ~= "EAGAIN" then fail(self, "stream:write", problem) end
  if written and written > 0 then data = data:sub(written + 1) end
  local err = core.await(function(resume)
    local request, refused = handle:write(data, resume)
    if not request then resume(refused) end
  end)
  if err then fail(self, "stream:write", err) end
end

--- No more will be written; reading goes on.
function Stream:shutdown()
  check_open(self, "stream:shutdown")
  core.may_wait "stream:shutdown"
  local handle = self.handle
  local err = core.await(function(resume)
    local request, refused = handle:shutdown(resume)
    if not request then resume(refused) end
  end)
  if err and not err:find "^ENOTCONN" then fail(self, "stream:shutdown", err) end
end

--- Closes it, at once; whoever waits for it is told. Once more does nothing.
function Stream:close()
  local handle, wake = self.handle, self.wake
  if not handle then return end
  self.handle, self.wake = nil, nil
  if not handle:is_closing() then handle:close() end
  if wake then wake "ECANCELED" end
end

Stream.__close = Stream.close

function Stream:__tostring()
  return ("%s (%s)"):format(self.name, self.handle and "open" or "closed")
end

return stream
