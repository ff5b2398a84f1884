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

--- The year of which only the end is told: not more than 50 years from now.
local function full_year(year, now)
  year = now - now % 100 + year
  return year > now + 50 and year - 100 or year
end

--- The day and the time of a date of HTTP in one of its three forms, of which two are old; nil if
--- it is none.
local function read_date(value, now)
  local time = "(%d%d):(%d%d):(%d%d)"
  local day, month, year, hour, minute, second =
    value:match("^%a+, (%d%d) (%a%a%a) (%d%d%d%d) " .. time .. " GMT$")
  if not day then
    day, month, year, hour, minute, second =
      value:match("^%a+, (%d%d)%-(%a%a%a)%-(%d%d) " .. time .. " GMT$")
    year = year and full_year(tonumber(year), now)
  end
  if not day then
    month, day, hour, minute, second, year =
      value:match("^%a+ (%a%a%a) +(%d%d?) " .. time .. " (%d%d%d%d)$")
  end
  if not months[month] then return nil end
  return { year = year, month = months[month], day = day, hour = hour, min = minute, sec = second,
    isdst = false }
end

--- How many seconds a Retry-After asks for; nil if it cannot be read.
local function retry_after(value)
  if not value then return nil end
  if value:find "^%d+$" then return tonumber(value) end
  local now = os.date "!*t"
  local date = read_date(value, now.year)
  if not date then return nil end
  local there = os.time(date)
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
    return retry_after(problem.headers and problem.headers["retry-after"]) or true
  end
  return (safe and passing_codes or unsent_codes)[problem.code] or false
end
