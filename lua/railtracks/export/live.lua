--- `railtracks export --live`: the calls of a run as OTLP spans when they have ended, until the
--- run has. What is not sent yet is in the journal: nothing more is read while a collector is
--- busy.

local core = require "railtracks.core"
local export = require "railtracks.export"
local host = require "railtracks.host"
local journal = require "railtracks.journal"
local rt = require "railtracks"
local spans = require "railtracks.export.spans"

local EVERY = 1      -- seconds between two looks
local PATIENCE = 300 -- with a collector that is busy or not there
local LOOK = 5000    -- calls looked at together
local READ = 100     -- and read with arguments and results

local Live = {}
Live.__index = Live

function Live:removed()
  core.fail("journal", ("run number %d has been removed from journal %s; what was sent is not "
    .. "all of it"):format(self.number, self.path))
end

--- Sends the calls that have these seqs.
function Live:send(seqs)
  for first = 1, #seqs, READ do
    local some = table.move(seqs, first, math.min(first + READ - 1, #seqs), 1, {})
    local calls = self.tail:read(some)
    if #calls < #some then self:removed() end
    for _, call in ipairs(calls) do
      if call.status == "running" then call.status = "interrupted" end
      self.requests:add(call)
    end
    rt.sleep(0) -- so that Ctrl-C ends it here
  end
end

--- Sends what has ended since the last look. Returns whether there is more to come at once.
function Live:look()
  local run, calls, _, more = self.tail:look(LOOK)
  if not run.id then self:removed() end
  self.requests.run, self.over = run, run.status ~= "running" and not more
  local ended = {}
  for _, call in ipairs(calls) do
    local running = call.status == "running"
    self.open[call.seq] = running or nil
    if not running then ended[#ended + 1] = call.seq end
  end
  self:send(ended)
  return more
end

--- Sends what had not ended when the run was over, as it never will.
function Live:send_open()
  if not next(self.open) then return end
  export.complete(self.reader, self.requests.run)
  local seqs = {}
  for seq in pairs(self.open) do seqs[#seqs + 1] = seq end
  table.sort(seqs)
  self:send(seqs)
end

--- Returns at the end of the run, or when nobody reads what is sent, and whether that was so.
function Live:follow(nobody_reads)
  repeat
    if nobody_reads() then return true end
    local more = self:look()
    if self.over then self:send_open() end
    if not more then self.requests:flush() end
    if not self.over then rt.sleep(more and 0 or EVERY) end
  until self.over
end

--- Requests as lines on standard output, as the file exporter of the collector writes them.
local function to_output()
  local function put(body)
    io.stdout:write(body, "\n")
    io.stdout:flush()
  end
  return put, function() return host.linger(0) end
end

--- Requests to a collector, which is always there.
local function to_collector(target)
  return function(...) target:post(...) end, function() return false end
end

--- Returns how its own run has ended, as core.run_script does, and whether nobody reads it.
return function(path, name, options)
  local target = options.to and require "railtracks.export.collector".new(options.to, PATIENCE)
  local reader <close> = journal.open(path)
  local run = reader:run(name)
  local unread
  local status, trace, problem = core.run_script("export", nil, function()
    local put, nobody_reads = (target and to_collector or to_output)(target)
    local tail <close> = reader:tail(run)
    unread = setmetatable({
      reader = reader, tail = tail, path = path, number = run.number, open = {},
      requests = spans.requests(run, put),
    }, Live):follow(nobody_reads)
  end)
  if status == "failed" then error(problem, 0) end
  if target and target:finish() then status = "told" end
  return status, trace, problem, unread
end
