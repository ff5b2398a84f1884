--- URLs: what is asked for, and what of that may be seen.

local check = require "railtracks.check"

local function escape(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function text_of(what, name, value)
  if type(value) == "string" then return value end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  check.usage("%s: query.%s: expected a string, a number or a boolean, got %s", what, name,
    check.shown(value))
end

local function write_query(what, query)
  local parts = {}
  for name, value in check.named_values(what .. ": query", query, function() return true end,
    "names as keys") do
    parts[#parts + 1] = escape(name) .. "=" .. escape(text_of(what, name, value))
  end
  return table.concat(parts, "&")
end

--- The URL with the query added: `whole` as it is asked for, `shown` without passwords and
--- what is secret in its query, `short` its host and path.
return function(what, url, query, is_secret)
  if type(url) ~= "string" then
    check.usage("%s: url: expected a string, got %s", what, check.shown(url))
  end
  if not url:find "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]" then
    check.usage("%s: url: expected one that begins with http:// or https://, got '%s'", what, url)
  end
  if url:find "%c" or url:find(" ", 1, true) then
    check.usage("%s: url: spaces and control characters must be escaped, got '%s'", what,
      (url:gsub("%c", "?")))
  end
  local whole = url
  local fragment = url:find("#", 1, true)
  if fragment then whole = url:sub(1, fragment - 1) end
  if query ~= nil then
    local written = write_query(what, query)
    if written ~= "" then whole = whole .. (whole:find("?", 1, true) and "&" or "?") .. written end
  end
  -- What is not there is not looked for by patterns: they would take most of a request's time.
  local from = whole:find("//", 1, true) + 2
  local marked, shown = whole:find("?", from, true), whole
  local to = whole:find("/", from, true) or #whole + 1
  if marked and marked < to then to = marked end
  local host, rest, short = whole:sub(from, to - 1), whole:sub(to), whole:sub(from)
  if host:find("@", 1, true) then
    host = host:gsub("^.*@", "")
    shown = whole:sub(1, from - 1) .. host .. rest
    short = host .. rest
  end
  if marked or rest:find("&", 1, true) then
    short = host .. rest:match "^[^?]*"
    shown = whole:sub(1, from - 1) .. host ..
      rest:gsub("([?&])([^=&?]*)=([^&?]*)", function(before, name, value)
        return before .. name .. "=" .. (is_secret(name) and "[hidden]" or value)
      end)
  end
  return { whole = whole, shown = shown, short = short }
end
