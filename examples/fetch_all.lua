--- Fetches many URLs, 16 at a time, trying again what may pass, with a line that tells how far
--- it is.
---
---   railtracks run examples/fetch_all.lua URL...
---   railtracks run examples/fetch_all.lua - < urls.txt
---   railtracks run examples/fetch_all.lua                  (200 from a server of its own)

local rt = require "railtracks"

--- A server that answers a third of its requests badly at first.
local function own_server()
  local seen = {}
  return rt.net.listen("127.0.0.1", 0, function(connection)
    for line in connection:lines() do
      local path = line:match "^GET (%S+)"
      if path then
        local number = tonumber(path:match "%d+")
        seen[path] = (seen[path] or 0) + 1
        local body = ("page %d"):format(number)
        connection:write(number % 3 == 0 and seen[path] == 1
          and "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
          or ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
      end
    end
  end)
end

local urls, server = { ... }, nil
if urls[1] == "-" then
  urls = {}
  for line in io.lines() do urls[#urls + 1] = line end
elseif not urls[1] then
  server = own_server()
  for i = 1, 200 do urls[i] = ("http://127.0.0.1:%d/page/%d"):format(server.port, i) end
end

local done, bytes, attempts = 0, 0, 0

local fetch_once = rt.function_node("fetch_once", function(url)
  attempts = attempts + 1
  return #rt.http.get(url, { raise_for_status = true, timeout = 30 }).body
end)

local fetch = rt.function_node("fetch", function(url)
  local size = rt.retry({ times = 4, delay = 0.2, on = rt.http.transient }, fetch_once, url)
  done, bytes = done + 1, bytes + size
  io.stderr:write(("\r%d of %d, %d bytes "):format(done, #urls, bytes))
  return size
end)

local failed = 0
for i, outcome in ipairs(rt.map(fetch, urls, { limit = 16, settle = true })) do
  if not outcome.ok then
    failed = failed + 1
    io.stderr:write(("\r%s: %s\n"):format(urls[i], tostring(outcome.error)))
  end
end
io.stderr:write "\n"
if server then
  server.task:cancel()
  rt.settle { server.task }
end
print(("%d fetched, %d failed, %d bytes, %d attempts"):format(done, failed, bytes, attempts))
