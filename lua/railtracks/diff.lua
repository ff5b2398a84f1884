--- Where two runs went apart: their calls side by side, matched by id.

local show = require "railtracks.show"

local text = show.text
local MOST = 200  -- differences that are told, unless said otherwise
local BEFORE = 20 -- bytes shown of what is the same

--- Which of two calls below the same caller stands first: -1, 0, 1. Who is deeper is below
--- one that the other run has no call to match with.
local function compare(a, b)
  if not a or not b then return a and -1 or 1 end
  if a.depth ~= b.depth then return a.depth > b.depth and -1 or 1 end
  return a.ordinal < b.ordinal and -1 or a.ordinal > b.ordinal and 1 or 0
end

--- The calls of a run one by one, in the order of their ids.
local function cursor(reader, run)
  local next_call, _, _, closing = reader:calls(run, -1, "id")
  local self = {}
  function self.advance() self.call = next_call() end
  self.advance()
  return setmetatable(self, { __close = function() local _ <close> = closing end })
end

local function message_of(call)
  local failure = call.error and show.failure(call.error)
  return failure and failure.message
end

--- Where two texts go apart: how many bytes they begin with that are the same.
local function same_until(a, b)
  local low, high = 0, math.min(#a, #b)
  while low < high do
    local middle = (low + high + 1) // 2
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low
end

--- Both, without most of a long beginning that is the same: a line shows what is not.
local function from_difference(a, b)
  local at = same_until(a, b)
  if at <= 2 * BEFORE then return a, b end
  at = at - BEFORE
  while at > 0 and (a:byte(at + 1) or 0) & 0xC0 == 0x80 do at = at - 1 end -- inside a character
  return "…" .. a:sub(at + 1), "…" .. b:sub(at + 1)
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
  local function write(colour, line) out(paint(colour, text.fit(line, width)) .. "\n") end
  local function may_tell()
    found = found + 1
    if told >= limit then return false end
    told = told + 1
    return true
  end
  local function tell(call, what, left, right)
    if not may_tell() then return end
    left, right = from_difference(left, right)
    -- An id is never cut, however long its line becomes.
    local room = math.max(width - #call.id - #what - 5, 20)
    local head = ("~ %s %s: %s"):format(call.id, text.fit(call.node, room), what)
    out(paint("cancelled", head) .. "\n")
    write("failed", "    - " .. left)
    write("done", "    + " .. right)
  end
  local function only(mark, colour, side)
    local call = side.call
    local below = skip(side)
    if not may_tell() then return end
    local more = below > 0 and (" and %s below it"):format(text.grouped(below)) or ""
    local args = (call.args or "…"):match "^%[(.*)%]$" or "…"
    local room = math.max(width - #call.id - #more - 5, 20)
    local node = text.fit(call.node, room)
    out(paint(colour, ("%s %s %s(%s)%s"):format(mark, call.id, node,
      text.fit(args, math.max(room - text.width_of(node), 1)), more)) .. "\n")
  end
  out(paint("failed", ("- %s  %s"):format(runs[1].id, text.clean(runs[1].name))) .. "\n")
  out(paint("done", ("+ %s  %s"):format(runs[2].id, text.clean(runs[2].name))) .. "\n\n")
  local a <close> = cursor(reader, runs[1])
  local b <close> = cursor(reader, runs[2])
  while a.call or b.call do
    local order = compare(a.call, b.call)
    if order < 0 then only("-", "failed", a)
    elseif order > 0 then only("+", "done", b)
    else
      for _, one in ipairs(differences(a.call, b.call)) do
        tell(a.call, table.unpack(one))
      end
      a.advance()
      b.advance()
    end
  end
  if found == 0 then out "no call is different\n" end
  if found > told then
    out(("… %s (--all shows them)\n"):format(found - told == 1 and "1 more difference"
      or text.grouped(found - told) .. " more differences"))
  end
  return found > 0
end
