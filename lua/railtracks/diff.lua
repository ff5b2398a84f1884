--- Where two runs went apart: their calls side by side, matched by id.

local show = require "railtracks.show"

local text = show.text
local MOST = 200 -- differences that are told, unless said otherwise

local function parts_of(id)
  local parts = {}
  for part in id:gmatch "%d+" do parts[#parts + 1] = math.tointeger(part) or math.maxinteger end
  return parts
end

--- Whether `a` stands before `b` in a tree: -1, 0, 1.
local function compare(a, b)
  for i = 1, math.max(#a, #b) do
    local left, right = a[i] or -1, b[i] or -1
    if left ~= right then return left < right and -1 or 1 end
  end
  return 0
end

--- The calls of a run one by one, in the order of the tree.
local function cursor(reader, run)
  local next_call, _, _, closing = reader:calls(run, -1, "tree")
  local self = {}
  function self.advance()
    self.call = next_call()
    self.parts = self.call and parts_of(self.call.id)
  end
  self.advance()
  return setmetatable(self, { __close = function() local _ <close> = closing end })
end

local function message_of(call)
  local failure = call.error and show.failure(call.error)
  return failure and failure.message
end

--- What is different about two calls of the same id: a list of {what, of the first, of the other}.
local function differences(a, b)
  local found = {}
  local function compare_field(what, left, right)
    if left ~= right then found[#found + 1] = { what, left or "nothing", right or "nothing" } end
  end
  compare_field("node", a.node, b.node)
  compare_field("arguments", a.args, b.args)
  compare_field("status", a.status, b.status)
  compare_field("results", a.results, b.results)
  compare_field("error", message_of(a), message_of(b))
  return found
end

--- Moves past the call and all below it. Returns how many those are.
local function skip(side)
  local depth, below = side.call.depth, -1
  repeat
    below = below + 1
    side.advance()
  until not side.call or side.call.depth <= depth
  return below
end

--- Writes what is different. Returns whether anything is.
return function(reader, names, options, out)
  local runs = { reader:run(names[1]), reader:run(names[2]) }
  local paint, width = text.painter(options), options.width or 100
  local told, found, limit = 0, 0, options.limit or MOST
  local function tell(colour, ...)
    found = found + 1
    if told >= limit then return end
    told = told + 1
    for _, line in ipairs { ... } do out(paint(colour, text.fit(line, width)) .. "\n") end
  end
  local function only(mark, colour, side)
    local call = side.call
    local below = skip(side)
    tell(colour, ("%s %s %s(%s)%s"):format(mark, call.id, text.clean(call.node),
      text.clean((call.args or "…"):match "^%[(.*)%]$" or "…"),
      below > 0 and (" and %s below it"):format(text.grouped(below)) or ""))
  end
  out(paint("failed", ("- %s  %s"):format(runs[1].id, text.clean(runs[1].name))) .. "\n")
  out(paint("done", ("+ %s  %s"):format(runs[2].id, text.clean(runs[2].name))) .. "\n\n")
  local a <close> = cursor(reader, runs[1])
  local b <close> = cursor(reader, runs[2])
  while a.call or b.call do
    local order = not a.call and 1 or not b.call and -1 or compare(a.parts, b.parts)
    if order < 0 then only("-", "failed", a)
    elseif order > 0 then only("+", "done", b)
    else
      for _, one in ipairs(differences(a.call, b.call)) do
        tell("cancelled", ("~ %s %s: %s"):format(a.call.id, text.clean(a.call.node), one[1]),
          "    - " .. text.clean(one[2]), "    + " .. text.clean(one[3]))
      end
      a.advance()
      b.advance()
    end
  end
  if found == 0 then out "no call is different\n" end
  if found > told then
    out(("… %s more differences (--all shows them)\n"):format(text.grouped(found - told)))
  end
  return found > 0
end
