--- rt.verify: a node whose arguments are approved, replaced or declined before it runs.

local check = require "railtracks.check"
local core = require "railtracks.core"
local nodes = require "railtracks.node"
local rt = require "railtracks"
local wrap = require "railtracks.wrap"

--- How a node is declined.
local function decline(name, reason)
  local why = reason == nil and "no reason given" or tostring(reason)
  core.fail("declined", ("%s was declined: %s"):format(name, why),
    { node = name, reason = reason })
end

local function verify(node, verifier, options)
  check.callable("rt.verify: argument 1", node)
  check.callable("rt.verify: argument 2", verifier)
  local seconds
  if options ~= nil then
    check.options("rt.verify: argument 3", options, { timeout = true })
    seconds = options.timeout
    if seconds ~= nil then check.timeout("rt.verify", seconds) end
  end

  local name = core.node_name(node)
  if core.is_node(node) and node.record == "none" then
    -- What is kept secret of the node is not told by the verifier's record either.
    local d = nodes.definition(verifier)
    d.record = "none"
    verifier = nodes.make(d)
  end

  local function judge(...)
    if seconds then return rt.timeout(seconds, verifier, ...) end
    return core.call(verifier, ...)
  end

  return wrap(node, function(next, ...)
    local verdict = table.pack(judge(...))
    local approved = verdict[1]
    if approved == true then
      if verdict.n == 1 then return next(...) end
      return next(table.unpack(verdict, 2, verdict.n))
    end
    if approved then
      check.usage("rt.verify: the verifier of %s must return true, false or nil, got %s", name,
        check.shown(approved))
    end
    decline(name, verdict[2])
  end)
end

return verify
