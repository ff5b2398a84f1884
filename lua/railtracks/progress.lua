--- `railtracks run --progress`: what runs, how many calls have ended, drawn while it happens on
--- the terminal below what the script prints; in plain lines where there is none.

local console = require "railtracks.console"
local core = require "railtracks.core"
local host = require "railtracks.host"
local rt = require "railtracks"
local text = require "railtracks.show".text

local EVERY = 100        -- milliseconds between two drawings
local EVERY_LINE = 2000  -- and between two plain lines
local MOST_CALLS = 12    -- that are drawn
local MOST_READ = 400    -- of the calls that have not ended
local MOST_NODES = 6     -- whose counts are drawn
local BAR = 20           -- columns

local function span(seconds) return text.duration_of { started_at = 0, ended_at = seconds } end

local function bar(done, total)
  local part = total > 0 and math.min(done / total, 1) or 0
  local full = math.floor(part * BAR + 0.5)
  return ("%s%s %g/%g"):format(("█"):rep(full), ("░"):rep(BAR - full), done, total)
end

local Progress = {}
Progress.__index = Progress

-- What there is to tell -------------------------------------------------------------------

--- The counts of nodes, those with the most calls first, and the sums of all.
local function counts()
  local list, sum = core.tally(), { done = 0, failed = 0, cancelled = 0 }
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

--- The calls that run, and how many of those that have not ended are not told of.
function Progress.running()
  local calls, more = console.calls(MOST_READ)
  local running = {}
  for _, call in ipairs(calls) do
    if call.status == "pending" then more = more + 1
    elseif #running < MOST_CALLS then running[#running + 1] = call
    else more = more + 1 end
  end
  return running, more
end

--- What the call does: its progress if it tells of any, its rt.map, what else it waits for.
function Progress:activity(call)
  local told = self.told[call.run .. call.id]
  if told and told.total then
    return bar(told.done, told.total) .. (told.label and "  " .. told.label or "")
  elseif told then
    return ("%g%s"):format(told.done, told.label and "  " .. told.label or "")
  end
  local total, live, left = call.waits:match
    "^rt%.map of (%d+) items, (%d+) running, (%d+) still to start"
  if total then return bar(total - live - left, tonumber(total)) end
  return call.waits
end

-- On a terminal -----------------------------------------------------------------------------

local function summed(sum, paint)
  local parts = { paint("done", ("%s done"):format(text.grouped(sum.done))) }
  for _, name in ipairs { "failed", "cancelled" } do
    if sum[name] > 0 then
      parts[#parts + 1] = paint(name, ("%s %s"):format(text.grouped(sum[name]), name))
    end
  end
  return table.concat(parts, ", ")
end

--- The lines to be drawn; each fits into the width.
function Progress:lines()
  local width, paint = (host.terminal(self.fd) or 80) - 1, self.paint
  local lines = {}
  local running, more = self.running()
  for _, call in ipairs(running) do
    local head = ("%8s  %s▸ "):format(span(call.age), ("  "):rep(math.min(call.depth, width // 8)))
    local node = text.fit(call.node, math.max(width // 3, 12))
    local used = text.width_of(head) + text.width_of(node)
    local rest = text.fit(self:activity(call), math.max(width - used - 2, 0))
    lines[#lines + 1] = head .. paint("bold", node) .. "  " .. paint("dim", rest)
  end
  if more > 0 then lines[#lines + 1] = ("%8s  … %s more"):format("", text.grouped(more)) end
  local list, sum = counts()
  local parts, used = {}, 0
  for i = 1, math.min(#list, MOST_NODES) do
    local part = ("%s %s"):format(text.grouped(list[i].calls), text.clean(list[i].node))
    used = used + text.width_of(part) + 2
    if used > width - 40 then break end
    parts[i] = part
  end
  lines[#lines + 1] = ("%8s  %s%s"):format(span(rt.now() - self.began), summed(sum, paint),
    parts[1] and paint("dim", "  " .. table.concat(parts, "  ")) or "")
  return lines
end

--- What takes the drawn lines away, however the terminal has wrapped them since.
function Progress:wiped()
  if not self.drawn then return "" end
  local width, rows = host.terminal(self.fd) or 80, 0
  for _, line in ipairs(self.drawn) do
    local columns = text.width_of((line:gsub("\27%[%d*m", "")))
    rows = rows + math.max((columns + width - 1) // width, 1)
  end
  self.drawn = nil
  return ("\27[%dA\r\27[J"):format(rows)
end

function Progress:draw()
  local lines = self:lines()
  local wiped = self:wiped()
  host.write(wiped .. host.held() .. table.concat(lines, "\n") .. "\n")
  self.drawn = lines
end

-- Without one ------------------------------------------------------------------------------

function Progress:say()
  local running, more = self.running()
  local _, sum = counts()
  local now = running[#running]
  local line = ("progress: %s, %s running%s"):format(
    summed(sum, self.paint), text.grouped(#running + more),
    now and (": %s %s"):format(text.clean(now.node), self:activity(now)) or "")
  if line ~= self.last then io.stderr:write(line, "\n") end
  self.last = line
end

-- From the beginning to the end -------------------------------------------------------------

--- Begins; `finish` is to be called when the run has ended.
local function start()
  local terminal = host.terminal(2) and os.getenv "TERM" ~= "dumb"
  local self = setmetatable({
    told = {}, began = rt.now(), fd = host.terminal(1) and 1 or 2,
    paint = text.painter { colour = terminal and (os.getenv "NO_COLOR" or "") == "" },
    terminal = terminal,
  }, Progress)
  core.tally(true)
  self.stop = rt.on("progress", function(event) self.told[event.run .. event.call] = event end)
  if terminal then
    host.screen()
    host.hold(true)
  end
  -- It keeps no run alive, and what is wrong with a drawing is nothing to the run.
  local every = terminal and EVERY or EVERY_LINE
  self.timer = rt.uv.new_timer()
  self.timer:start(every, every, function() pcall(terminal and self.draw or self.say, self) end)
  self.timer:unref()
  return self
end

--- Takes the drawing away and tells what there was of each node.
function Progress:finish()
  self.timer:close()
  self.stop()
  if self.terminal then
    host.write(self:wiped() .. host.held(true))
    host.hold(false)
    io.stdout:flush()
    if not host.at_line_start() then io.stderr:write "\n" end
  end
  local list, sum = counts()
  io.stderr:write(("%8s  %s\n"):format(span(rt.now() - self.began), summed(sum, self.paint)))
  for _, node in ipairs(list) do
    local failed = {}
    for _, name in ipairs { "failed", "cancelled" } do
      if node[name] > 0 then
        failed[#failed + 1] = self.paint(name, ("%s %s"):format(text.grouped(node[name]), name))
      end
    end
    io.stderr:write(("%8s  %s %s%s\n"):format(span(node.seconds), text.grouped(node.calls),
      text.clean(node.node), failed[1] and "  " .. table.concat(failed, ", ") or ""))
  end
end

return start
