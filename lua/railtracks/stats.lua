--- Recorded calls summed up by node.

local show = require "railtracks.show"

local text = show.text

--- Durations in buckets that are 2 % wide: percentiles of any number of calls in little memory.
local WIDTH = math.log(1.02)

local function add_duration(node, seconds)
  local us = seconds * 1e6
  local bucket = us < 1 and 0 or math.floor(math.log(us) / WIDTH) + 1
  node.buckets[bucket] = (node.buckets[bucket] or 0) + 1
  node.measured = node.measured + 1
  node.total = node.total + seconds
  node.max = math.max(node.max or 0, seconds)
end

--- Of a node's buckets, sorted, the durations below which so many of its calls are.
local function percentiles(node, parts)
  local buckets = {}
  for bucket in pairs(node.buckets) do buckets[#buckets + 1] = bucket end
  table.sort(buckets)
  local found, seen, at = {}, 0, 1
  for i, part in ipairs(parts) do
    local rank = math.max(1, math.ceil(part * node.measured))
    while buckets[at] and seen + node.buckets[buckets[at]] < rank do
      seen = seen + node.buckets[buckets[at]]
      at = at + 1
    end
    local bucket = buckets[at] or 0
    -- The middle of the bucket, but no more than the longest.
    local us = bucket == 0 and 0 or math.exp((bucket - 0.5) * WIDTH)
    found[i] = math.min(us / 1e6, node.max)
  end
  return table.unpack(found)
end

--- By node, over the runs: a list {name, calls, failed, cancelled, p50, p95, p99, max, total},
--- the largest total first. Durations are seconds, percentiles within 1 %; those and `max` are
--- nil where no call has ended that had begun.
local function sum_up(reader, runs)
  local nodes, list = {}, {}
  for _, run in ipairs(runs) do
    for call in reader:calls(run) do
      local node = nodes[call.node]
      if not node then
        node = { name = call.node, calls = 0, failed = 0, cancelled = 0, total = 0,
          measured = 0, buckets = {} }
        nodes[call.node] = node
        list[#list + 1] = node
      end
      node.calls = node.calls + 1
      if node[call.status] and call.status ~= "done" then
        node[call.status] = node[call.status] + 1
      end
      if call.started_at and call.ended_at then
        add_duration(node, math.max(call.ended_at - call.started_at, 0))
      end
    end
  end
  for _, node in ipairs(list) do
    if node.max then node.p50, node.p95, node.p99 = percentiles(node, { 0.5, 0.95, 0.99 }) end
  end
  table.sort(list, function(a, b)
    if a.total ~= b.total then return a.total > b.total end
    return a.name < b.name
  end)
  return list
end

local TIMES = { "p50", "p95", "p99", "max", "total" }

local function write_json(runs, list, out)
  out(('{"runs":%d,"nodes":['):format(runs))
  for i, node in ipairs(list) do
    out(('%s{"node":%s,"calls":%d,"failed":%d,"cancelled":%d'):format(i == 1 and "\n" or ",\n",
      show.json.text(node.name), node.calls, node.failed, node.cancelled))
    for _, name in ipairs(TIMES) do
      out((',"%s":%s'):format(name, node[name] and ("%.6f"):format(node[name]) or "null"))
    end
    out "}"
  end
  out "]}\n"
end

local function span(seconds)
  return text.duration_of { started_at = 0, ended_at = seconds } -- of none: "-"
end

local function write_table(list, options, out)
  local paint = text.painter(options)
  local head = ("%9s  %7s  "):format("CALLS", "FAILED")
  for _, name in ipairs(TIMES) do head = head .. ("%8s  "):format(name:upper()) end
  out(paint("dim", head .. "NODE") .. "\n")
  for _, node in ipairs(list) do
    local failed = text.pad_left(node.failed > 0 and text.grouped(node.failed) or "", 7)
    local line = ("%9s  %s  "):format(text.grouped(node.calls), paint("failed", failed))
    for _, name in ipairs(TIMES) do line = line .. text.pad_left(span(node[name]), 8) .. "  " end
    out(line .. text.fit(node.name, math.max((options.width or 100) - #head, 12)) .. "\n")
  end
end

--- Writes the sums of the runs that are named, or of the newest `options.runs` (20).
return function(reader, names, options, out)
  local runs, named = {}, {}
  for _, name in ipairs(names) do
    local run = reader:run(name)
    if not named[run.number] then runs[#runs + 1] = run end
    named[run.number] = true
  end
  if not names[1] then runs = reader:runs(options.runs or 20) end
  local list = sum_up(reader, runs)
  if options.json then return write_json(#runs, list, out) end
  if not list[1] then return out "no calls are recorded\n" end
  write_table(list, options, out)
end
