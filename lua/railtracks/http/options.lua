--- What rt.http is given, checked and made into what C takes. What is wrong is an error of
--- kind usage that names the function and the option.

local check = require "railtracks.check"
local core = require "railtracks.core"
local native = require "railtracks.http.core"
local system = require "railtracks.system"

local MAX_BODY = 64 << 20  -- bytes of a body that is not streamed, unless said otherwise
local MAX_EVENT = 16 << 20 -- and of an event
local REDIRECTS = 10

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

local function is_text(value) return type(value) == "string" and not value:find "[\r\n\0]" end

local function check_text(what, name, value)
  expect(what, name, is_text(value), "a string without line ends", value)
  return value
end

--- The same for what is a secret, which an error does not tell.
local function expect_secret(what, name, fine, expected, value)
  if fine then return value end
  check.usage("%s: %s: expected %s, got %s", what, name, expected,
    type(value) == "string" and "[hidden]" or type(value))
end

local function check_secret(what, name, value)
  return expect_secret(what, name, is_text(value), "a string without line ends", value)
end

--- Whether it is a whole number of at least 0.
local function is_count(value)
  return type(value) == "number" and value >= 0 and math.tointeger(value) ~= nil
end

local function check_seconds(what, options, name)
  local value = options[name]
  if value == nil then return nil end
  expect(what, name, type(value) == "number" and value > 0, "a number of seconds above 0", value)
  return value < math.huge and value or nil
end

-- The query --------------------------------------------------------------------------------

