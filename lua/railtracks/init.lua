--- Railtracks: workflows of nodes and calls, run on one loop and written down.
---
--- What is hot is C (railtracks.core); here stands what is made of it. The types of all
--- of it are in lua/meta/railtracks.lua.

local core = require "railtracks.core"

local rt = {
  array = core.array,
  call = core.call,
  channel = core.channel,
  current = core.current,
  gather = core.gather,
  kind = core.kind,
  map = core.map,
  nodes = {},
  now = core.now,
  run = core.run,
  semaphore = core.semaphore,
  settle = core.settle,
  sleep = core.sleep,
  spawn = core.spawn,
  traceback = core.traceback,
  version = core.version,
}

local function usage(format, ...)
  core.fail("usage", format:format(...))
end

-- Nodes --------------------------------------------------------------------------------

local param_types = {
  any = true, boolean = true, integer = true, number = true, string = true, table = true,
}
local param_fields = { description = true, name = true, optional = true, type = true }
local node_fields = {
  description = "string", name = "string", params = "table", record = "string",
  run = "function",
}

local function check_params(node, params)
  for key in pairs(params) do
    if math.type(key) ~= "integer" or key < 1 or key > #params then
      usage("rt.function_node: %s: params must be a list, got the key %s", node, tostring(key))
    end
  end
  local seen_optional
  for i, param in ipairs(params) do
    local where = ("rt.function_node: %s: params[%d]"):format(node, i)
    if type(param) ~= "table" then usage("%s: expected a table, got %s", where, type(param)) end
    if type(param.name) ~= "string" or param.name == "" then
      usage("%s: name must be a non-empty string", where)
    end
    if param.type ~= nil and not param_types[param.type] then
      usage("%s: type must be one of string number integer boolean table any, got %s", where,
        tostring(param.type))
    end
    for key in pairs(param) do
      if not param_fields[key] then usage("%s: there is no field '%s'", where, tostring(key)) end
    end
    if seen_optional and not param.optional then
      usage("%s: '%s' must be optional too, it follows an optional one", where, param.name)
    end
    seen_optional = param.optional
  end
end

--- Makes a node: `function_node(name, fn [, options])` or `function_node{ name=, run=, ... }`.
local function function_node(name, fn, options)
  local given
  if type(name) == "table" and fn == nil then
    given = name
  else
    if options ~= nil and type(options) ~= "table" then
      usage("rt.function_node: argument 3: expected a table of options, got %s", type(options))
    end
    given = {}
    for key, value in pairs(options or {}) do given[key] = value end
    if given.name ~= nil or given.run ~= nil then
      usage("rt.function_node: name and run stand before the options")
    end
    given.name, given.run = name, fn
  end

  if type(given.name) ~= "string" or given.name == "" then
    usage("rt.function_node: the name must be a non-empty string, got %s",
      given.name == "" and "an empty one" or type(given.name))
  end
  if type(given.run) ~= "function" then
    usage("rt.function_node: %s: expected a function to run, got %s", given.name,
      core.is_node(given.run) and "a node" or type(given.run))
  end
  for key, value in pairs(given) do
    local wanted = node_fields[key]
    if not wanted then
      usage("rt.function_node: %s: there is no option '%s'", given.name, tostring(key))
    elseif type(value) ~= wanted then
      usage("rt.function_node: %s: %s must be a %s, got %s", given.name, key, wanted, type(value))
    end
  end
  if given.record ~= nil and given.record ~= "none" and given.record ~= "all" then
    usage("rt.function_node: %s: record must be 'all' or 'none', got '%s'", given.name,
      given.record)
  end
  if given.params then check_params(given.name, given.params) end

  local node = core.node(given.name, given.run, given.description, given.params,
    given.record == "none")
  rt.nodes[given.name] = node
  return node
end
rt.function_node = function_node

-- JSON: loaded when it is first used ----------------------------------------------------

setmetatable(rt, {
  __index = function(_, key)
    if key ~= "json" then return nil end
    rt.json = require "railtracks.json"
    return rt.json
  end,
})

-- Leaving -------------------------------------------------------------------------------

-- In a run, os.exit cancels it first: cleanup runs and what happened is written down.
local exit = os.exit
os.exit = function(code, close) -- luacheck: ignore 122
  if not core.current() then return exit(code, close) end
  if code == nil or code == true then code = 0 elseif code == false then code = 1 end
  code = math.tointeger(code)
  if not code then usage("os.exit: expected a whole number, a boolean or nothing") end
  core.exit(code, exit)
end

return rt
