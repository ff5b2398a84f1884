--- `railtracks export --to URL`: posts a recorded run to a collector of OpenTelemetry traces.

local collector = require "railtracks.export.collector"
local core = require "railtracks.core"
local spans = require "railtracks.export.spans"

local PATIENCE = 30 -- seconds with a collector that is busy or not there

--- Returns whether some of it was rejected.
return function(source, url)
  local target = collector.new(url, PATIENCE)
  core.configure { journal = "none" } -- what is done here is no run of the user's
  local status, _, problem = core.run_script("export", nil, function()
    local requests = spans.requests(source.run, function(...) target:post(...) end)
    for call in source.calls "start" do requests:add(call) end
    requests:flush()
  end)
  if status ~= "done" then error(problem, 0) end
  return target:finish()
end
