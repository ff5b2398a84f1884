--- rt.http: requests by libcurl on the engine's loop.
---
--- Each is a call, named "http GET host/path". What is recorded of it is what was asked for and
--- what came back, without bodies and secrets.

local check = require "railtracks.check"
local core = require "railtracks.core"
local new_events = require "railtracks.events"
local system = require "railtracks.system"
local url_of = require "railtracks.url"

local MAX_BODY = 64 << 20  -- bytes of a body that is not streamed, unless said otherwise
local SHOWN = 2000         -- bytes of a body that an error shows
local REDIRECTS = 10

local http = {}

-- Headers ---------------------------------------------------------------------------------

local headers_class = { __name = "railtracks.Headers" }

--- By name, in whatever case.
function headers_class:__index(name)
  return type(name) == "string" and rawget(self, name:lower()) or nil
end

--- The headers of a response: values of the same name with a comma between them, cookies with
--- a newline.
local function read_headers(lines)
  local headers = {}
  for line in lines:gmatch "[^\r\n]+" do
    local colon = line:find(":", 1, true)
    local name = colon and line:sub(1, colon - 1):lower() or ""
    local value = colon and line:match("^[ \t]*(.*)$", colon + 1) or ""
    if value:find "[ \t]$" then value = value:match "^(.-)[ \t]*$" end
    local before = headers[name]
    local between = name == "set-cookie" and "\n" or ", "
    if colon then headers[name] = before and before .. between .. value or value end
  end
  return setmetatable(headers, headers_class)
end

local secret_words = { "authorization", "cookie", "token", "secret", "password", "api[-_]?key",
  "apikey", "signature", "credential" }

local known_secrets, known_count = {}, 0

--- Whether what is called so must not be written down.
local function is_secret(name)
  local secret = known_secrets[name]
  if secret == nil then
    local lower = name:lower()
    secret = lower == "key" or lower:find "[-_]key$" ~= nil
    for _, word in ipairs(secret_words) do secret = secret or lower:find(word) ~= nil end
    if known_count >= 1000 then known_secrets, known_count = {}, 0 end
    known_secrets[name], known_count = secret, known_count + 1
  end
  return secret
end

-- What is given ---------------------------------------------------------------------------

local known = {
  auth = true, body = true, ca = true, connect_timeout = true, follow = true, headers = true,
  http2 = true, idle_timeout = true, insecure = true, json = true, max_body = true,
  method = true, proxy = true, query = true, raise_for_status = true, record = true,
  timeout = true, url = true,
}

local function expect(what, name, fine, expected, value)
  if not fine then
    check.usage("%s: %s: expected %s, got %s", what, name, expected, check.shown(value))
  end
end

local function check_text(what, name, value, expected)
  expect(what, name, type(value) == "string" and not value:find "[\r\n\0]",
    expected or "a string without line ends", value)
  return value
end

local function check_seconds(what, options, name)
  local value = options[name]
  if value == nil then return nil end
  expect(what, name, type(value) == "number" and value > 0, "a number of seconds above 0", value)
  return value < math.huge and value or nil
end

local function is_header(name) return name:find "^[%w!#$%%&'*+%-.^_`|~]+$" end

