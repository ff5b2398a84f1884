--- For specs of `railtracks view`: a server that is started, and what it is asked.

local helper = require "spec.helper"
local rt = require "railtracks"

local viewer = {}
viewer.__index = viewer

--- Serves the journal of the workplace; `words` are further arguments. To be closed.
function viewer.open(place, words)
  local all = { "view", "--port", "0" }
  table.move(words or {}, 1, #(words or {}), #all + 1, all)
  local process = place:start(all)
  process:wait_for_output "\n"
  return viewer.at(helper.read(process.output):match "^(%S+)\n$", process)
end

--- What answers at an address, as the process has told it.
function viewer.at(address, process)
  return setmetatable({
    process = process, address = address, port = tonumber(address:match ":(%d+)/"),
    host = address:match "^http://([^/]+)",
  }, viewer)
end

--- Sends bytes, and returns all that comes back. In a run.
function viewer:send(bytes)
  local connection <close> = rt.net.connect("127.0.0.1", self.port)
  connection:write(bytes)
  local ok, text = pcall(connection.read, connection, "a")
  return ok and text or ""
end

local function unchunked(body)
  local parts, at = {}, 1
  while true do
    local size, next_at = body:match("^(%x+)\r\n()", at)
    if not size or tonumber(size, 16) == 0 then return table.concat(parts) end
    parts[#parts + 1] = body:sub(next_at, next_at + tonumber(size, 16) - 1)
    at = next_at + tonumber(size, 16) + 2
  end
end

--- An answer as { status, headers (by small names), body, json() }.
function viewer.parse(text)
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  if not head then return { status = 0, headers = {}, body = text } end
  local answer = { status = tonumber(head:match "^HTTP/1%.1 (%d+)"), headers = {}, body = body }
  for name, value in head:gmatch "\r\n([^:]+): ([^\r]*)" do answer.headers[name:lower()] = value end
  if answer.headers["transfer-encoding"] == "chunked" then answer.body = unchunked(body) end
  function answer.json() return require("cjson").decode(answer.body) end
  return answer
end

--- Asks for a path. `headers` are added, or take the place of those that are usual; false
--- leaves one out. In a run.
function viewer:ask(path, headers, method)
  local all = { Host = self.host, Connection = "close" }
  for name, value in pairs(headers or {}) do all[name] = value end
  local lines = { ("%s %s HTTP/1.1"):format(method or "GET", path) }
  for name, value in pairs(all) do
    if value then lines[#lines + 1] = ("%s: %s"):format(name, value) end
  end
  return viewer.parse(self:send(table.concat(lines, "\r\n") .. "\r\n\r\n"))
end

--- The JSON that a path answers with. In a run.
function viewer:json(path)
  local answer = self:ask(path)
  if answer.status ~= 200 then error(("%s: %d %s"):format(path, answer.status, answer.body), 2) end
  return answer.json()
end

local CALLS = "<c4I4I4I4I4I4I4I4d"
local STATUSES = { [0] = "running", "done", "failed", "cancelled", "interrupted" }

--- The columns that GET .../calls answers with, as rows. In a run.
function viewer:calls(path)
  local body = self:ask(path).body
  local magic, epoch, version, flags, rows, first, names_size, _, origin, at =
    CALLS:unpack(body)
  local found = { magic = magic, epoch = epoch, version = version, whole = flags & 1 == 1,
    first = first, origin = origin, names = {}, rows = {} }
  found.names = require("cjson").decode(body:sub(at, at + names_size - 1))
  at = at + names_size
  local columns = { { "spawned", "<d" }, { "started", "<d" }, { "ended", "<d" }, { "seq", "<I4" },
    { "parent", "<I4" }, { "ordinal", "<I4" }, { "node", "<I4" }, { "status", "B" },
    { "kind", "B" } }
  for i = 1, rows do found.rows[i] = {} end
  for _, column in ipairs(columns) do
    for i = 1, rows do found.rows[i][column[1]], at = column[2]:unpack(body, at) end
  end
  for _, row in ipairs(found.rows) do
    row.status = STATUSES[row.status]
    row.name = found.names[row.node + 1 - first]
  end
  found.rest = #body + 1 - at
  return found
end

function viewer:__close() self.process:__close() end

return viewer
