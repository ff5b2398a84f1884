--- Comma-separated values (RFC 4180), a line per call, for spreadsheets and data tools.

local show = require "railtracks.show"

local COLUMNS = { "id", "parent", "node", "kind", "status", "spawned_at", "started_at", "ended_at",
  "seconds", "site", "args", "results", "error_kind", "error_message" }

local function field(value)
  if value == nil then return "" end
  if not value:find '[",\r\n]' then return value end
  return '"' .. value:gsub('"', '""') .. '"'
end

local function time(seconds) return seconds and ("%.6f"):format(seconds) end

return function(source, out)
  out(table.concat(COLUMNS, ",") .. "\r\n")
  for call in source.calls "start" do
    local failure = call.error and show.failure(call.error) or {}
    local seconds = call.started_at and call.ended_at and call.ended_at - call.started_at
    local row = { call.id, call.parent or "", call.node, call.kind, call.status,
      time(call.spawned_at) or "", time(call.started_at) or "", time(call.ended_at) or "",
      time(seconds) or "", call.site or "", call.args or "", call.results or "",
      failure.kind or "", failure.message or "" }
    for i, value in ipairs(row) do row[i] = field(value) end
    out(table.concat(row, ",") .. "\r\n")
  end
end