--- The header lines, and the same as they may be seen by others.
local function header_lines(what, given, lines, seen)
  if given == nil then return end
  local each = check.named_values(what .. ": headers", given, is_header, "names of headers")
  for name, value in each do
    if type(value) == "number" then value = tostring(value) end
    check_text(what, ("headers['%s']"):format(name), value)
    lines[#lines + 1] = value == "" and name .. ";" or name .. ": " .. value
    seen[name:lower()] = is_secret(name) and "[hidden]" or value
  end
end

--- Adds a header unless one of that name is there.
local function add_header(lines, seen, name, value)
  if seen[name:lower()] then return end
  lines[#lines + 1] = name .. ": " .. value
  seen[name:lower()] = is_secret(name) and "[hidden]" or value
end

local function set_auth(what, auth, native, lines, seen)
  if auth == nil then return end
  if type(auth) == "table" and auth.bearer ~= nil then
    add_header(lines, seen, "Authorization", "Bearer " ..
      check_text(what, "auth.bearer", auth.bearer))
  elseif type(auth) == "table" then
    local user = check_text(what, "auth[1]", auth.user or auth[1])
    expect(what, "auth[1]", not user:find(":", 1, true), "a name without a colon", user)
    native.user = user .. ":" .. check_text(what, "auth[2]", auth.password or auth[2])
  else
    native.user = check_text(what, "auth", auth, "'name:password', a table of both, " ..
      "or { bearer = token }")
  end
end

--- The body: a text, a function that gives it piece by piece, or { file = path }.
local function set_body(what, options, native, lines, seen)
  local body, json = options.body, options.json
  if json ~= nil then
    expect(what, "json", body == nil, "no body beside it", body)
    native.body = require "railtracks.json".encode(json)
    add_header(lines, seen, "Content-Type", "application/json")
    add_header(lines, seen, "Accept", "application/json")
  elseif type(body) == "function" then
    native.upload = true
    return body
  elseif type(body) == "table" then
    native.file = system.check_text(what, "body.file", body.file)
  elseif body ~= nil then
    expect(what, "body", type(body) == "string", "a string, a function or { file = path }", body)
    native.body = body
  elseif native.method == "POST" or native.method == "PUT" or native.method == "PATCH" then
    native.body = ""
  end
end

local function check_flag(what, options, name, default)
  local value = options[name]
  if value == nil then return default end
  expect(what, name, type(value) == "boolean", "a boolean", value)
  return value
end

local function set_limits(what, options, native, streams)
  local most = options.max_body
  if most == nil then most = not streams and MAX_BODY or nil
  elseif most == math.huge then most = nil
  else
    expect(what, "max_body", math.tointeger(most) and most >= 0, "a number of bytes", most)
  end
  native.max_body = math.tointeger(most)
  local follow = options.follow
  if follow == nil or follow == true then follow = REDIRECTS elseif follow == false then follow = 0
  else
    expect(what, "follow", math.tointeger(follow) and follow >= 0, "a number of redirects", follow)
  end
  native.follow = math.tointeger(follow)
  native.timeout = check_seconds(what, options, "timeout")
  native.connect_timeout = check_seconds(what, options, "connect_timeout") or 30
  native.idle_timeout = check_seconds(what, options, "idle_timeout")
end

--- What is asked for, checked: what goes to libcurl, and what may be seen of it.
local function define(what, options, method, streams)
  if type(options) ~= "table" then
    check.usage("%s: expected a table of options, got %s", what, type(options))
  end
  check.options(what, options, known)
  method = method or options.method or "GET"
  expect(what, "method", type(method) == "string" and method:find "^%u+$",
    "a method in capital letters, such as GET", method)
  local url = url_of(what, options.url, options.query, is_secret)
  local lines, seen, native = {}, {}, { method = method, url = url.whole, streams = streams }
  header_lines(what, options.headers, lines, seen)
  set_auth(what, options.auth, native, lines, seen)
  local feed = set_body(what, options, native, lines, seen)
  set_limits(what, options, native, streams)
  add_header(lines, seen, "User-Agent", "railtracks/" .. core.version)
  lines[#lines + 1] = "Expect:" -- servers that do not know it would be waited for
  native.headers = lines
  native.http2 = check_flag(what, options, "http2")
  native.insecure = check_flag(what, options, "insecure", false)
  native.ca = options.ca and system.check_text(what, "ca", options.ca)
  native.proxy = options.proxy and check_text(what, "proxy", options.proxy)
  native.encoding = not streams and "" or nil
  expect(what, "record", options.record == nil or options.record == "none", "'none'",
    options.record)
  return {
    native = native, feed = feed, method = method, shown = url.shown,
    raise = check_flag(what, options, "raise_for_status", streams or false),
    name = ("http %s %s"):format(method, url.short), unrecorded = options.record == "none",
    seen = { method = method, url = url.shown, headers = next(seen) and seen or nil,
      bytes = native.body and #native.body > 0 and #native.body or nil },
  }
end

-- Failures --------------------------------------------------------------------------------

local function fail(d, code, text, fields)
  fields = fields or {}
  fields.code, fields.url, fields.method = code, d.shown, d.method
  core.fail("http", ("%s %s: %s"):format(d.method, d.shown, text), fields)
end

local function check_failure(d, transfer)
  local code, text = transfer:failure()
  if code then fail(d, code, text) end
end

local function check_status(d, response, body)
  if not d.raise or response.status < 400 then return end
  fail(d, "status", ("status %d%s"):format(response.status,
    body ~= "" and ": " .. body:sub(1, 200) or ""),
    { status = response.status, headers = response.headers, body = body:sub(1, SHOWN) })
end

-- Responses -------------------------------------------------------------------------------

local Response = { __name = "railtracks.Response" }

--- Headers are taken apart when somebody looks at them.
function Response:__index(key)
  if key ~= "headers" then return Response[key] end
  self.headers = read_headers(self.header_lines)
  self.header_lines = nil
  return self.headers
end

Response.__tostring = function(self)
  return ("Response %d (%d bytes)"):format(self.status, #(self.body or ""))
end

--- What the body says as JSON. Raises an error of kind json if it is none.
function Response:json()
  return require "railtracks.json".decode(self.body)
end

local function read_response(transfer, response)
  local status, url, received, sent, version, name, connect, tls, first, total = transfer:info()
  response.status, response.url, response.version = status, url, version
  response.header_lines = response.header_lines or transfer:lines()
  response.timings = { name_lookup = name, connect = connect, tls = tls > 0 and tls or nil,
    first_byte = first, total = total }
  return { status = status, bytes = received, sent = sent > 0 and sent or nil,
    timings = response.timings }
end

--- Gives the server what `feed` gives, piece by piece.
local function send(d, transfer)
  local feed = d.feed
  if not feed then return end
  for piece in feed do
    if type(piece) ~= "string" then
      check.usage("rt.http: body: the function must return strings, got %s", type(piece))
    end
    transfer:write(piece)
  end
  transfer:write(nil)
end

local function perform(d)
  local response
  core.call(core.node(d.name, function()
    local transfer <close> = core.transfer(d.native)
    send(d, transfer)
    transfer:finish()
    check_failure(d, transfer)
    local made = setmetatable({ body = transfer:read() or "" }, Response)
    local summary = read_response(transfer, made)
    check_status(d, made, made.body)
    response = made
    return summary
  end, nil, nil, d.unrecorded), d.seen)
  return response
end

--- The options of a function that takes a URL, and perhaps options behind it.
local function with_url(what, url, options)
  if type(url) == "table" and options == nil then return url end
  if options ~= nil and type(options) ~= "table" then
    check.usage("%s: argument 2: expected a table of options, got %s", what, type(options))
  end
  local all = { url = url }
  for name, value in pairs(options or {}) do
    if name ~= "url" then all[name] = value end
  end
  return all
end

function http.request(options)
  core.may_wait "rt.http.request"
  return perform(define("rt.http.request", options))
end

for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD" } do
  local what = "rt.http." .. method:lower()
  http[method:lower()] = function(url, options)
    core.may_wait(what)
    return perform(define(what, with_url(what, url, options), method))
  end
end

-- Streams ---------------------------------------------------------------------------------

local Stream = { __name = "railtracks.HttpStream" }

function Stream:__index(key)
  return key == "headers" and Response.__index(self, key) or Stream[key]
end

--- The next piece of the body; nil at its end.
function Stream:read()
  if self.over then return nil end
  local piece, more = self.channel:receive()
  if more then return piece end
  self.over = true
  self.task:await() -- raises why it has ended too early
  return nil
end

Stream.__call = Stream.read

--- Ends the transfer, at once, if it has not come to its end.
function Stream:close()
  if self.over then return end
  self.over = true
  self.task:cancel "its stream was closed"
  core.settle { self.task }
end

Stream.__close = Stream.close

local function open_stream(what, d)
  core.may_wait(what)
  local channel = core.channel(0)
  local self = setmetatable({ channel = channel }, Stream)
  self.task = core.spawn(core.node(d.name, function()
    local _ <close> = system.closing { close = function() channel:close() end }
    local transfer <close> = core.transfer(d.native)
    send(d, transfer)
    if not transfer:head() then check_failure(d, transfer) end
    read_response(transfer, self)
    if d.raise and self.status >= 400 then
      local pieces, size = {}, 0
      for piece in transfer.read, transfer do
        pieces[#pieces + 1], size = piece, size + #piece
        if size >= SHOWN then break end
      end
      check_status(d, self, table.concat(pieces))
    end
    if d.check then d.check(self) end
    channel:send ""
    for piece in transfer.read, transfer do channel:send(piece) end
    check_failure(d, transfer)
    return (read_response(transfer, self))
  end, nil, nil, d.unrecorded), d.seen)
  core.observe(self.task) -- whoever reads to the end learns how it has ended
  local _, begun = channel:receive()
  if not begun then
    self.over = true
    self.task:await()
  end
  return self
end

--- for piece in rt.http.stream(url, options) do
function http.stream(url, options)
  local what = "rt.http.stream"
  local stream = open_stream(what, define(what, with_url(what, url, options), nil, true))
  return stream, nil, nil, stream
end

-- Events ----------------------------------------------------------------------------------

local Events = { __name = "railtracks.HttpEvents" }
Events.__index = Events

--- The next event; nil at the end of the stream.
function Events:read()
  while true do
    local event = self.reader:next()
    if event then return event end
    if self.reader.too_large then
      self.stream:close()
      fail(self.d, "too_large", ("an event of more than %d bytes"):format(self.reader.most))
    end
    local piece = self.stream:read()
    if not piece then return nil end
    self.reader:add(piece)
    self.retry, self.last_id = self.reader.retry, self.reader.last_id
  end
end

Events.__call = Events.read

function Events:close() self.stream:close() end

Events.__close = Events.close

--- for event in rt.http.events(url, options) do print(event.event, event.data, event.id) end
function http.events(url, options)
  local what = "rt.http.events"
  local d = define(what, with_url(what, url, options), nil, true)
  if not d.seen.headers.accept then
    table.insert(d.native.headers, "Accept: text/event-stream")
  end
  d.check = function(response)
    local kind = response.headers["content-type"] or "no type"
    if not kind:lower():find "^text/event%-stream" then
      fail(d, "protocol", "expected text/event-stream, got " .. kind,
        { status = response.status, headers = response.headers })
    end
  end
  local stream = open_stream(what, d)
  local self = setmetatable({ stream = stream, d = d, reader = new_events(),
    status = stream.status, headers = stream.headers }, Events)
  return self, nil, nil, self
end

-- Trying again ----------------------------------------------------------------------------

local passing_codes = { closed = true, connect = true, could_not_resolve = true, partial = true,
  proxy = true, timeout = true }
local unsent_codes = { connect = true, could_not_resolve = true, proxy = true }
local passing_status = { [408] = true, [425] = true, [429] = true, [500] = true, [502] = true,
  [503] = true, [504] = true }
local refused_status = { [425] = true, [429] = true, [503] = true }
local safe_methods = { DELETE = true, GET = true, HEAD = true, OPTIONS = true, PUT = true }

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9,
  Oct = 10, Nov = 11, Dec = 12 }

--- How many seconds a Retry-After asks for; nil if it cannot be read.
local function retry_after(value)
  if not value then return nil end
  if value:find "^%d+$" then return tonumber(value) end
  local day, month, year, hour, minute, second =
    value:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  if not months[month] then return nil end
  local there = os.time { year = year, month = months[month], day = day, hour = hour, min = minute,
    sec = second, isdst = false }
  local now = os.date "!*t"
  now.isdst = false
  return math.max(0, os.difftime(there, os.time(now)))
end

--- For `rt.retry { on = rt.http.transient }`: whether it may go better next time, and the seconds
--- the server wants to be left alone. What may have been done already is not tried again: a
--- POST only if it was refused or never sent.
function http.transient(problem)
  if core.kind(problem) ~= "http" then return false end
  local safe, status = safe_methods[problem.method], problem.status
  if status then
    if not (safe and passing_status or refused_status)[status] then return false end
    return retry_after(problem.headers["retry-after"]) or true
  end
  return (safe and passing_codes or unsent_codes)[problem.code] or false
end

--- rt.http.limit(n): at most so many connections to one host at once; more requests wait.
function http.limit(connections)
  if not math.tointeger(connections) or connections < 1 then
    check.usage("rt.http.limit: argument 1: expected a number of connections, got %s",
      check.shown(connections))
  end
  core.http_limit(math.tointeger(connections))
end

return http
