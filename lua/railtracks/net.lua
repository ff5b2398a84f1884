--- rt.net: connections of TCP and of sockets in the file system, to be made or to be taken.

local check = require "railtracks.check"
local core = require "railtracks.core"
local stream = require "railtracks.stream"
local system = require "railtracks.system"
local uv = require "railtracks.uv"

local BACKLOG = 511  -- connections the system holds until they are taken
local PAUSE = 0.1    -- seconds, where no descriptor is left for the next one

local net = {}

-- Addresses -----------------------------------------------------------------------------

--- "host:port", "[::1]:port", or the path of a socket.
local function text_of(address)
  if address.path then return address.path end
  local host = address.host
  return ("%s:%d"):format(host:find(":", 1, true) and "[" .. host .. "]" or host, address.port)
end

--- What is given to `what`: (host, port, options), or a table with all of it.
local function address_of(what, host, port, options, known)
  local d = {}
  if type(host) == "table" then
    check.options(what, host, known)
    for key, value in pairs(host) do d[key] = value end
  else
    if options ~= nil then
      check.options(what, options, known)
      for key, value in pairs(options) do d[key] = value end
    end
    d.host, d.port = host, port
  end
  if d.path ~= nil then
    system.check_text(what, "path", d.path)
    if d.host ~= nil or d.port ~= nil then
      check.usage("%s: expected a path, or a host and a port, got both", what)
    end
    if #d.path > 107 then -- what the system's address holds
      check.usage("%s: path: expected at most 107 bytes, got %d", what, #d.path)
    end
    return d
  end
  if d.host ~= nil or what == "net.connect" then system.check_text(what, "host", d.host) end
  local number = math.tointeger(d.port)
  if type(d.port) ~= "number" or not number or number < 0 or number > 65535 then
    check.usage("%s: port: expected a number up to 65535, got %s", what, check.shown(d.port))
  end
  d.port = number
  return d
end

local function fail(what, err, where, path)
  system.fail("net", what, err, where, { path = path })
end

--- The addresses of a host, in the order in which they are to be tried.
local function resolve(what, host, where)
  if host:find "^%d+%.%d+%.%d+%.%d+$" or host:find(":", 1, true) then return { host } end
  local err, found = system.request(nil, function(callback)
    return uv.getaddrinfo(host, nil, { socktype = "stream" }, callback)
  end)
  if err then fail(what, err, where) end
  local addresses, seen = {}, {}
  for _, address in ipairs(found) do
    if not seen[address.addr] then addresses[#addresses + 1] = address.addr end
    seen[address.addr] = true
  end
  return addresses
end

-- Connections ---------------------------------------------------------------------------

--- Tells who is at the other end: host and port, or the path.
local function connection(handle, where, name)
  local self = stream.new(handle, "net", name or text_of(where))
  self.host, self.port, self.path = where.host, where.port, where.path
  return self
end

--- Calls fn(callback) for a handle that is to be connected; the error, nil if there is none. The
--- handle is closed if there is one, also when the wait is cancelled.
local function try(handle, fn)
  local guard = system.closing { close = function(self)
    if not self.connected then handle:close() end
  end }
  local _ <close> = guard
  local err = core.await(function(resume)
    local request, refused = fn(resume)
    if not request then resume(refused) end
  end)
  guard.connected = not err
  return err
end

--- TLS on a handle that has been connected to one of the host's addresses.
local function secure(handle, address, d, where)
  local secured, problem = require "railtracks.tls"(handle, address, {
    host = d.host, port = d.port, ca = d.ca, insecure = d.insecure })
  if secured then return secured end
  core.fail("net", ("net.connect: %s: %s"):format(problem, where), { code = "tls" })
end

local function connect(d)
  local where = text_of(d)
  if d.path then
    local handle = uv.new_pipe(false)
    local err = try(handle, function(callback) return handle:connect(d.path, callback) end)
    if err then fail("net.connect", err, where, d.path) end
    return connection(handle, d)
  end
  local err
  for _, host in ipairs(resolve("net.connect", d.host, where)) do
    local handle = uv.new_tcp()
    err = try(handle, function(callback) return handle:connect(host, d.port, callback) end)
    if not err then
      if d.nodelay ~= false then handle:nodelay(true) end
      if d.tls then handle = secure(handle, host, d, where) end
      return connection(handle, { host = host, port = d.port }, where)
    end
  end
  fail("net.connect", err or "EAI_NONAME", where)
end

local connect_options = {
  ca = true, host = true, insecure = true, nodelay = true, path = true, port = true,
  timeout = true, tls = true,
}

--- Connects to a host and port, or to the path of a socket.
function net.connect(host, port, options)
  local d = address_of("net.connect", host, port, options, connect_options)
  if d.timeout ~= nil then check.timeout("net.connect", d.timeout) end
  if d.ca ~= nil then system.check_text("net.connect", "ca", d.ca) end
  if d.path and d.tls then check.usage("net.connect: tls wants a host and a port") end
  local made
  local node = core.node("net.connect", function()
    made = connect(d)
  end)
  -- A deadline that passes when it is there already leaves nobody who has it.
  local guard = system.closing { close = function(self)
    if made and not self.taken then made:close() end
  end }
  local _ <close> = guard
  if d.timeout then core.timeout(d.timeout, node, text_of(d))
  else core.call(node, text_of(d)) end
  guard.taken = true
  return made
end

-- Listening -----------------------------------------------------------------------------

local Listener = {}
Listener.__index = Listener
Listener.__name = "railtracks.Listener"

local function check_listener(self, what)
  if getmetatable(self) ~= Listener then
    check.usage("%s: expected a Listener, got %s (a method wants a colon)", what, type(self))
  end
end

--- Who is at the other end of a handle.
local function peer_of(handle, path)
  local peer = not path and handle:getpeername()
  if not peer then return { path = path or "" } end
  return { host = peer.ip, port = peer.port }
end

local function take(self)
  local handle = self.path and uv.new_pipe(false) or uv.new_tcp()
  local ok, err = self.handle:accept(handle)
  if not ok then
    handle:close()
    return nil, err
  end
  if not self.path and self.nodelay ~= false then handle:nodelay(true) end
  return connection(handle, peer_of(handle, self.path))
end

--- Waits for the next connection; nil once it is closed.
function Listener:accept()
  check_listener(self, "listener:accept")
  core.may_wait "listener:accept"
  if self.wake then check.usage("listener:accept: another task is waiting: %s", self.name) end
  while self.handle do
    if self.pending > 0 then
      self.pending = self.pending - 1
      local made, err = take(self)
      if made then return made end
      -- It may have gone meanwhile; or there is no room for it.
      if err:find "^E[MN]FILE" then core.sleep(PAUSE)
      elseif not err:find "^EAGAIN" and not err:find "^ECONNABORTED" then
        fail("listener:accept", err, self.name)
      end
    else
      core.await(function(resume)
        self.wake = resume
        return function() self.wake = nil end
      end)
      self.wake = nil
    end
  end
  return nil
end

--- `for connection in listener:connections() do`.
function Listener:connections()
  check_listener(self, "listener:connections")
  return function() return self:accept() end
end

--- Takes no more connections, at once; those taken stay. Once more does nothing.
function Listener:close()
  check_listener(self, "listener:close")
  local handle = self.handle
  if not handle then return end
  self.handle = nil
  handle:close()
  if self.wake then self.wake() end
end

Listener.__close = Listener.close

function Listener:__tostring()
  return ("Listener %s (%s)"):format(self.name, self.handle and "open" or "closed")
end

local function listen(d)
  local handle = d.path and uv.new_pipe(false) or uv.new_tcp()
  local ok, err
  if d.path then ok, err = handle:bind(d.path)
  else ok, err = handle:bind(d.address, d.port) end
  local self = setmetatable({ handle = handle, pending = 0, path = d.path, nodelay = d.nodelay },
    Listener)
  if ok then
    ok, err = handle:listen(d.backlog or BACKLOG, function()
      self.pending = self.pending + 1
      if self.wake then self.wake() end
    end)
  end
  if not ok then
    handle:close()
    fail("net.listen", err, text_of(d), d.path)
  end
  local bound = not d.path and handle:getsockname()
  if bound then self.host, self.port = bound.ip, bound.port end
  self.name = text_of(self)
  return self
end

--- The listener's task: each connection is a call below it, which has it closed when it ends. One
--- that fails is told of, and does not end the others.
local function serve(self, handler)
  local own <close> = self
  local waiting = {} -- connections whose calls have not begun, and may be cancelled before
  local _ <close> = system.closing { close = function()
    for made in pairs(waiting) do made:close() end
  end }
  for made in own:connections() do
    waiting[made] = true
    local node = core.node("net connection", function()
      waiting[made] = nil
      local taken <close> = made
      return handler(taken)
    end)
    core.let_alone(core.spawn(node, made.name))
  end
end

local listen_options = {
  backlog = true, host = true, nodelay = true, path = true, port = true,
}

--- Listens on a host's port (0: one that is free), or at a path. With a handler it is a task of
--- the current call, which calls handler(connection) for each.
function net.listen(host, port, options, handler)
  if type(host) == "table" then port, options, handler = nil, nil, port
  elseif handler == nil and (type(options) == "function" or core.is_node(options)) then
    options, handler = nil, options
  end
  local d = address_of("net.listen", host, port, options, listen_options)
  if handler ~= nil then check.callable("net.listen: the handler", handler) end
  core.may_wait "net.listen"
  d.host = d.host or "127.0.0.1"
  if not d.path then d.address = resolve("net.listen", d.host, text_of(d))[1] end
  local self = listen(d)
  if not handler then return self end
  local taken, wake
  -- Cancelled before it has begun, the task would not close it.
  local _ <close> = system.closing { close = function() if not taken then self:close() end end }
  self.task = core.spawn(core.node("net.listen", function()
    taken = true
    if wake then wake() end
    serve(self, handler)
  end), self.name)
  core.await(function(resume) wake = resume end)
  return self
end

return net
