--- A recorded run in the formats of other tools. Each format is a function
--- `export(source, out, options)`: `source.run` is the run, `source.calls(order)` iterates over
--- its calls; the text goes out piece by piece, so that a run of any size can be exported.

local formats = {}

for _, name in ipairs { "csv", "json", "mermaid", "otlp", "perfetto" } do
  formats[name] = function(...) return require("railtracks.export." .. name)(...) end
end

local export = { formats = formats }

--- The run `name` ("@1", part of an id) of the reader.
function export.source(reader, name)
  local run = reader:run(name)
  return { run = run, calls = function(order) return reader:calls(run, -1, order or "start") end }
end

--- Microseconds since 1970, as an integer; what has no end yet ends with the run, or when it
--- was last heard of.
function export.microseconds(seconds) return math.floor(seconds * 1e6 + 0.5) end

--- When the call began and ended, in microseconds: one that never ran has no length.
function export.times(call, run)
  local from = call.started_at or call.spawned_at
  local to = call.ended_at or run.ended_at or os.time()
  from, to = export.microseconds(from), export.microseconds(to)
  return from, math.max(to, from)
end

return export
