--- `railtracks show --follow`: each call of a run when it has ended, until the run has.

local choose = require "railtracks.choose"
local core = require "railtracks.core"
local host = require "railtracks.host"
local show = require "railtracks.show"

local EVERY, LONGEST = 0.1, 1 -- seconds between two looks: so many times
local SHARE = 4               -- what it took to find out who has ended
local LINES = 200             -- written at once, the file let go of before

local Follower = {}
Follower.__index = Follower

--- The seqs of the calls that have ended since the last look, who ended first before others.
function Follower:ended()
  local seqs, ended_at = {}, {}
  local run, calls, _, more
  repeat
    run, calls, _, more = self.tail:look()
    for _, call in ipairs(calls) do
      local seq = call.seq
      self.open[seq] = call.status == "running" or nil
      if call.status ~= "running" then
        seqs[#seqs + 1] = seq
        ended_at[seq] = call.ended_at or math.huge
      end
    end
  until not more
  if not run.id then
    core.fail("journal", ("run number %d has been removed from journal %s"):format(run.number,
      core.journal_path()))
  end
  self.run = run
  if run.status ~= "running" then -- and what has not ended by now never will
    for seq in pairs(self.open) do
      seqs[#seqs + 1] = seq
      ended_at[seq] = math.huge
    end
  end
  table.sort(seqs, function(a, b)
    if ended_at[a] ~= ended_at[b] then return ended_at[a] < ended_at[b] end
    return a > b -- below comes before above
  end)
  return seqs
end

--- Whether what has failed below has been told with the same message: a failure is told where
--- it came from, not again by each that it passed through.
function Follower:told_below(call)
  local failure = call.error and show.failure(call.error)
  local message = failure and show.parts.message(failure)
  local told = message and self.failures[call.seq] == message
  self.failures[call.seq] = nil
  if message and call.above then self.failures[call.above] = message end
  return told
end

--- Tells of a call, if it is of those that are asked for.
function Follower:tell(call, out)
  if call.status == "running" then call.status = "interrupted" end
  local told = self:told_below(call)
  local options = self.options
  if not choose.wanted(call, options) then return end
  if options.json then return out(show.json.call(call) .. "\n") end
  if told then call.error = nil end
  call.depth = 0
  show.parts.call(call, {}, options, out)
end

--- Looks once: writes what has ended. Returns how long to wait before it looks again; nothing
--- when the run is over.
function Follower:look(out)
  local began = os.clock()
  local seqs = self:ended()
  local pause = math.min(math.max(SHARE * (os.clock() - began), EVERY), LONGEST)
  for first = 1, #seqs, LINES do
    local lines = {}
    local some = table.move(seqs, first, math.min(first + LINES - 1, #seqs), 1, {})
    for _, call in ipairs(self.tail:read(some)) do
      self:tell(call, function(line) lines[#lines + 1] = line end)
    end
    out(table.concat(lines))
  end
  io.stdout:flush()
  return self.run.status == "running" and pause or nil
end

--- Returns whether it ended because nobody reads on.
return function(reader, name, options, out)
  local run = reader:run(name)
  local tail <close> = reader:tail(run)
  local self = setmetatable({
    tail = tail, options = options, open = {}, failures = {},
  }, Follower)
  options.ids = true
  if not options.json then show.parts.summary(run, options, out) end
  while true do
    local pause = self:look(out)
    if not pause then break end
    if host.linger(pause) then return true end
  end
  run = reader:run(run.id) -- with the number of its calls, where it was cut short
  if options.json then return out(('{"run":%s}\n'):format(show.json.run(run))) end
  show.parts.summary(run, options, out)
  if run.error then show.parts.error(run, options, out) end
end
