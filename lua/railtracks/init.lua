--- Railtracks: workflows of nodes and calls, run on one loop and written down.
---
--- What is hot is C (railtracks.core); here stands what is made of it. The types of all
--- of it are in lua/meta/railtracks.lua.

local core = require "railtracks.core"

local rt = {
  any = core.any,
  array = core.array,
  as_completed = core.as_completed,
  await = core.await,
  broadcast = core.broadcast,
  call = core.call,
  channel = core.channel,
  current = core.current,
  fatal = core.fatal,
  gather = core.gather,
  kind = core.kind,
  log = core.log,
  map = core.map,
  nodes = {},
  now = core.now,
  progress = core.progress,
  race = core.race,
  raw = core.raw,
  run = core.run,
  scope = core.scope,
  semaphore = core.semaphore,
  settle = core.settle,
  shield = core.shield,
  sleep = core.sleep,
  spawn = core.spawn,
  stats = core.stats,
  timeout = core.timeout,
  traceback = core.traceback,
  version = core.version,
}

-- What is rarely used is loaded when it is first used -------------------------------------

--- Where a field comes from: a module, or a field of one.
local later = {
  context = { "railtracks.context" },
  flow = { "railtracks.flow" },
  fs = { "railtracks.fs" },
  function_node = { "railtracks.node", "function_node" },
  http = { "railtracks.http" },
  json = { "railtracks.json" },
  load = { "railtracks.plugin" },
  net = { "railtracks.net" },
  on = { "railtracks.on" },
  process = { "railtracks.process" },
  require = { "railtracks.require" },
  retry = { "railtracks.retry", "retry" },
  runs = { "railtracks.trace", "runs" },
  trace = { "railtracks.trace", "trace" },
  uv = { "railtracks.uv" },
  verify = { "railtracks.verify" },
  wrap = { "railtracks.wrap" },
}

setmetatable(rt, {
  __index = function(_, key)
    local from = later[key]
    if not from then return nil end
    local value = require(from[1])
    if from[2] then value = value[from[2]] end
    rt[key] = value
    return value
  end,
  __pairs = function(t)
    for key in pairs(later) do local _ = t[key] end -- none may be added on the way
    return next, t
  end,
})

-- Lua's own functions that would keep a cancellation, or could not wait ------------------

if core.pcall then
  pcall, xpcall = core.pcall, core.xpcall -- luacheck: ignore 121
  for name, fn in pairs(core.coroutine) do coroutine[name] = fn end -- luacheck: ignore 122
  debug.traceback = core.traceback_of -- luacheck: ignore 122
  -- Messages name a function after the first module it is found in.
  core.pcall, core.xpcall, core.coroutine, core.traceback_of = nil, nil, nil, nil
end

core.node_methods.with = function(node, options)
  return require "railtracks.node".with(node, options)
end

-- Whoever asks for luv gets ours: another one would have a loop that nobody runs.
package.preload.luv = package.preload.luv or function() return rt.uv end

-- Leaving -------------------------------------------------------------------------------

-- In a run, os.exit cancels it first: cleanup runs and what happened is written down.
local exit = os.exit
os.exit = function(code, close) -- luacheck: ignore 122
  if not core.current() then return exit(code, close) end
  if code == nil or code == true then code = 0 elseif code == false then code = 1 end
  code = math.tointeger(code)
  if not code then
    core.fail("usage", "os.exit: expected a whole number, a boolean or nothing")
  end
  core.exit(code, exit)
end

return rt
