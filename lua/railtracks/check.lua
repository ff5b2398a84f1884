--- What is given to functions written in Lua, checked: errors of kind usage that name the
--- function, the argument or option, what was expected and what was given.

local core = require "railtracks.core"

local check = {}

--- Raises an error of kind usage.
function check.usage(format, ...)
  core.fail("usage", format:format(...))
end
local usage = check.usage

--- A wrong value as people can recognise it.
function check.shown(value)
  local kind = type(value)
  if kind == "string" then return ("'%s'"):format(value) end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  if core.is_node(value) then return "a node" end
  return kind
end

--- What `where` is given must be a node or a function.
function check.callable(where, value)
  if type(value) ~= "function" and not core.is_node(value) then
    usage("%s: expected a node or a function, got %s", where, type(value))
  end
end

--- What `where` is given must be a table of the known options.
function check.options(where, options, known)
  if type(options) ~= "table" then
    usage("%s: expected a table of options, got %s", where, type(options))
  end
  for key in pairs(options) do
    if not known[key] then usage("%s: there is no option '%s'", where, tostring(key)) end
  end
end

--- The option must be a positive number of seconds; math.huge is as good as none.
function check.timeout(where, value)
  if type(value) ~= "number" or value ~= value or value <= 0 then
    usage("%s: timeout must be a positive number of seconds, got %s", where, check.shown(value))
  end
end

--- The names and values of a table, sorted by name; a list gives its name as often as it has
--- values. `fine(name)` says whether a name can be one, which is otherwise `expected`.
function check.named_values(where, given, fine, expected)
  if type(given) ~= "table" then
    usage("%s: expected a table of names and values, got %s", where, check.shown(given))
  end
  local names = {}
  for name in pairs(given) do
    if type(name) ~= "string" or not fine(name) then
      usage("%s: expected %s, got %s", where, expected, check.shown(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  local found = {}
  for _, name in ipairs(names) do
    local values = given[name]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      found[#found + 1] = { name, value }
    end
  end
  local at = 0
  return function()
    at = at + 1
    if found[at] then return found[at][1], found[at][2] end
  end
end

return check
