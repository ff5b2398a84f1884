--- rt.wrap: a node whose calls pass through functions on their way in and out.

local check = require "railtracks.check"
local core = require "railtracks.core"
local nodes = require "railtracks.node"

local same, call_number, is_in_call = nodes.same, core.call_number, core.is_in_call

--- `next` belongs to the call it was made for: what was kept of it, a generator say, is
--- not to run the body in a call that has nothing to do with the node.
local function layer(name, fn, inner)
  return function(...)
    local call = call_number()
    local function next(...)
      if not is_in_call(call) then
        check.usage("rt.wrap: `next` of %s: called outside of the call it was made for", name)
      end
      return same(inner(...))
    end
    return same(fn(next, ...))
  end
end

--- The new node has the name, description, params, record and timeout of the given one. It
--- is the same call that passes through the functions and runs the body; the params are
--- checked for what reaches that. Retries stay inside: the functions see one call.
local function wrap(node, ...)
  check.callable("rt.wrap: argument 1", node)
  local count = select("#", ...)
  if count == 0 then check.usage("rt.wrap: argument 2: expected a function, got nothing") end
  for i = 1, count do
    local fn = (select(i, ...))
    if type(fn) ~= "function" then
      check.usage("rt.wrap: argument %d: expected a function, got %s", i + 1, check.shown(fn))
    end
  end

  local d = nodes.definition(node)
  if d.retries then d.retries, d.timeout = nil, nil end  -- each attempt has it
  d.run, d.unchecked = nodes.body(node), true
  for i = count, 1, -1 do d.run = layer(d.name, (select(i, ...)), d.run) end
  return nodes.make(d)
end

return wrap
