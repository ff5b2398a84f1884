--- OpenTelemetry's traces as OTLP/JSON: all calls in one ExportTraceServiceRequest.

local spans = require "railtracks.export.spans"

return function(source, out)
  local run = source.run
  out(spans.head(run))
  local before = "\n"
  for call in source.calls "start" do
    out(before .. spans.span(call, run))
    before = ",\n"
  end
  out("\n" .. spans.tail .. "\n")
end
