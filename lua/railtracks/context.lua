--- rt.context: values shared by all calls of one run, and gone with it.

local check = require "railtracks.check"
local core = require "railtracks.core"

local context = {}

local function values(what)
  local shared = core.context()
  if not shared then
    check.usage("rt.context.%s outside a run: start one with rt.run(node, ...)", what)
  end
  return shared
end

local function check_key(what, key)
  if key == nil or key ~= key then
    check.usage("rt.context.%s: argument 1: expected a key, got %s", what, check.shown(key))
  end
end

--- The value, `default` if there is none.
function context.get(key, default)
  local shared = values "get"
  check_key("get", key)
  local value = shared[key]
  if value == nil then return default end
  return value
end

--- A nil takes the key away, as in any table.
function context.put(key, value)
  local shared = values "put"
  check_key("put", key)
  shared[key] = value
end

--- Puts all of the table's.
function context.update(given)
  local shared = values "update"
  if type(given) ~= "table" then
    check.usage("rt.context.update: argument 1: expected a table, got %s", type(given))
  end
  for key, value in next, given do shared[key] = value end
end

function context.delete(key)
  local shared = values "delete"
  check_key("delete", key)
  shared[key] = nil
end

local ranks = { string = 1, number = 2, boolean = 3 }

local function comes_first(a, b)
  local rank, other = ranks[type(a)] or 4, ranks[type(b)] or 4
  if rank ~= other then return rank < other end
  if rank == 3 then return not a and b end
  return rank < 3 and a < b
end

--- Strings first, then numbers, each sorted; then what has no order.
function context.keys()
  local keys = core.array {}
  for key in next, values "keys" do keys[#keys + 1] = key end
  table.sort(keys, comes_first)
  return keys
end

return context
