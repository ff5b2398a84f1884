--- OpenTelemetry's traces as OTLP/JSON: an ExportTraceServiceRequest (opentelemetry-proto,
--- docs/specification.md, "JSON Protobuf Encoding"): ids in hexadecimal, enums as numbers, 64-bit
--- integers as strings. A run is a trace, a call a span.

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

local function span(call, run, trace)
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

local function head(run)
  return ('{"resourceSpans":[{"resource":{"attributes":%s},\n"scopeSpans":[{"scope":%s,"spans":[')
    :format(attributes {
      { "service.name", run.name }, { "telemetry.sdk.name", "railtracks" },
      { "telemetry.sdk.language", "lua" }, { "telemetry.sdk.version", core.version },
      { "host.name", run.host }, { "process.pid", math.tointeger(run.pid) },
      { "railtracks.run", run.id }, { "railtracks.parent_run", run.parent_run },
    }, ('{"name":"railtracks","version":%s}'):format(json_text(core.version)))
end

local tail = "\n]}]}]}\n"

--- Writes all spans as one request; with `options.batch`, as requests of so many spans at most:
--- `out` is then called with each whole one.
return function(source, out, options)
  local run = source.run
  local trace = run.id:gsub("%-", ""):lower()
  local batch = options and options.batch
  local pieces, count = {}, 0
  local function put(piece)
    if batch then pieces[#pieces + 1] = piece else out(piece) end
  end
  local function flush()
    put(tail)
    if batch then out(table.concat(pieces)) end
    pieces, count = {}, 0
  end
  put(head(run))
  for call in source.calls "start" do
    if batch and count == batch then
      flush()
      put(head(run))
    end
    put((count == 0 and "\n" or ",\n") .. span(call, run, trace))
    count = count + 1
  end
  flush()
end
