--- A flow chart for Mermaid (https://mermaid.js.org): each call a box below its caller; where
--- there are many calls, those of a node are one box, with counts.

local show = require "railtracks.show"

local MOST_CALLS = 60  -- that are drawn one by one
local MOST_NODES = 150 -- boxes of nodes; those with the fewest calls are left out
local LONGEST = 60     -- characters of a name

local STYLES = {
  "  classDef done fill:#e8f5e9,stroke:#43a047,color:#1b5e20",
  "  classDef failed fill:#ffebee,stroke:#e53935,color:#b71c1c",
  "  classDef cancelled fill:#fff8e1,stroke:#ffb300,color:#6d4c00",
  "  classDef running fill:#e3f2fd,stroke:#1e88e5,color:#0d47a1",
  "  classDef interrupted fill:#f3e5f5,stroke:#8e24aa,color:#4a148c",
}

--- Text between quotes: nothing of it is Mermaid's, HTML or Markdown.
local function quoted(text)
  text = show.text.fit(show.text.clean(text), LONGEST)
  return (text:gsub("[^%w _.,:/()%[%]=+%-\128-\255]", function(char)
    return ("#%d;"):format(char:byte())
  end))
end

local function write_calls(calls, out)
  local number = {}
  for i, call in ipairs(calls) do
    number[call.id] = i
    out(('  c%d["%s<br/>%s"]:::%s\n'):format(i, quoted(call.node),
      quoted(call.status == "done" and show.text.duration_of(call) or call.status), call.status))
  end
  for i, call in ipairs(calls) do
    local parent = call.parent and number[call.parent]
    if parent then out(("  c%d --> c%d\n"):format(parent, i)) end
  end
end

--- Adds the call to the counts: of its node, and of who has called whom.
local function count(all, call, node_of)
  local name = call.node
  local node = all.nodes[name]
  if not node then
    node = { name = name, calls = 0, failed = 0, seconds = 0, order = #all.list + 1 }
    all.nodes[name] = node
    all.list[node.order] = node
  end
  node.calls = node.calls + 1
  if call.status == "failed" then node.failed = node.failed + 1 end
  if call.started_at and call.ended_at then
    node.seconds = node.seconds + call.ended_at - call.started_at
  end
  node_of[call.depth] = node
  local caller = call.depth > 0 and node_of[call.depth - 1]
  if caller then
    local key = caller.order .. "," .. node.order
    local edge = all.edges[key]
    if not edge then
      edge = { from = caller, to = node, calls = 0 }
      all.edges[key] = edge
      all.edges[#all.edges + 1] = edge
    end
    edge.calls = edge.calls + 1
  end
end

local function write_nodes(all, out)
  local most = table.move(all.list, 1, #all.list, 1, {})
  table.sort(most, function(a, b)
    if a.calls ~= b.calls then return a.calls > b.calls end
    return a.order < b.order
  end)
  for i, node in ipairs(most) do node.shown = i <= MOST_NODES or node.order == 1 end
  local left_out = 0
  for _, node in ipairs(all.list) do
    if node.shown then
      local times = node.calls == 1 and "1 call" or show.text.grouped(node.calls) .. " calls"
      local failed = node.failed > 0 and ", " .. show.text.grouped(node.failed) .. " failed" or ""
      out(('  n%d["%s<br/>%s%s, %s"]:::%s\n'):format(node.order, quoted(node.name), times, failed,
        quoted(show.text.duration_of { started_at = 0, ended_at = node.seconds }),
        node.failed > 0 and "failed" or "done"))
    else
      left_out = left_out + 1
    end
  end
  for _, edge in ipairs(all.edges) do
    if edge.from.shown and edge.to.shown then
      out(("  n%d -->|%d| n%d\n"):format(edge.from.order, edge.calls, edge.to.order))
    end
  end
  if left_out > 0 then out(("  %%%% %d nodes with fewer calls are left out\n"):format(left_out)) end
end

return function(source, out)
  local calls, all, node_of = {}, { nodes = {}, list = {}, edges = {} }, {}
  for call in source.calls "tree" do
    if #calls <= MOST_CALLS then calls[#calls + 1] = call end
    count(all, call, node_of)
  end
  out "flowchart TD\n"
  if #calls <= MOST_CALLS then write_calls(calls, out) else write_nodes(all, out) end
  out(table.concat(STYLES, "\n") .. "\n")
end
