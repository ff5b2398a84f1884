--- Making nodes: what is given is checked here, what they are is C.
---
--- A node is made of a definition, a table of what rt.function_node takes. `unchecked` in it
--- says that `run` checks the params by itself. A node with retries is a node whose function
--- calls another one, the attempt, which has its timeout.

local check = require "railtracks.check"
local core = require "railtracks.core"
local rt = require "railtracks"

local usage = check.usage
local lib = {}

-- What is given -------------------------------------------------------------------------

local param_types = {
  any = true, boolean = true, integer = true, number = true, string = true, table = true,
}
local param_fields = { description = true, name = true, optional = true, type = true }

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

local function check_name(what, name)
  if type(name) ~= "string" or name == "" then
    usage("%s: the name must be a non-empty string, got %s", what,
      name == "" and "an empty one" or type(name))
  end
end

--- What of a definition is settable: the type it must have, nil for its own check.
local settable = {
  description = "string", name = "string", params = "table", record = "string",
  retries = false, run = "function", timeout = false,
}
local changeable = { description = true, name = true, record = true, retries = true,
  timeout = true }

--- The policy of `retries=`, nil for none.
local function policy_of(where, retries)
  if retries == nil or retries == 0 then return nil end
  where = where .. ": retries"
  if type(retries) == "table" then return require "railtracks.retry".policy(where, retries) end
  local times = retries == math.huge and retries or math.tointeger(retries)
  if type(retries) ~= "number" or not times or times < 0 then
    usage("%s must be a whole number, not negative, or a table, got %s", where,
      check.shown(retries))
  end
  return require "railtracks.retry".policy(where, { times = times + 1 })
end

local function check_values(where, given)
  for key, value in pairs(given) do
    local wanted = settable[key]
    if wanted == nil then
      usage("%s: there is no option '%s'", where, tostring(key))
    elseif wanted and type(value) ~= wanted then
      usage("%s: %s must be a %s, got %s", where, key, wanted, type(value))
    end
  end
  if given.record ~= nil and given.record ~= "none" and given.record ~= "all" then
    usage("%s: record must be 'all' or 'none', got '%s'", where, given.record)
  end
  if given.timeout ~= nil then check.timeout(where, given.timeout) end
  policy_of(where, given.retries)
end

-- Making --------------------------------------------------------------------------------

local function copy(options)
  local copied = {}
  for key, value in pairs(options or {}) do copied[key] = value end
  return copied
end

--- The node of a checked definition, which it may keep.
function lib.make(d)
  local unrecorded = d.record == "none"
  local policy = policy_of(d.name, d.retries)
  if not policy then
    return core.node(d.name, d.run, d.description, d.params, unrecorded, d.timeout, d.unchecked)
  end
  if type(d.retries) == "table" then d.retries = copy(d.retries) end
  local attempts = require "railtracks.retry".attempts
  local attempt = core.node(d.name, d.run, nil, nil, unrecorded, d.timeout)
  return core.node(d.name, function(...) return attempts(policy, attempt, ...) end,
    d.description, d.params, unrecorded, nil, d.unchecked, d)
end

--- What a node or plain function is made of, to be changed and made anew.
function lib.definition(node)
  if not core.is_node(node) then
    return { name = core.node_name(node), run = node,
      record = core.is_unrecorded(node) and "none" or nil }
  end
  local run, checked, d = core.node_body(node)
  if d then return copy(d) end
  return {
    name = node.name, run = run, description = node.description, params = node.params,
    record = node.record, timeout = node.timeout, unchecked = not checked,
  }
end

--- Stands between a call and its return, so that what it calls is no tail call: those are
--- missing from tracebacks.
function lib.same(...) return ... end
local same = lib.same

--- What a call of the node runs, params checked, to be run in place.
function lib.body(node)
  local run, checked = node, false
  if core.is_node(node) then run, checked = core.node_body(node) end
  return function(...)
    if checked then core.node_check(node, ...) end
    return same(run(...))
  end
end

--- Makes a node: `function_node(name, fn [, options])` or `function_node{ name=, run=, ... }`.
function lib.function_node(name, fn, options)
  local d
  if type(name) == "table" and fn == nil then
    d = copy(name)
  else
    if options ~= nil and type(options) ~= "table" then
      usage("rt.function_node: argument 3: expected a table of options, got %s", type(options))
    end
    d = copy(options)
    if d.name ~= nil or d.run ~= nil then
      usage("rt.function_node: name and run stand before the options")
    end
    d.name, d.run = name, fn
  end

  check_name("rt.function_node", d.name)
  local where = "rt.function_node: " .. d.name
  if type(d.run) ~= "function" then
    usage("%s: expected a function to run, got %s", where,
      core.is_node(d.run) and "a node" or type(d.run))
  end
  check_values(where, d)
  if d.params then check_params(d.name, d.params) end

  local node = lib.make(d)
  rt.nodes[d.name] = node
  return node
end

--- A changed copy; the registry keeps the original.
function lib.with(node, options)
  if not core.is_node(node) then usage("node:with: expected a node, got %s", type(node)) end
  local where = "node:with: " .. node.name
  check.options(where, options, changeable)
  if options.name ~= nil then check_name(where, options.name) end
  check_values(where, options)
  local d = lib.definition(node)
  for key, value in pairs(options) do d[key] = value end
  return lib.make(d)
end

return lib
