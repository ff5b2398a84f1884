--- Values as the journal writes them (docs/journal.md), read back: integers stay integers.
--- What could not be written down, or was cut, becomes a stand-in that says so.

local core = require "railtracks.core"

local decode = {}

local Missing = { __name = "railtracks.Missing" }
Missing.__index = Missing
function Missing:__tostring() return self.text end

local function missing(text) return setmetatable({ text = text }, Missing) end

--- Whether the value, or one in it, is a stand-in; and what it stands for.
function decode.missing_in(value)
  if getmetatable(value) == Missing then return value.text end
  if type(value) ~= "table" then return nil end
  for key, field in next, value do
    local found = decode.missing_in(key) or decode.missing_in(field)
    if found then return found end
  end
end

-- ---- bytes ----

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function bytes_of(base64)
  local out, bits, count = {}, 0, 0
  for char in base64:gmatch "[%w+/]" do
    bits = bits << 6 | (ALPHABET:find(char, 1, true) - 1)
    count = count + 6
    if count >= 8 then
      count = count - 8
      out[#out + 1] = string.char(bits >> count & 0xFF)
    end
  end
  return table.concat(out)
end

-- ---- JSON ----

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function string_at(json, at)
  local parts, from = {}, at + 1
  while true do
    local found = json:find('["\\]', from)
    if not found then error "the text ends in a string" end
    parts[#parts + 1] = json:sub(from, found - 1)
    if json:sub(found, found) == '"' then return table.concat(parts), found + 1 end
    local char = json:sub(found + 1, found + 1)
    from = found + 2
    if char == "u" then
      local code = tonumber(json:sub(from, from + 3), 16)
      from = from + 4
      if code >= 0xD800 and code < 0xDC00 and json:find("^\\u[dD][c-fC-F]", from) then
        local low = tonumber(json:sub(from + 2, from + 5), 16)
        code = 0x10000 + (code - 0xD800 << 10) + (low - 0xDC00)
        from = from + 6
      end
      parts[#parts + 1] = utf8.char(code)
    else
      parts[#parts + 1] = ESCAPES[char] or char
    end
  end
end

local value_at

local function blank(json, at) return json:match("^%s*()", at) end

local function list_at(json, at)
  local list, count = {}, 0
  at = blank(json, at + 1)
  if json:sub(at, at) == "]" then return core.array(list), at + 1, 0 end
  while true do
    count = count + 1
    list[count], at = value_at(json, at)
    at = blank(json, at)
    local char = json:sub(at, at)
    if char == "]" then return list, at + 1, count end
    if char ~= "," then error "the text is no JSON" end
    at = at + 1
  end
end

local NUMBERS = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

--- What an object with a single key that begins with $ stands for.
local function special(key, object)
  local value = object[key]
  if key == "$bytes" then return bytes_of(value) end
  if key == "$map" then
    local map = {}
    for _, pair in ipairs(value) do
      if pair[1] ~= nil then map[pair[1]] = pair[2] end
    end
    return map
  end
  if key == "$lua" then return NUMBERS[value] or missing(("<%s>"):format(value)) end
end

local function object_at(json, at)
  local object, keys = {}, {}
  at = blank(json, at + 1)
  if json:sub(at, at) == "}" then return {}, at + 1 end
  while true do
    local key
    key, at = string_at(json, blank(json, at))
    at = blank(json, at) + 1 -- the colon
    keys[#keys + 1] = key
    object[key], at = value_at(json, at)
    at = blank(json, at)
    local char = json:sub(at, at)
    at = at + 1
    if char == "}" then break end
    if char ~= "," then error "the text is no JSON" end
  end
  if object["$cut"] then
    local head = object.head
    if type(head) == "table" then head = "" end
    return missing(("<cut: %d bytes, begins %s>"):format(object["$cut"], tostring(head))), at
  end
  if #keys == 1 and keys[1]:find("^%$[^$]") then return special(keys[1], object), at end
  for _, key in ipairs(keys) do
    if key:find("^%$%$") then
      object[key:sub(2)], object[key] = object[key], nil
    end
  end
  return object, at
end

function value_at(json, at)
  at = blank(json, at)
  local char = json:sub(at, at)
  if char == '"' then return string_at(json, at) end
  if char == "[" then return list_at(json, at) end
  if char == "{" then return object_at(json, at) end
  local word = json:match("^[%w+%-.]+", at)
  if not word then error "the text is no JSON" end
  at = at + #word
  if word == "null" then return nil, at end
  if word == "true" then return true, at end
  if word == "false" then return false, at end
  return tonumber(word), at
end

--- The values of a recorded list of arguments or results, with `n`; nil and why where it is
--- none.
function decode.list(json)
  local ok, list, _, count = pcall(list_at, json, 1)
  if not ok then return nil, list end
  local values = { n = count }
  for i = 1, count do values[i] = list[i] end
  return values
end

return decode
