--- `railtracks top`: what another process runs, read from its journal and drawn while it happens.

local core = require "railtracks.core"
local drawing = require "railtracks.drawing"
local host = require "railtracks.host"
local journal = require "railtracks.journal"
local rt = require "railtracks"
local text = require "railtracks.show".text

local EVERY = 0.25       -- seconds between two looks
local EVERY_LINE = 2     -- and between two plain lines
local POLITE = 4         -- times what a look has taken, if that is more
local MOST_READ = 20000  -- calls in one look: the drawing goes on meanwhile
local PAGE = 50          -- runs looked at together

local Top = {}
Top.__index = Top

-- The runs ----------------------------------------------------------------------------------

--- The newest run that runs, and that no other has started.
local function newest(reader)
  local skip = 0
  repeat
    local runs = reader:runs(PAGE, skip)
    for _, run in ipairs(runs) do
      if run.status == "running" and not run.parent_run then return run end
    end
    skip = skip + PAGE
  until #runs < PAGE
end

--- Follows a run.
function Top:follow(run)
  local followed = { run = run, tail = self.reader:tail(run), open = {}, told = {} }
  self.runs[#self.runs + 1] = followed
  self.by_id[run.id] = followed
end

--- Follows the runs too that have been started from those that are followed.
function Top:find_nested()
  for _, run in ipairs(self.reader:since(self.newest)) do
    self.newest = run.number
    if run.parent_run and self.by_id[run.parent_run] then self:follow(run) end
  end
end

--- What a call has told of its progress, as it stands in the journal.
local function decode(event)
  local ok, told = pcall(rt.json.decode, event.value)
  if not ok or type(told) ~= "table" or type(told.done) ~= "number" then return nil end
  told.at = event.at
  return told
end

--- An item of a map has ended, perhaps since that last said how far it is.
local function count_item(told, call)
  local first, total = told.first, told.total
  if type(first) == "number" and type(total) == "number" and call.ended_at >= told.at
    and call.ordinal >= first and call.ordinal < first + total then
    told.done = told.done + 1
  end
end

--- Takes over what has come of a run. Returns whether there is more.
function Top:take(followed)
  local run, calls, events, more = followed.tail:look(MOST_READ)
  local told = followed.told
  if run.id then followed.run = run
  else followed.run.status = run.status end -- it was removed
  for seq, event in pairs(events) do told[seq] = decode(event) end
  for _, call in ipairs(calls) do
    if call.status == "running" then
      followed.open[call.seq] = call
    else
      followed.open[call.seq], told[call.seq] = nil, nil
      if call.above and told[call.above] then count_item(told[call.above], call) end
      self:count(call)
    end
  end
  return more
end

function Top:count(call)
  local node = self.nodes[call.node]
  if not node then
    node = { node = call.node, done = 0, failed = 0, cancelled = 0, seconds = 0 }
    self.nodes[call.node] = node
  end
  node[call.status] = (node[call.status] or 0) + 1
  node.seconds = node.seconds + math.max((call.ended_at or 0) - (call.spawned_at or 0), 0)
end

--- Looks what has come. Returns whether there is more to be read.
function Top:look()
  self:find_nested()
  local more = false
  for i = #self.runs, 1, -1 do
    local followed = self.runs[i]
    if self:take(followed) then
      more = true
    elseif i > 1 and followed.run.status ~= "running" then
      followed.tail:close()
      self.by_id[followed.run.id] = nil
      table.remove(self.runs, i)
    end
  end
  return more
end

-- What there is to tell -------------------------------------------------------------------

--- What the call does, as far as it tells.
local function doing(followed, call)
  local told = followed.told[call.seq]
  return told and drawing.bar(told) or ""
end

--- The open calls of a run, each below its caller.
local function in_order(open)
  local below, roots = {}, {}
  for _, call in pairs(open) do
    local list = roots
    if call.above and open[call.above] then
      list = below[call.above] or {}
      below[call.above] = list
    end
    list[#list + 1] = call
  end
  local function older(a, b) return a.seq < b.seq end
  table.sort(roots, older)
  local list, stack = {}, {}
  for i = #roots, 1, -1 do stack[#stack + 1] = roots[i] end
  while stack[1] do
    local call = table.remove(stack)
    list[#list + 1] = call
    local calls = below[call.seq]
    if calls then
      table.sort(calls, older)
      for i = #calls, 1, -1 do stack[#stack + 1] = calls[i] end
    end
  end
  return list
end

--- Adds the calls of a run that run to the list, and below each the runs that it awaits.
local function add(list, followed, depth, nested, at)
  local queued = 0
  for _, call in ipairs(in_order(followed.open)) do
    if call.started_at then
      list[#list + 1] = {
        node = call.node, depth = depth + call.depth, doing = doing(followed, call),
        age = math.max(at - call.started_at, 0),
      }
    else
      queued = queued + 1
    end
    local key = followed.run.id .. call.seq
    for _, inner in ipairs(nested[key] or {}) do
      queued = queued + add(list, inner, depth + call.depth + 1, nested, at)
    end
    nested[key] = nil
  end
  return queued
end

function Top:running()
  local list, nested, at = {}, {}, self.clock()
  for i = 2, #self.runs do
    local run = self.runs[i].run
    local key = run.parent_run .. (run.parent_call or 0)
    nested[key] = nested[key] or {}
    table.insert(nested[key], self.runs[i])
  end
  local queued = add(list, self.runs[1], 0, nested, at)
  -- Those whose callers are not to be seen yet.
  for key, runs in pairs(nested) do
    nested[key] = nil
    for _, inner in ipairs(runs) do queued = queued + add(list, inner, 1, nested, at) end
  end
  return list, queued
end

function Top:counts()
  local list = {}
  for _, node in pairs(self.nodes) do list[#list + 1] = node end
  return list
end

function Top:elapsed()
  local run = self.runs[1].run
  return math.max((run.ended_at or self.clock()) - (run.started_at or 0), 0)
end

-- From the beginning to the end -------------------------------------------------------------

--- A clock that tells the time of day with its fraction.
local function wall_clock()
  local seconds, micros = rt.uv.gettimeofday()
  local before = seconds + micros / 1e6 - rt.now()
  return function() return before + rt.now() end
end

function Top:show(terminal)
  local piece = terminal and self.drawing:redrawn "" or self.drawing:line()
  if piece then
    io.stdout:write(piece)
    io.stdout:flush()
  end
end

--- Draws until the run is over.
function Top:watch(terminal)
  local _ <close> = setmetatable({}, { __close = function()
    local run = self.runs[1].run
    io.stdout:write(self.drawing:wiped(), text.clean(run.name), "  ",
      self.drawing.paint(run.status, run.status), "\n", self.drawing:summary())
    io.stdout:flush()
  end })
  local shown = -math.huge
  repeat
    local began = rt.now()
    local more = self:look()
    local over = not more and self.runs[1].run.status ~= "running" and not self.runs[2]
    local every = terminal and 0 or EVERY_LINE
    if not over and rt.now() - shown >= every then
      self:show(terminal)
      shown = rt.now()
    end
    if not over then rt.sleep(more and 0 or math.max(EVERY, POLITE * (rt.now() - began))) end
  until over
end

--- Draws the run of that name, or the newest that runs. Returns how its own run has ended, as
--- core.run_script does.
return function(path, name)
  local terminal = host.terminal(1) and os.getenv "TERM" ~= "dumb"
  local reader <close> = journal.open(path)
  local run = name and reader:run(name) or newest(reader)
  if not run then core.fail("journal", ("no run of journal %s is running"):format(path)) end
  local self = setmetatable({
    reader = reader, runs = {}, by_id = {}, nodes = {}, newest = run.number,
  }, Top)
  self.drawing = drawing.new(self, terminal and 1 or nil)
  return core.run_script("top", nil, function()
    self.clock = wall_clock()
    self:follow(run)
    self:watch(terminal)
  end)
end
