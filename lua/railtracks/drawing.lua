--- What runs, drawn while it runs: for 'railtracks run --progress' and 'railtracks top'.
---
--- A source tells what there is: source:running() gives a list of the calls that run, each below
--- its caller, {node, depth, age, doing}, and how many more there are; source:counts() a list of
--- what has ended, {node, done, failed, cancelled, seconds}; source:elapsed() the seconds since it
--- began.

local host = require "railtracks.host"
local text = require "railtracks.show".text

local MOST_CALLS = 12    -- that are drawn
local MOST_NODES = 6     -- whose counts are drawn
local BAR = 20           -- columns

local Drawing = {}
Drawing.__index = Drawing

local function span(seconds) return text.duration_of { started_at = 0, ended_at = seconds } end

--- How far something is, as `{done, total, label}` tell.
function Drawing.bar(told)
  local label = type(told.label) == "string" and "  " .. told.label or ""
  local total = tonumber(told.total)
  if not total then return ("%.14g%s"):format(told.done, label) end
  local part = total > 0 and math.min(told.done / total, 1) or 0
  local full = math.floor(part * BAR + 0.5)
  return ("%s%s %.14g/%.14g%s"):format(("█"):rep(full), ("░"):rep(BAR - full), told.done, total,
    label)
end

--- The counts of nodes, those with the most calls first, and the sums of all.
local function counts(source)
  local list, sum = source:counts(), { done = 0, failed = 0, cancelled = 0 }
  for _, node in ipairs(list) do
    for name in pairs(sum) do sum[name] = sum[name] + node[name] end
    node.calls = node.done + node.failed + node.cancelled
  end
  table.sort(list, function(a, b)
    if a.calls ~= b.calls then return a.calls > b.calls end
    return a.node < b.node
  end)
  return list, sum
end

local function bad(node, paint)
  local parts = {}
  for _, name in ipairs { "failed", "cancelled" } do
    if node[name] > 0 then
      parts[#parts + 1] = paint(name, ("%s %s"):format(text.grouped(node[name]), name))
    end
  end
  return parts
end

local function summed(sum, paint)
  local parts = bad(sum, paint)
  table.insert(parts, 1, paint("done", ("%s done"):format(text.grouped(sum.done))))
  return table.concat(parts, ", ")
end

--- The lines to be drawn; each fits into the width.
function Drawing:lines()
  local width, paint = (host.terminal(self.fd) or 80) - 1, self.paint
  local lines = {}
  local running, more = self.source:running()
  for i, call in ipairs(running) do
    if i > MOST_CALLS then break end
    local head = ("%8s  %s▸ "):format(span(call.age), ("  "):rep(math.min(call.depth, width // 8)))
    local node = text.fit(call.node, math.max(width // 3, 12))
    local used = text.width_of(head) + text.width_of(node)
    local rest = text.fit(call.doing, math.max(width - used - 2, 0))
    lines[i] = head .. paint("bold", node) .. "  " .. paint("dim", rest)
  end
  more = more + math.max(#running - MOST_CALLS, 0)
  if more > 0 then lines[#lines + 1] = ("%8s  … %s more"):format("", text.grouped(more)) end
  local list, sum = counts(self.source)
  local parts, used = {}, 0
  for i = 1, math.min(#list, MOST_NODES) do
    local part = ("%s %s"):format(text.grouped(list[i].calls), text.clean(list[i].node))
    used = used + text.width_of(part) + 2
    if used > width - 40 then break end
    parts[i] = part
  end
  lines[#lines + 1] = ("%8s  %s%s"):format(span(self.source:elapsed()), summed(sum, paint),
    parts[1] and paint("dim", "  " .. table.concat(parts, "  ")) or "")
  return lines
end

--- What takes the drawn lines away, however the terminal has wrapped them since.
function Drawing:wiped()
  if not self.drawn then return "" end
  local width, rows = host.terminal(self.fd) or 80, 0
  for _, line in ipairs(self.drawn) do
    local columns = text.width_of((line:gsub("\27%[%d*m", "")))
    rows = rows + math.max((columns + width - 1) // width, 1)
  end
  self.drawn = nil
  -- Line by line: a whole screen that is erased at once goes to the history of some terminals.
  -- The line below is that of the cursor: it has the keys that the terminal has echoed.
  return ("\27[%dA\r%s\27[2K\27[%dA"):format(rows, ("\27[2K\27[B"):rep(rows), rows)
end

--- What draws it anew, below `above`.
function Drawing:redrawn(above)
  local lines = self:lines()
  local wiped = self:wiped()
  self.drawn = lines
  return wiped .. above .. table.concat(lines, "\n") .. "\n"
end

--- A plain line, or nil if it would say what the last one did.
function Drawing:line()
  local running, more = self.source:running()
  local _, sum = counts(self.source)
  local now = running[#running]
  local line = ("progress: %s, %s running%s\n"):format(
    summed(sum, self.paint), text.grouped(#running + more),
    now and (": %s %s"):format(text.clean(now.node), text.clean(now.doing)) or "")
  if line == self.last then return nil end
  self.last = line
  return line
end

--- What there was of each node.
function Drawing:summary()
  local list, sum = counts(self.source)
  local lines = {
    ("%8s  %s\n"):format(span(self.source:elapsed()), summed(sum, self.paint)),
  }
  for _, node in ipairs(list) do
    local failed = table.concat(bad(node, self.paint), ", ")
    lines[#lines + 1] = ("%8s  %s %s%s\n"):format(span(node.seconds), text.grouped(node.calls),
      text.clean(node.node), failed ~= "" and "  " .. failed or "")
  end
  return table.concat(lines)
end

--- A drawing of the source on the terminal `fd`, or in plain lines if it is nil.
function Drawing.new(source, fd)
  return setmetatable({
    source = source, fd = fd,
    paint = text.painter { colour = fd and (os.getenv "NO_COLOR" or "") == "" },
  }, Drawing)
end

return Drawing
