--- A collector of OpenTelemetry traces, to which requests are posted (opentelemetry-proto,
--- docs/specification.md, "OTLP/HTTP").

local core = require "railtracks.core"
local rt = require "railtracks"
local clean = require "railtracks.show".text.clean
local transient = require "railtracks.http.transient"

local AGAIN = { [429] = true, [502] = true, [503] = true, [504] = true } -- as the protocol says
local FIRST, LONGEST = 0.5, 30 -- seconds until a request is tried again
local TIMEOUT = 30             -- seconds of one that is not answered
local MOST_TOLD = 500          -- bytes of what the collector says

local Collector = {}
Collector.__index = Collector

local function tell(format, ...)
  io.stderr:write("railtracks: export: ", format:format(...), "\n")
end

--- The seconds until it may be tried again, if that may help: a collector takes what has come
--- twice, as spans have ids.
local function pause(problem, attempt)
  if problem.status and not AGAIN[problem.status] then return false end
  local asked = transient(problem, true)
  return asked == true and math.min(FIRST * 2 ^ (attempt - 1), LONGEST) or asked
end

local function ask(url, body)
  local response = rt.http.post(url, { body = body, timeout = TIMEOUT, record = "none",
    headers = { ["Content-Type"] = "application/json" }, raise_for_status = true,
    follow = false }) -- a redirected POST may become a GET, with which nothing arrives
  if response.status >= 300 then
    core.fail("http", ("it answered %d: it has moved%s"):format(response.status,
      response.headers.location and " to " .. clean(response.headers.location) or ""),
      { status = response.status })
  end
  return response
end

--- What the collector has rejected of a request that it took, and why.
local function rejected(body)
  local ok, answer = pcall(rt.json.decode, body)
  local part = ok and type(answer) == "table" and answer.partialSuccess
  if type(part) ~= "table" then return 0 end
  local count = math.tointeger(tonumber(part.rejectedSpans)) or 0
  local message = type(part.errorMessage) == "string" and part.errorMessage or ""
  if #message > MOST_TOLD then message = message:sub(1, MOST_TOLD) .. "…" end
  return count, clean(message)
end

function Collector:note(body, count)
  local lost, why = rejected(body)
  self.taken = self.taken + count - lost
  self.rejected = self.rejected + lost
  local said = why and why ~= "" and ": " .. why or ""
  if why == self.said or (lost == 0 and said == "") then return end -- not with each request
  self.said = why
  if lost == 0 then tell("the collector says%s", said)
  else tell("the collector has rejected %d of %d spans%s", lost, count, said) end
end

--- Posts a request of `count` spans. Raises an error when the collector does not take it.
function Collector:post(body, count)
  local deadline = rt.now() + self.patience
  local ok, result = pcall(rt.retry, {
    times = math.huge, max_delay = self.patience,
    on = function(problem, attempt)
      local seconds = rt.kind(problem) == "http" and pause(problem, attempt)
      if not seconds or rt.now() + seconds > deadline then return false end
      if attempt == 2 then
        tell("%s; trying again for up to %d s", clean(tostring(problem)), self.patience)
      end
      return seconds
    end,
  }, function() return ask(self.url, body) end)
  if ok then return self:note(result.body, count) end
  core.fail("http", ("export: the collector does not take the spans: %s; it has taken %d before")
    :format(clean(tostring(result)), self.taken))
end

--- Says how many spans have been rejected in all, and returns whether there were any.
function Collector:finish()
  if self.rejected == 0 then return false end
  tell("%d spans were rejected, %d taken", self.rejected, self.taken)
  return true
end

local collector = {}

--- What is posted is tried again for `patience` seconds. A URL without a path is the
--- collector's own.
function collector.new(url, patience)
  if not url:find "^https?://[^/?#]+" then
    core.fail("usage", ("export: --to: expected a URL that begins with http:// or https://, "
      .. "got '%s'"):format(url))
  end
  if url:find "^https?://[^/?#]+/?$" then url = url:gsub("/$", "") .. "/v1/traces" end
  return setmetatable({ url = url, patience = patience, taken = 0, rejected = 0 }, Collector)
end

return collector
