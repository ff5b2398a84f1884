--- A recorded run in the formats of other tools. Each format is a function
--- `export(source, out, options)`: `source.run` is the run, `source.calls(order)` iterates over
--- its calls; the text goes out piece by piece, so that a run of any size can be exported.

local formats = {}

for _, name in ipairs { "csv", "json", "mermaid", "otlp", "perfetto" } do
  formats[name] = function(...) return require("railtracks.export." .. name)(...) end
end

local export = { formats = formats }

--- Sets when a run that was cut short was last heard of, so that its calls end the same in
--- every export.
function export.complete(reader, run)
  if run.status ~= "interrupted" or run.ended_at then return end
  local last = run.started_at
  for call in reader:calls(run, -1, "start") do
    last = math.max(last, call.ended_at or 0, call.started_at or 0, call.spawned_at or 0)
  end
  run.heard_of_at = last
end

--- The run `name` ("@1", part of an id) of the reader.
function export.source(reader, name)
  local run = reader:run(name)
  export.complete(reader, run)
  return { run = run, calls = function(order) return reader:calls(run, -1, order or "start") end }
end

--- Microseconds since 1970, as an integer.
function export.microseconds(seconds) return math.floor(seconds * 1e6 + 0.5) end

--- When the call began and ended, in microseconds: one that never ran has no length. What has
--- no end ends with the run, or when that was last heard of.
function export.times(call, run)
  local from = call.started_at or call.spawned_at
  local to = call.ended_at or run.ended_at or run.heard_of_at or os.time()
  from, to = export.microseconds(from), export.microseconds(to)
  return from, math.max(to, from)
end

return export