local function escape(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function text_of(what, name, value)
  if type(value) == "string" then return value end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  check.usage("%s: query.%s: expected a string, a number or a boolean, got %s", what, name,
    check.shown(value))
end

--- The query of a table, its keys sorted; a list gives its key as often as it has values.
local function write_query(what, query)
  local parts = {}
  local function any() return true end
  for name, value in check.named_values(what .. ": query", query, any, "names as keys") do
    parts[#parts + 1] = escape(name) .. "=" .. escape(text_of(what, name, value))
  end
  return table.concat(parts, "&")
end

local function add_query(what, url, query)
  local written = query ~= nil and write_query(what, query) or ""
  if written == "" then return url end
  local address, fragment = url:match "^([^#]*)(.*)$"
  return address .. (address:find("?", 1, true) and "&" or "?") .. written .. fragment
end

-- Headers ----------------------------------------------------------------------------------

local function is_header(name) return name:find "^[%w!#$%%&'*+%-.^_`|~]+$" end

--- The header lines, and the same as they may be seen by others.
local function header_lines(what, given, lines, seen)
  if given == nil then return end
  local each = check.named_values(what .. ": headers", given, is_header, "names of headers")
  for name, value in each do
    if type(value) == "number" then value = tostring(value) end
    local secret = native.is_secret(name)
    local one = secret and check_secret or check_text
    one(what, ("headers['%s']"):format(name), value)
    lines[#lines + 1] = value:find "%S" and name .. ": " .. value or name .. ";"
    seen[name:lower()] = secret and "[hidden]" or value
  end
end

--- Adds a header unless one of that name is there.
local function add_header(lines, seen, name, value)
  if seen[name:lower()] then return end
  lines[#lines + 1] = name .. ": " .. value
  seen[name:lower()] = native.is_secret(name) and "[hidden]" or value
end

-- The rest ---------------------------------------------------------------------------------

local function set_auth(what, auth, given, lines, seen)
  if auth == nil then return end
  if type(auth) == "table" and auth.bearer ~= nil then
    add_header(lines, seen, "Authorization", "Bearer " ..
      check_secret(what, "auth.bearer", auth.bearer))
  elseif type(auth) == "table" then
    local user = check_secret(what, "auth[1]", auth.user or auth[1])
    expect_secret(what, "auth[1]", not user:find(":", 1, true), "a name without a colon", user)
    given.user = user .. ":" .. check_secret(what, "auth[2]", auth.password or auth[2])
  else
    given.user = expect_secret(what, "auth", is_text(auth), "'name:password', a table of both, " ..
      "or { bearer = token }, without line ends", auth)
  end
end

--- The body: a text, a function that gives it piece by piece, or { file = path }.
local function set_body(what, options, given, lines, seen)
  local body, json = options.body, options.json
  if given.method == "HEAD" and (body ~= nil or json ~= nil) then
    check.usage("%s: %s: HEAD is sent without one", what, json ~= nil and "json" or "body")
  end
  if json ~= nil then
    if body ~= nil then check.usage("%s: json: expected no body beside it", what) end
    given.body = require "railtracks.json".encode(json)
    add_header(lines, seen, "Content-Type", "application/json")
    if not given.streams then add_header(lines, seen, "Accept", "application/json") end
  elseif type(body) == "function" then
    given.upload = true
    return body
  elseif type(body) == "table" then
    given.file = system.check_text(what, "body.file", body.file)
  elseif body ~= nil then
    expect(what, "body", type(body) == "string", "a string, a function or { file = path }", body)
    given.body = body
  elseif given.method == "POST" or given.method == "PUT" or given.method == "PATCH" then
    given.body = ""
  end
end

local function check_flag(what, options, name, default)
  local value = options[name]
  if value == nil then return default end
  expect(what, name, type(value) == "boolean", "a boolean", value)
  return value
end

local function set_limits(what, options, given, streams)
  local most = options.max_body
  if most == nil then most = not streams and MAX_BODY or nil
  elseif most == math.huge then most = nil
  else
    expect(what, "max_body", is_count(most), "a number of bytes", most)
  end
  given.max_body = most and math.tointeger(most) or -1
  local follow = options.follow
  if follow == nil or follow == true then follow = REDIRECTS elseif follow == false then follow = 0
  else
    expect(what, "follow", is_count(follow), "a number of redirects", follow)
  end
  -- -1: a redirect is the answer.
  given.follow = follow == 0 and -1 or math.min(math.tointeger(follow), 1000000)
  given.timeout = check_seconds(what, options, "timeout")
  given.connect_timeout = check_seconds(what, options, "connect_timeout") or 30
  given.idle_timeout = check_seconds(what, options, "idle_timeout")
end

--- What is asked for, checked: the method, the address, what C takes, the function that gives
--- the body, and what of the headers may be seen.
return function(what, options, method, streams)
  if type(options) ~= "table" then
    check.usage("%s: expected a table of options, got %s", what, type(options))
  end
  check.options(what, options, known)
  if method then
    expect(what, "method", options.method == nil or options.method == method,
      method .. " or nothing", options.method)
  end
  method = method or options.method or "GET"
  expect(what, "method", type(method) == "string" and method:find "^%u[%u-]*$" and #method <= 100,
    "a method in capital letters, such as GET", method)
  expect(what, "url", type(options.url) == "string", "a string", options.url)
  local lines, seen, given = {}, {}, { method = method, streams = streams }
  header_lines(what, options.headers, lines, seen)
  set_auth(what, options.auth, given, lines, seen)
  local feed = set_body(what, options, given, lines, seen)
  set_limits(what, options, given, streams)
  local shown = next(seen) and seen or nil
  -- From here on it is what all requests say, or nothing.
  seen = setmetatable({}, { __index = seen })
  add_header(lines, seen, "User-Agent", "railtracks/" .. core.version)
  add_header(lines, seen, "Accept", streams == "events" and "text/event-stream" or "*/*")
  if feed or given.file or given.body then
    if not seen["content-type"] then lines[#lines + 1] = "Content-Type:" end
    lines[#lines + 1] = "Expect:" -- servers that do not know it would be waited for
  end
  -- What is packed comes late, and whoever asks for it by a header wants it as it is.
  given.compressed = not streams and not seen["accept-encoding"]
  if given.compressed then lines[#lines + 1] = "Accept-Encoding: gzip" end
  given.headers = lines
  given.http2 = check_flag(what, options, "http2")
  given.insecure = check_flag(what, options, "insecure", false)
  given.ca = options.ca ~= nil and system.check_text(what, "ca", options.ca) or nil
  given.proxy = options.proxy ~= nil and check_secret(what, "proxy", options.proxy) or nil
  given.max_event = MAX_EVENT
  given.raise = check_flag(what, options, "raise_for_status", streams and true or false)
  expect(what, "record", options.record == nil or options.record == "none", "'none'",
    options.record)
  given.unrecorded = options.record == "none"
  return method, add_query(what, options.url, options.query), given, feed, shown
end
