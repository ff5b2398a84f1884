--- What comes in pieces: the body of an answer, or the events in it.
---
--- A stream belongs to the call that opened it. Its request is a call below that one, which
--- lasts until the stream has ended or was closed, or until nobody is left who could read it.

local check = require "railtracks.check"
local core = require "railtracks.core"
local native = require "railtracks.http.core"

local lib = {}

--- By stream: {exchange=, task=, over=, closed=, events=}. Not in the stream, which may be
--- recorded.
local states = setmetatable({}, { __mode = "k" })

local function state_of(stream, what)
  local state = states[stream]
  if not state then
    check.usage("%s: expected a stream, got %s (a method wants a colon)", what,
      check.shown(stream))
  end
  if state.closed then check.usage("%s: the stream was closed", what) end
  return state
end

--- Nothing more comes: raises why, if it should have.
local function finish(state)
  local how = select(4, state.task:await())
  state.over = true
  if how then
    native.raise(state.exchange, "closed", "the stream was closed before its end")
  end
  return nil
end

local function next_event(stream, state)
  local name, data, id, retry = native.event(state.exchange)
  if name == nil then return finish(state) end
  if not name then
    stream:close()
    native.raise(state.exchange, "too_large", "an event is larger than 16 MiB")
  end
  stream.last_id = id
  if retry >= 0 then stream.retry = retry / 1000 end
  return { event = name ~= "" and name or "message", data = data, id = id ~= "" and id or nil }
end

local methods = {}

--- The next piece of the body, or the next event; nil at the end.
function methods.read(stream)
  local state = state_of(stream, "stream:read")
  if state.over then return nil end
  if state.events then return next_event(stream, state) end
  return native.read(state.exchange) or finish(state)
end

--- Ends the transfer, at once, if it has not come to its end.
function methods.close(stream)
  local state = states[stream]
  if not state or state.closed then return end
  state.closed = true
  core.observe(state.task) -- whoever leaves it does not care how it would have ended
  native.close(state.exchange)
end

--- The metatable, with what streams share with responses.
function lib.class(addresses, shared)
  methods.values = shared.values
  local class = { __name = "railtracks.HttpStream" }
  function class.__index(stream, key)
    if key == "url" then return addresses[stream] end
    return methods[key]
  end
  class.__call = methods.read
  class.__close = methods.close
  class.__gc = methods.close
  return class
end

--- Raises the error of the answer's status, with the beginning of its body.
local function raise_status(stream, exchange)
  local _ <close> = stream
  native.fill(exchange)
  native.raise_status(exchange)
end

--- From here on events are read from it; raises when there can be none.
local function expect_events(stream, exchange)
  local kind = stream.headers["content-type"] or "no type"
  if kind:lower():find "^text/event%-stream" and stream.status ~= 204 then return end
  local _ <close> = stream
  native.raise(exchange, "protocol", ("expected text/event-stream, got %s (status %d)"):format(
    kind, stream.status))
end

--- Waits for the head of the answer: the stream.
function lib.open(exchange, task, raises, events)
  if not native.head(exchange) then
    task:await()
    native.raise(exchange, "closed", "the request was ended before its answer came")
  end
  local stream = native.response(exchange)
  states[stream] = { exchange = exchange, task = task, events = events }
  if raises and stream.status >= 400 then raise_status(stream, exchange) end
  if events then expect_events(stream, exchange) end
  return stream, nil, nil, stream
end

return lib
