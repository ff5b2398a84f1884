--- `railtracks run --progress`: what runs, how many calls have ended, drawn while it happens on
--- the terminal below what the script prints; in plain lines where there is none.

local console = require "railtracks.console"
local core = require "railtracks.core"
local drawing = require "railtracks.drawing"
local host = require "railtracks.host"
local rt = require "railtracks"

local EVERY = 100        -- milliseconds between two drawings
local EVERY_LINE = 2000  -- and between two plain lines
local MOST_READ = 400    -- of the calls that have not ended

local Progress = {}
Progress.__index = Progress

-- What there is to tell -------------------------------------------------------------------

--- What the call does: its progress if it tells of any, its rt.map, what else it waits for.
function Progress:doing(call)
  local told = self.told[call.run .. call.id]
  if told then return drawing.bar(told) end
  local total, live, left = call.waits:match
    "^rt%.map of (%d+) items, (%d+) running, (%d+) still to start"
  if not total then return call.waits end
  return drawing.bar { done = total - live - left, total = total }
end

--- Keeps what calls tell; now and then without those that are not read.
function Progress:note(event)
  local key = event.run .. event.call
  if not self.told[key] then self.count = self.count + 1 end
  self.told[key] = event
  if self.count <= 4 * MOST_READ then return end
  local kept, count = {}, 0
  for _, call in ipairs((console.calls(MOST_READ))) do
    key = call.run .. call.id
    if self.told[key] then kept[key], count = self.told[key], count + 1 end
  end
  self.told, self.count = kept, count
end

function Progress:running()
  local calls, more = console.calls(MOST_READ)
  local running = {}
  for _, call in ipairs(calls) do
    if call.status == "pending" then
      more = more + 1
    else
      call.doing = self:doing(call)
      running[#running + 1] = call
    end
  end
  return running, more
end

function Progress.counts() return core.tally() end

function Progress:elapsed() return rt.now() - self.began end

-- From the beginning to the end -------------------------------------------------------------

function Progress:draw()
  host.write(self.drawing:redrawn(host.held()))
end

function Progress:say()
  local line = self.drawing:line()
  if line then io.stderr:write(line) end
end

--- Begins; `finish` is to be called when the run has ended.
local function start()
  local terminal = host.terminal(2) and os.getenv "TERM" ~= "dumb"
  local self = setmetatable({
    told = {}, count = 0, began = rt.now(), terminal = terminal,
  }, Progress)
  self.drawing = drawing.new(self, terminal and (host.terminal(1) and 1 or 2) or nil)
  core.tally(true)
  -- Of an rt.map more is known at each moment than it tells.
  self.stop = rt.on("progress", function(event)
    if not event.map then self:note(event) end
  end)
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
    host.write(self.drawing:wiped() .. host.held(true))
    host.hold(false)
    io.stdout:flush()
    if not host.at_line_start() then io.stderr:write "\n" end
  end
  io.stderr:write(self.drawing:summary())
end

return start
