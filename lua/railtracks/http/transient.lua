--- Which failures of a request may pass, and when to try again.

local core = require "railtracks.core"

local passing_codes = { closed = true, connect = true, could_not_resolve = true, partial = true,
  proxy = true, timeout = true }
local unsent_codes = { connect = true, could_not_resolve = true, proxy = true }
local passing_status = { [408] = true, [425] = true, [429] = true, [500] = true, [502] = true,
  [503] = true, [504] = true }
local refused_status = { [425] = true, [429] = true, [503] = true }
local safe_methods = { DELETE = true, GET = true, HEAD = true, OPTIONS = true, PUT = true }

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9,
  Oct = 10, Nov = 11, Dec = 12 }

--- How many seconds a Retry-After asks for; nil if it cannot be read.
local function retry_after(value)
  if not value then return nil end
  if value:find "^%d+$" then return tonumber(value) end
  local day, month, year, hour, minute, second =
    value:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  if not months[month] then return nil end
  local there = os.time { year = year, month = months[month], day = day, hour = hour, min = minute,
    sec = second, isdst = false }
  local now = os.date "!*t"
  now.isdst = false
  return math.max(0, os.difftime(there, os.time(now)))
end

--- Whether it may go better next time, and the seconds the server wants to be left alone. What
--- may have been done already is not tried again: a POST only if it was refused or never sent,
--- unless twice is known to be as once.
return function(problem, twice_is_once)
  if core.kind(problem) ~= "http" then return false end
  local safe, status = twice_is_once or safe_methods[problem.method], problem.status
  if status then
    if not (safe and passing_status or refused_status)[status] then return false end
    return retry_after(problem.headers["retry-after"]) or true
  end
  return (safe and passing_codes or unsent_codes)[problem.code] or false
end
