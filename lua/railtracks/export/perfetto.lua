--- The Trace Event Format of Chrome (catapult's document of that name, "JSON Object Format"): opens
--- in https://ui.perfetto.dev and chrome://tracing. A call stands on the track of its caller if
--- it ran while that did nothing else, else on one of its own; an arrow leads there from where
--- it was started.

local export = require "railtracks.export"
local show = require "railtracks.show"

local json_text = show.json.text

--- Tracks by number, and those that are free, the earliest first (a binary heap).
local Tracks = {}
Tracks.__index = Tracks

local function earlier(a, b)
  if a.free ~= b.free then return a.free < b.free end
  return a.number < b.number
end

function Tracks:put(track)
  local heap = self.heap
  local at = #heap + 1
  while at > 1 and earlier(track, heap[at // 2]) do
    heap[at] = heap[at // 2]
    at = at // 2
  end
  heap[at] = track
end

function Tracks:take()
  local heap = self.heap
  local first, last = heap[1], table.remove(heap)
  if first == last then return first end
  local at = 1
  while at * 2 <= #heap do
    local child = at * 2
    if child < #heap and earlier(heap[child + 1], heap[child]) then child = child + 1 end
    if not earlier(heap[child], last) then break end
    heap[at] = heap[child]
    at = child
  end
  heap[at] = last
  return first
end

--- A track on which nothing stands from that moment on; a new one if there is none.
function Tracks:find(from)
  if self.heap[1] and self.heap[1].free <= from then return self:take() end
  self.count = self.count + 1
  return { number = self.count, free = from }
end

local function arguments(call)
  local parts = { '"id":' .. json_text(call.id), '"status":' .. json_text(call.status) }
  for _, name in ipairs { "args", "results", "error" } do
    if call[name] then parts[#parts + 1] = ('"%s":%s'):format(name, call[name]) end
  end
  if call.site then parts[#parts + 1] = '"site":' .. json_text(call.site) end
  return table.concat(parts, ",")
end

return function(source, out)
  local run = source.run
  out('{"displayTimeUnit":"ms","otherData":{"run":' .. json_text(run.id) .. '},\n"traceEvents":[\n')
  out(('{"ph":"M","pid":1,"name":"process_name","args":{"name":%s}}'):format(json_text(run.name)))
  local tracks = setmetatable({ heap = {}, count = 0 }, Tracks)
  local open = {} -- by depth: {track=, free=, to=}: where the calls above stand
  local flows = 0
  local function close(depth)
    for level = #open, depth + 1, -1 do
      local place = open[level]
      if place.own then
        place.track.free = place.to
        tracks:put(place.track)
      end
      open[level] = nil
    end
  end
  for call in source.calls "tree" do
    local from, to = export.times(call, run)
    local level = call.depth + 1
    close(call.depth)
    local above = open[level - 1]
    local place = { to = to, free = from }
    if above and above.free <= from and to <= above.to then
      place.track = above.track
      above.free = to
    else
      place.track, place.own = tracks:find(from), true
    end
    open[level] = place
    local tid = place.track.number
    if not place.track.named then
      place.track.named = true
      out((',\n{"ph":"M","pid":1,"tid":%d,"name":"thread_name","args":{"name":"track %d"}}'):format(
        tid, tid))
    end
    out((',\n{"ph":"X","pid":1,"tid":%d,"ts":%d,"dur":%d,"name":%s,"cat":%s,"args":{%s}}'):format(
      tid, from, to - from, json_text(call.node), json_text(call.status), arguments(call)))
    if above and place.own then
      flows = flows + 1
      local spawned = math.min(export.microseconds(call.spawned_at), from)
      out((',\n{"ph":"s","pid":1,"tid":%d,"ts":%d,"id":%d,"name":"starts","cat":"starts"}'):format(
        above.track.number, spawned, flows))
      out((',\n{"ph":"f","bp":"e","pid":1,"tid":%d,"ts":%d,"id":%d,"name":"starts",'
        .. '"cat":"starts"}'):format(tid, from, flows))
    end
  end
  out "\n]}\n"
end
