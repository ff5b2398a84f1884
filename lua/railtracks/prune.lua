--- Removing old runs from a journal.

local journal = require "railtracks.journal"
local show = require "railtracks.show"

local PAGE = 1000

--- How many of the oldest ended runs are to go: those that ended before `before`, and those that
--- are not among the newest `keep`.
local function count_old(path, before, keep)
  local reader <close> = journal.open(path)
  local count, place, skipped = 0, 0, 0
  while true do
    local page = reader:runs(PAGE, skipped)
    for _, run in ipairs(page) do
      place = place + 1
      local old = before and (run.ended_at or run.started_at) < before
      if run.status ~= "running" and (old or (keep and place > keep)) then count = count + 1 end
    end
    if #page < PAGE then return count end
    skipped = skipped + PAGE
  end
end

local UNITS = { "bytes", "KiB", "MiB", "GiB" }

local function size(bytes)
  local unit = 1
  while bytes >= 1024 and unit < #UNITS do
    bytes, unit = bytes / 1024, unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, UNITS[unit])
end

--- Removes them and tells how many, and how much room that gave. `older` is seconds.
return function(path, options, out)
  local count = count_old(path, options.older and os.time() - options.older, options.keep)
  if count == 0 then return out "nothing to remove\n" end
  local removed, bytes = journal.prune(path, count)
  out(("removed %s, %s\n"):format(
    removed == 1 and "1 run" or show.text.grouped(removed) .. " runs",
    bytes > 0 and size(bytes) .. " given back"
      or "whose room is used for what comes next"))
end
