--- Removing old runs from a journal.

local core = require "railtracks.core"
local journal = require "railtracks.journal"
local show = require "railtracks.show"

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
  local before = options.older and os.time() - options.older
  local removed, bytes, problem = journal.prune(path, before, options.keep)
  if removed == 0 then return out "nothing to remove\n" end
  local room = bytes > 0 and size(bytes) .. " given back"
    or "whose room is used for what comes next"
  out(("removed %s, %s\n"):format(
    removed == 1 and "1 run" or show.text.grouped(removed) .. " runs", room))
  if problem then core.fail("journal", problem) end
end
