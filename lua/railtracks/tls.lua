--- TLS for connections: a handle that a stream can read from and write to as from luv's, with
--- libcurl between it and the socket.

local core = require "railtracks.core"
local uv = require "railtracks.uv"

local Handle = {}
Handle.__index = Handle

--- Waits for what the session wants of the socket: whether it can be read, or written.
local function wait_for(poll, reading, writing, seconds)
  local timer
  local function stop()
    poll:stop()
    if timer then timer:close() end
  end
  local events = core.await(function(resume)
    local wanted = (reading and "r" or "") .. (writing and "w" or "")
    if wanted ~= "" then
      -- An error of the socket is found where it is used.
      poll:start(wanted, function(err, how) resume(err and wanted or how) end)
    end
    if seconds then
      timer = uv.new_timer()
      timer:start(math.ceil(seconds * 1000), 0, function() resume "" end)
    end
    return stop
  end)
  stop()
  return events:find "r" ~= nil, events:find "w" ~= nil
end

--- What is called when the socket can be read or written.
local function pump(self)
  local session = self.session
  local waiting = self.waiting[1]
  while waiting do
    local sent, problem = session:send(waiting.data)
    if sent == nil then break end
    if sent and sent < #waiting.data then
      waiting.data = waiting.data:sub(sent + 1)
    else
      table.remove(self.waiting, 1)
      waiting.done(not sent and "tls: " .. problem or nil)
    end
    waiting = self.waiting[1]
  end
  while self.on_read do
    local data, problem = session:receive()
    if data == nil then break end
    if data == "" then data = false end
    self.on_read(problem and "tls: " .. problem, data or nil)
  end
end

--- Has it called when that is wanted.
local function watch(self)
  if not self.session then return end
  local wanted = (self.on_read and "r" or "") .. (self.waiting[1] and "w" or "")
  if wanted == self.wanted then return end
  self.wanted = wanted
  if wanted == "" then self.poll:stop()
  else
    self.poll:start(wanted, function()
      pump(self)
      watch(self)
    end)
  end
end

function Handle:read_start(on_read)
  self.on_read = on_read
  pump(self) -- what has come may be decoded already, and the socket empty
  watch(self)
  return 0
end

function Handle:read_stop()
  self.on_read = nil
  watch(self)
end

function Handle:try_write(data)
  if data == "" then return 0 end
  if self.waiting[1] then return nil, "EAGAIN", "EAGAIN" end
  local sent, problem = self.session:send(data)
  if sent then return sent end
  if sent == false then return nil, "tls: " .. problem, "tls" end
  return nil, "EAGAIN", "EAGAIN"
end

function Handle:write(data, done)
  self.waiting[#self.waiting + 1] = { data = data, done = done }
  watch(self)
  return true
end

--- libcurl has no way to end one direction.
function Handle.shutdown() return nil, "ENOTSUP" end

function Handle:is_closing() return self.session == nil end

function Handle:close()
  local session = self.session
  self.session, self.on_read = nil, nil
  self.poll:close()
  session:close()
  for _, waiting in ipairs(self.waiting) do waiting.done "ECANCELED" end
  self.waiting = {}
end

--- Speaks TLS on a connected handle of luv's, which is closed: the handle to be used in its place,
--- or nil and why there is none. `d` has host, port, and the options ca and insecure.
return function(tcp, address, d)
  local literal = d.host:find ":" and "[" .. d.host .. "]" or d.host
  local session, fd = core.tls(tcp:fileno(), ("https://%s:%d/"):format(literal, d.port),
    ("%s:%d:%s"):format(d.host, d.port, address), d.ca, d.insecure)
  tcp:close()
  local poll = uv.new_poll(fd)
  local self = setmetatable({ session = session, poll = poll, waiting = {}, wanted = "" }, Handle)
  local guard <close> = setmetatable({}, { __close = function(guard)
    if not guard.done then self:close() end
  end })
  local readable, writable = false, false
  while true do
    local ok, reading, writing, seconds = session:step(readable, writable)
    if ok then break end
    if ok == false then return nil, reading end
    readable, writable = wait_for(poll, reading, writing, seconds)
  end
  guard.done = true
  return self
end
