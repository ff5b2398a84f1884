--- rt.require: `require` for modules that wait while they load.
---
--- A load is a call of its own, named "require NAME", which all who ask for the module in
--- the meantime wait for. Outside a run nothing can wait, and the loader is just called.

local check = require "railtracks.check"
local core = require "railtracks.core"

local package = package
local loaded = package.loaded

--- Loads that have begun, by the module's name: the task, whose run it is of, and which
--- modules are waited for in it.
local loads = {}

-- Called from C, as require does: their errors name no line of ours as their place.
local through = core.through

local function find_loader(name)
  if type(package.searchers) ~= "table" then error("'package.searchers' must be a table", 0) end
  local tried = {}
  for i = 1, math.huge do
    local searcher = package.searchers[i]
    if searcher == nil then
      error(("module '%s' not found:%s"):format(name, table.concat(tried)), 0)
    end
    local loader, data = through(searcher, name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then tried[#tried + 1] = "\n\t" .. loader end
  end
end

local function load_module(name)
  local loader, data = find_loader(name)
  local value = through(loader, name, data)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name], data
end

-- Who waits for whom --------------------------------------------------------------------

--- The load of the module, if it has not ended.
local function load_of(name)
  local load = loads[name]
  if not load then return nil end
  local status = load.task:status()
  if status == "pending" or status == "running" then return load end
  loads[name] = nil
end

--- The innermost load that the current call belongs to; nil if it is in none.
local function load_around(here)
  local innermost, longest = nil, 0
  for name in pairs(loads) do
    local load = load_of(name)
    if load and load.run == here.run then
      local id = load.task.id
      local inside = here.call == id or here.call:sub(1, #id + 1) == id .. "."
      if inside and #id > longest then innermost, longest = load, #id end
    end
  end
  return innermost
end

--- The way from one module to another through what they wait for, as a list; nil for none.
local function way(from, to, seen)
  if from == to then return { to } end
  local load = load_of(from)
  if not load or seen[from] then return nil end
  seen[from] = true
  for name in pairs(load.waits) do
    local rest = way(name, to, seen)
    if rest then
      table.insert(rest, 1, from)
      return rest
    end
  end
end

local function check_loop(name, around)
  local loop = around and way(name, around.name, {})
  if not loop then return end
  core.fail("deadlock", ("rt.require: modules require each other in a loop: %s -> %s"):format(
    around.name, table.concat(loop, " -> ")))
end

--- Notes that the load waits for the module, `step` times more.
local function note(around, name, step)
  if not around then return end
  local count = (around.waits[name] or 0) + step
  around.waits[name] = count > 0 and count or nil
end

-- Loading -------------------------------------------------------------------------------

local function begin(name, here)
  local node = core.node("require " .. name, function() return load_module(name) end, nil, nil,
    true)
  loads[name] = { name = name, task = core.spawn(node), run = here.run, waits = {} }
  return loads[name]
end

return function(name)
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    check.usage("rt.require: argument 1: expected the name of a module, got %s", type(name))
  end
  if loaded[name] then return loaded[name] end
  local here = core.current()
  if not here then return load_module(name) end

  local around = load_around(here)
  while true do
    core.may_wait "rt.require"
    local load, ours = load_of(name), false
    if load then check_loop(name, around) else load, ours = begin(name, here), true end
    note(around, name, 1)
    local outcome = table.pack(pcall(load.task.await, load.task))
    note(around, name, -1)
    if outcome[1] then return table.unpack(outcome, 2, outcome.n) end
    -- Who began it was cancelled: that is no reason for the others not to have it.
    if ours or load.task:status() ~= "cancelled" then error(outcome[2], 0) end
    if loaded[name] then return loaded[name] end
  end
end
