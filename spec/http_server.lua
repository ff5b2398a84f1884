--- A server for the specs of rt.http that does what servers should not do, too.
---
--- `answers[name](connection, request)` answers a request for "/name"; specs add their own.

local rt = require "railtracks"
local assert = require "luassert"
local helper = require "spec.helper"

--- A request, read from a connection: method, target, headers, body. Nil at the end.
local function read_request(connection)
  local line = connection:read_line()
  if not line then return nil end
  local method, target = line:match "^(%S+) (%S+)"
  if method == "PRI" then target = "/http2" end
  local headers = {}
  for header in connection:lines() do
    if header == "" then break end
    local name, value = header:match "^([^:]+): ?(.*)$"
    if not name then return nil end -- it speaks TLS
    headers[name:lower()] = value
  end
  local body
  if headers["content-length"] then
    body = connection:read(tonumber(headers["content-length"])) or ""
  elseif headers["transfer-encoding"] == "chunked" then
    local pieces = {}
    repeat
      local size = tonumber(connection:read_line(), 16)
      if size > 0 then pieces[#pieces + 1] = connection:read(size) end
      connection:read_line()
    until size == 0
    body = table.concat(pieces)
  end
  return { method = method, target = target, headers = headers, body = body }
end

local function reply(connection, status, headers, body)
  local lines = { ("HTTP/1.1 %s"):format(status) }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  lines[#lines + 1] = "Content-Length: " .. #(body or "")
  connection:write(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
end

local answers = {}

function answers.hello(c) reply(c, "200 OK", { ["Content-Type"] = "text/plain" }, "hello") end

function answers.echo(c, request)
  reply(c, "200 OK", { ["Content-Type"] = "application/json" }, rt.json.encode {
    method = request.method, target = request.target, body = request.body,
    headers = request.headers,
  })
end

function answers.cookies(c)
  c:write "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
  c:write "X-A: 1\r\nx-a: 2\r\nX-Empty:\r\n"
  c:write "Content-Length: 0\r\n\r\n"
end

function answers.missing(c) reply(c, "404 Not Found", { ["X-Why"] = "gone" }, "no such page") end
function answers.moved(c) reply(c, "302 Found", { Location = "/hello" }) end
function answers.around(c) reply(c, "302 Found", { Location = "/around" }) end
function answers.elsewhere(c) reply(c, "302 Found", { Location = "file:///etc/passwd" }) end
function answers.big(c) reply(c, "200 OK", {}, ("x"):rep(1 << 20)) end

function answers.cut(c)
  c:write "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
  c:close()
end

--- Called for a connection that speaks HTTP/2, of which it knows nothing.
function answers.http2(c) c:read("a") end
function answers.nothing(c) c:close() end
function answers.garbage(c) c:write "no HTTP at all\r\n\r\n" c:close() end
--- Until the other end has gone.
function answers.never(c) c:read("a") end
--- /again/302 redirects with that status to /echo.
function answers.again(c, request)
  reply(c, request.target:match "%d+" .. " Look there", { Location = "/echo" })
end

--- One that says how much of it there is: /sized/1000.
function answers.sized(c, request)
  reply(c, "200 OK", {}, ("x"):rep(tonumber(request.target:match "%d+")))
end

answers["half-head"] = function(c) c:write "HTTP/1.1 200 OK\r\nX-A" c:read("a") end

answers["long-head"] = function(c)
  c:write "HTTP/1.1 200 OK\r\n"
  local line = "X-Long: " .. ("x"):rep(1000) .. "\r\n"
  for _ = 1, 100000 do c:write(line) end
end

function answers.drip(c)
  c:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
  for i = 1, 3 do
    c:write(("%x\r\npiece %d\r\n"):format(7, i))
    rt.sleep(0.01)
  end
  c:write "0\r\n\r\n"
end

function answers.endless(c)
  c:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
  local piece = ("%x\r\n%s\r\n"):format(1 << 16, ("x"):rep(1 << 16))
  while true do
    c:write(piece)
    answers.written = (answers.written or 0) + (1 << 16)
  end
end

function answers.events(c)
  c:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
  c:write "\u{FEFF}retry: 1500\n: a comment\nid: 7\ndata: one\ndata:two\n\nevent: st"
  rt.sleep(0.005)
  c:write "op\r\ndata\r\n\r\ndata: left out"
  c:close()
end

local busy = 0
function answers.busy(c)
  busy = busy + 1
  if busy % 3 ~= 0 then return reply(c, "503 Service Unavailable", { ["Retry-After"] = "0" }) end
  return reply(c, "200 OK", {}, "at last")
end

local function serve(connection)
  local ok, problem = pcall(function()
    for request in read_request, connection do
      answers[request.target:match "^/([^/?]*)"](connection, request)
      if tostring(connection):find "%(closed%)$" then break end
    end
  end)
  if not ok and rt.kind(problem) ~= "net" then error(problem, 0) end
end

--- A test with the server's address.
local function with_server(test)
  return helper.in_run(function()
    local server <close> = rt.net.listen("127.0.0.1", 0, serve)
    local _ <close> = helper.closing(function() server.task:cancel() rt.settle { server.task } end)
    test("http://127.0.0.1:" .. server.port)
  end)
end

--- What a call must fail with: an error of rt.http with that code.
local function failure(code, fn, ...)
  local err = helper.failing "http"(fn, ...)
  assert.equal(code, err.code, tostring(err))
  return err
end

return { answers = answers, failure = failure, reply = reply, with_server = with_server }
