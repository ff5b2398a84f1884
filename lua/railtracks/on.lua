--- rt.on: handlers of what happens, called between tasks (src/engine/notice.h).

local check = require "railtracks.check"
local core = require "railtracks.core"

local bits = { call_started = 1, call_ended = 2, broadcast = 4, progress = 8, log = 16 }

--- By event, the list of {fn=, told=}; a new list for each change, as one may be walked.
local handlers = {}

local function listen()
  local all = 0
  for event, bit in pairs(bits) do
    if handlers[event] then all = all | bit end
  end
  core.listen(all)
end

local function change(event, list)
  handlers[event] = list[1] and list or nil
  listen()
end

--- A handler that fails is told of once, and called on.
local function call(handler, event)
  if handler.over then return end
  local ok, problem = pcall(handler.fn, event)
  if ok or handler.told then return end
  handler.told = true
  core.warn(("a handler of '%s' failed: %s"):format(event.event, tostring(problem)))
end

core.dispatch(function(queue, first, last)
  for i = first, last do
    local event = queue[i]
    queue[i] = nil
    for _, handler in ipairs(handlers[event.event] or {}) do call(handler, event) end
  end
end)

local function known()
  local names = {}
  for name in pairs(bits) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

--- Calls fn(event) for each event of that name; returns a function that ends it.
return function(event, fn)
  if not bits[event] then
    check.usage("rt.on: argument 1: expected one of %s, got %s", known(), check.shown(event))
  end
  if type(fn) ~= "function" then
    check.usage("rt.on: argument 2: expected a function, got %s", check.shown(fn))
  end
  local handler = { fn = fn }
  local list = table.move(handlers[event] or {}, 1, #(handlers[event] or {}), 1, {})
  list[#list + 1] = handler
  change(event, list)
  return function()
    if handler.over then return end
    handler.over = true
    local left = {}
    for _, other in ipairs(handlers[event]) do
      if other ~= handler then left[#left + 1] = other end
    end
    change(event, left)
  end
end
