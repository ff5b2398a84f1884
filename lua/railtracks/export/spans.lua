--- OpenTelemetry's traces as OTLP/JSON: ExportTraceServiceRequests (opentelemetry-proto,
--- docs/specification.md, "JSON Protobuf Encoding"): ids in hexadecimal, enums as numbers, 64-bit
--- integers as strings. A run is a trace, a call a span. No line ends in any of it.

local core = require "railtracks.core"
local export = require "railtracks.export"
local show = require "railtracks.show"

local json_text = show.json.text

local INTERNAL, CLIENT = 1, 3 -- SpanKind
local OK, ERROR = 1, 2        -- StatusCode

--- FNV-1a, 64 bits (Fowler, Noll, Vo): the same call has the same span in every export.
local function span_id(run, call)
  local hash = 0xcbf29ce484222325
  for i = 1, #run do hash = (hash ~ run:byte(i)) * 0x100000001b3 end
  for i = 1, #call do hash = (hash ~ call:byte(i)) * 0x100000001b3 end
  return ("%016x"):format(hash == 0 and 1 or hash)
end

local function attribute(key, value)
  if value == nil then return nil end
  if math.type(value) == "integer" then
    return ('{"key":"%s","value":{"intValue":"%d"}}'):format(key, value)
  end
  return ('{"key":"%s","value":{"stringValue":%s}}'):format(key, json_text(value))
end

local function attributes(list)
  local parts = {}
  for _, pair in ipairs(list) do parts[#parts + 1] = attribute(pair[1], pair[2]) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function nanoseconds(microseconds) return ('"%d000"'):format(microseconds) end

local function exception(failure, at)
  return (',"events":[{"timeUnixNano":%s,"name":"exception","attributes":%s}]'):format(
    nanoseconds(at), attributes {
      { "exception.type", failure.kind or "error" }, { "exception.message", failure.message },
      { "exception.stacktrace", failure.traceback },
    })
end

--- The call as a span.
local function span(call, run)
  local trace = run.id:gsub("%-", ""):lower()
  local from, to = export.times(call, run)
  local failure = call.error and show.failure(call.error)
  local file, line = (call.site or ""):match "^(.*):(%d+)$"
  local parent = call.parent
    and (',"parentSpanId":"%s"'):format(span_id(run.id, call.parent)) or ""
  local status = call.status == "done" and ('{"code":%d}'):format(OK)
    or (call.status == "failed" or call.status == "interrupted") and ('{"code":%d,"message":%s}')
      :format(ERROR, json_text(failure and failure.message or call.status)) or "{}"
  return table.concat {
    '{"traceId":"', trace, '","spanId":"', span_id(run.id, call.id), '"', parent,
    ',"name":', json_text(call.node),
    ',"kind":', tostring(call.node:find "^http " and CLIENT or INTERNAL),
    ',"startTimeUnixNano":', nanoseconds(from), ',"endTimeUnixNano":', nanoseconds(to),
    ',"attributes":', attributes {
      { "railtracks.call", call.id }, { "railtracks.status", call.status },
      { "railtracks.kind", call.kind }, { "railtracks.args", call.args },
      { "railtracks.results", call.results }, { "code.file.path", file },
      { "code.line.number", math.tointeger(tonumber(line)) },
    },
    failure and exception(failure, to) or "",
    ',"status":', status, "}",
  }
end

--- What stands before the spans of a request, and behind them.
local function head(run)
  return ('{"resourceSpans":[{"resource":{"attributes":%s},"scopeSpans":[{"scope":%s,"spans":[')
    :format(attributes {
      { "service.name", run.name }, { "telemetry.sdk.name", "railtracks" },
      { "telemetry.sdk.language", "lua" }, { "telemetry.sdk.version", core.version },
      { "host.name", run.host }, { "process.pid", math.tointeger(run.pid) },
      { "railtracks.run", run.id }, { "railtracks.parent_run", run.parent_run },
    }, ('{"name":"railtracks","version":%s}'):format(json_text(core.version)))
end

local tail = "]}]}]}"

-- Requests ----------------------------------------------------------------------------------

local MOST_SPANS = 2000    -- of a request
local MOST_BYTES = 4 << 20 -- of its spans, unless one is larger: collectors take so much

local Requests = {}
Requests.__index = Requests

--- Makes requests of what is added: `send(body, count)` is called with each.
local function requests(run, send)
  return setmetatable({ run = run, send = send, pieces = {}, bytes = 0 }, Requests)
end

function Requests:add(call)
  local piece = span(call, self.run)
  if #self.pieces == MOST_SPANS or self.bytes + #piece > MOST_BYTES then self:flush() end
  self.pieces[#self.pieces + 1] = piece
  self.bytes = self.bytes + #piece
end

--- Sends what has been added, if there is something.
function Requests:flush()
  local pieces = self.pieces
  if not pieces[1] then return end
  self.pieces, self.bytes = {}, 0
  self.send(head(self.run) .. table.concat(pieces, ",") .. tail, #pieces)
end

return { head = head, span = span, tail = tail, requests = requests }
