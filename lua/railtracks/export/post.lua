--- Posts a run to a collector of OpenTelemetry traces.

local core = require "railtracks.core"
local export = require "railtracks.export"
local rt = require "railtracks"

local BATCH = 2000    -- spans of a request
local TIMES = 5       -- a request is tried
local AGAIN = { [429] = true, [502] = true, [503] = true, [504] = true } -- as the protocol says

--- A URL without a path is the collector's own.
local function address(url)
  if not url:find "^https?://[^/?#]+" then
    core.fail("usage", ("export: --to: expected a URL that begins with http:// or https://, "
      .. "got '%s'"):format(url))
  end
  return url:find "^https?://[^/?#]+/?$" and url:gsub("/$", "") .. "/v1/traces" or url
end

local function passes(problem)
  local again = rt.http.transient(problem)
  if problem.status and not AGAIN[problem.status] then return false end
  return again
end

local function post(url, body)
  local headers = { ["Content-Type"] = "application/json" }
  -- A collector takes what has come twice, as spans have ids: so a POST may be tried again.
  rt.retry({ times = TIMES, delay = 0.5, factor = 2, on = passes }, function()
    return rt.http.post(url, { body = body, headers = headers, timeout = 30,
      raise_for_status = true })
  end)
end

return function(source, url)
  url = address(url)
  core.configure { journal = "none" } -- what is done here is no run of the user's
  local status, _, problem = core.run_script("export", nil, function()
    export.formats.otlp(source, function(body) post(url, body) end, { batch = BATCH })
  end)
  if status ~= "done" then error(problem, 0) end
end
