--- rt.flow: a node to begin with, and how its runs are to be.

local check = require "railtracks.check"
local core = require "railtracks.core"

--- What each Flow was made of, as nobody else can change it.
local made = setmetatable({}, { __mode = "k" })

local known = { context = true, entry = true, name = true, stop_on_error = true, timeout = true }

--- Tables with all that is in them, cycles too; what is no table is shared.
local function deep_copy(value)
  local copies, found = {}, {}
  local function copy_of(this)
    if type(this) ~= "table" then return this end
    if not copies[this] then
      copies[this] = {}
      found[#found + 1] = this
    end
    return copies[this]
  end
  local copied = copy_of(value)
  while #found > 0 do
    local from = table.remove(found)
    local to = copies[from]
    for key, item in next, from do to[copy_of(key)] = copy_of(item) end
    setmetatable(to, debug.getmetatable(from))
  end
  return copied
end

local function of(what, flow)
  local d = made[flow]
  if not d then check.usage("%s: expected a Flow, got %s", what, type(flow)) end
  return d
end

--- What a run of the flow is given: its own copy of the context.
local function options_of(d)
  return {
    name = d.name, timeout = d.timeout, stop_on_error = d.stop_on_error,
    context = deep_copy(d.context),
  }
end

local methods = {}

local Flow = {
  __name = "railtracks.Flow",
  __metatable = "railtracks.Flow",
  __index = function(flow, key)
    if key == "name" or key == "entry" then return made[flow][key] end
    return methods[key]
  end,
  __newindex = function(_, key)
    check.usage("a Flow cannot be changed: flow:with{ %s = ... } makes a changed copy",
      tostring(key))
  end,
  __tostring = function(flow) return "Flow " .. made[flow].name end,
}

local function make(where, given)
  local d = {}
  for key, value in pairs(given) do d[key] = value end
  check.callable(where .. ": entry", d.entry)
  if d.name == nil then d.name = core.node_name(d.entry) end
  if type(d.name) ~= "string" or d.name == "" then
    check.usage("%s: name must be a non-empty string, got %s", where, check.shown(d.name))
  end
  if d.timeout ~= nil then check.timeout(where, d.timeout) end
  if d.context ~= nil and type(d.context) ~= "table" then
    check.usage("%s: context must be a table, got %s", where, check.shown(d.context))
  end
  if d.stop_on_error ~= nil and type(d.stop_on_error) ~= "boolean" then
    check.usage("%s: stop_on_error must be a boolean, got %s", where,
      check.shown(d.stop_on_error))
  end
  d.context = deep_copy(d.context)
  local flow = setmetatable({}, Flow)
  made[flow] = d
  return flow
end

--- A run of the flow: its results, or its error.
function methods.run(flow, ...)
  local d = of("flow:run", flow)
  return core.run_with(options_of(d), d.entry, ...)
end

--- A task of the current call, named after the flow, that runs the flow and has its outcome.
function methods.spawn(flow, ...)
  local d = of("flow:spawn", flow)
  if not core.current() then
    check.usage("flow:spawn outside a run: start one with flow:run(...) or rt.run(node, ...)")
  end
  local unrecorded = core.is_node(d.entry) and d.entry.record == "none"
  return core.spawn(core.node(d.name, function(...)
    return core.run_with(options_of(d), d.entry, ...)
  end, nil, nil, unrecorded), ...)
end

--- A changed copy.
function methods.with(flow, options)
  local d = of("flow:with", flow)
  check.options("flow:with", options, known)
  local changed = {}
  for key, value in pairs(d) do changed[key] = value end
  for key, value in pairs(options) do changed[key] = value end
  return make("flow:with", changed)
end

return function(options)
  check.options("rt.flow", options, known)
  return make("rt.flow", options)
end
