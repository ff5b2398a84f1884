--- rt.json: lua-cjson with settings of our own.
---
--- A private instance, since cjson's settings are shared by all who use the module. Known
--- limits of cjson 2.1 stay: an empty table is written as {}, and every number is read as
--- a float (whole ones are turned back into integers here).

local cjson = require("cjson").new()
cjson.encode_sparse_array(true)
cjson.decode_invalid_numbers(false)

-- What a float holds exactly.
local largest = 2 ^ 53

--- Turns whole floats into integers, in place.
local function integers(value)
  if math.type(value) == "float" then
    if value % 1 == 0 and value >= -largest and value <= largest then
      return math.tointeger(value)
    end
  elseif type(value) == "table" then
    for key, item in pairs(value) do value[key] = integers(item) end
  end
  return value
end

--- Raises where cjson would silently write another number.
local function check(value, seen)
  if math.type(value) == "integer" then
    if value > 99999999999999 or value < -99999999999999 then
      require("railtracks.core").fail("json",
        "cannot encode the integer " .. value .. " exactly: write it as a string")
    end
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for _, item in pairs(value) do check(item, seen) end
  end
end

local function raise(message)
  require("railtracks.core").fail("json", (tostring(message):gsub("^.-:%d+: ", "")))
end

local json = { null = cjson.null }

--- The JSON text of a value. Raises an error of kind json for what JSON cannot carry.
function json.encode(value)
  check(value, {})
  local ok, text = pcall(cjson.encode, value)
  if not ok then raise(text) end
  return text
end

--- The value of a JSON text; null is `json.null`. Raises an error of kind json.
function json.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if not ok then raise(value) end
  return integers(value)
end

return json
