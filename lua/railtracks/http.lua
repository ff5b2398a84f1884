--- rt.http: requests by libcurl on the engine's loop (src/io, src/lib/exchange.c).
---
--- Each is a call, named "http GET host/path". What is recorded of it is what was asked for and
--- what came back, without bodies and secrets.

local check = require "railtracks.check"
local core = require "railtracks.core"
local define = require "railtracks.http.options"
local native = require "railtracks.http.core"
local streams = require "railtracks.http.stream"

local http = {}

-- Responses -------------------------------------------------------------------------------

--- Addresses that have secrets in them, by response: a raw look at a response, which is how
--- it is recorded, must not find those.
local addresses = setmetatable({}, { __mode = "k" })

--- What responses and streams have in common.
local methods = {}

local function check_response(self, what)
  if type(self) == "table" and rawget(self, "headers") then return end
  check.usage("%s: expected a response, got %s (a method wants a colon)", what, check.shown(self))
end

--- All values that came by that name, in their order.
function methods:values(name)
  check_response(self, "response:values")
  if type(name) ~= "string" then
    check.usage("response:values: expected the name of a header, got %s", check.shown(name))
  end
  return native.values(self.headers, name)
end

--- What the body says as JSON. Raises an error of kind json if it is none.
function methods:json()
  check_response(self, "response:json")
  return require "railtracks.json".decode(self.body)
end

local Response = { __name = "railtracks.Response" }

function Response:__index(key)
  if key == "url" then return addresses[self] end
  return methods[key]
end

function Response:__tostring()
  return ("Response %d (%d bytes)"):format(self.status, #(self.body or ""))
end

native.classes {
  addresses = addresses, response = Response, stream = streams.class(addresses, methods),
}

-- Requests --------------------------------------------------------------------------------

local closing = { __close = function(guard) native.close(guard.exchange) end }

--- Gives the server what `feed` gives, piece by piece: the body of the request's call.
local function send(exchange, feed)
  local _ <close> = setmetatable({ exchange = exchange }, closing)
  while native.wanted(exchange) do
    local piece = feed()
    if piece ~= nil and type(piece) ~= "string" then
      check.usage("rt.http: body: the function must return strings, got %s", type(piece))
    end
    native.give(exchange, piece)
    if piece == nil then break end
  end
  return native.finish(exchange)
end

--- A node whose calls are the request.
local function node_of(exchange, feed, unrecorded)
  local run = feed and function() return send(exchange, feed) end or native.run(exchange)
  return core.node(native.name(exchange), run, nil, nil, unrecorded)
end

local function perform(what, method, options)
  local url, given, feed, seen
  method, url, given, feed, seen = define(what, options, method)
  core.may_wait(what)
  local exchange = native.new(what, method, url, given)
  if feed then
    core.call(node_of(exchange, feed, given.unrecorded), native.asked(exchange, seen))
  else
    native.call(exchange, what, seen)
  end
  return native.response(exchange)
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

function http.request(options) return perform("rt.http.request", nil, options) end

--- Most requests are these, and say nothing more.
function http.get(url, options)
  if options ~= nil or type(url) ~= "string" then
    return perform("rt.http.get", "GET", with_url("rt.http.get", url, options))
  end
  local exchange = native.new("rt.http.get", "GET", url)
  native.call(exchange, "rt.http.get")
  return native.response(exchange)
end

for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE", "HEAD" } do
  local what = "rt.http." .. method:lower()
  http[method:lower()] = function(url, options)
    return perform(what, method, with_url(what, url, options))
  end
end

-- Streams ---------------------------------------------------------------------------------

local function open(what, url, options, events)
  local method, given, feed, seen
  method, url, given, feed, seen = define(what, with_url(what, url, options), nil,
    events and "events" or "pieces")
  core.may_wait(what)
  local exchange = native.new(what, method, url, given)
  local task = core.spawn(node_of(exchange, feed, given.unrecorded), native.asked(exchange, seen))
  return streams.open(exchange, task, given.raise, events)
end

--- for piece in rt.http.stream(url, options) do
function http.stream(url, options) return open("rt.http.stream", url, options, false) end

--- for event in rt.http.events(url, options) do print(event.event, event.data, event.id) end
function http.events(url, options) return open("rt.http.events", url, options, true) end

-- More ------------------------------------------------------------------------------------

--- For `rt.retry { on = rt.http.transient }`: whether it may go better next time, and the seconds
--- the server wants to be left alone.
function http.transient(problem) return require "railtracks.http.transient"(problem) end

--- rt.http.limit(n): at most so many connections to one host at once; more requests wait.
function http.limit(connections)
  if type(connections) ~= "number" or connections < 1 or not math.tointeger(connections) then
    check.usage("rt.http.limit: argument 1: expected a number of connections, got %s",
      check.shown(connections))
  end
  native.limit(math.tointeger(connections))
end

-- What these are given, called as nodes, has addresses and headers in it: the calls below them
-- tell what may be told. They are named after the module, which must be known for that.
package.loaded["railtracks.http"] = http
for _, name in ipairs { "get", "post", "put", "patch", "delete", "head", "request", "stream",
  "events" } do
  core.unrecord(http[name])
end

return http
