local helper = require "spec.helper"
local viewer = require "spec.viewer"
local rt = require "railtracks"

local in_run = helper.in_run

describe("the viewer is closed to", function()
  local place

  before_each(function()
    place = helper.workplace()
    place:run { "-e", "" }
  end)
  after_each(function() place:remove() end)

  local function viewing(test, words)
    return function()
      local server <close> = viewer.open(place, words)
      in_run(function() test(server) end)()
    end
  end

  it("names that were made to mean this machine", viewing(function(server)
    for _, host in ipairs { "evil.example", "evil.example:" .. server.port,
      "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2",
      "[::2]", "127.0.0.1:x", "127.0.0.1:123456", "[::1" } do
      for _, path in ipairs { "/", "/api/runs", "/api/stream", "/metrics", "/nowhere" } do
        assert.equal(421, server:ask(path, { Host = host }).status, host)
      end
    end
    assert.equal(400, server:ask("/api/runs", { Host = false }).status)
    assert.equal(400, viewer.parse(server:send(
      "GET /api/runs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")).status)
    for _, host in ipairs { "localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1" } do
      assert.equal(200, server:ask("/api/runs", { Host = host }).status)
    end
  end))

  it("pages of other sites", viewing(function(server)
    local own = "http://" .. server.host
    for _, origin in ipairs { "http://evil.example", "null", own .. ".evil.example", own .. "0",
      "https://" .. server.host } do
      assert.equal(403, server:ask("/api/runs", { Origin = origin }).status, origin)
    end
    assert.equal(200, server:ask("/api/runs", { Origin = own }).status)
    for _, site in ipairs { "cross-site", "same-site" } do
      local from = { ["Sec-Fetch-Site"] = site, ["Sec-Fetch-Mode"] = "no-cors" }
      for _, path in ipairs { "/", "/page.js", "/api/runs", "/api/stream" } do
        assert.equal(403, server:ask(path, from).status)
      end
      from["Sec-Fetch-Mode"] = "navigate"
      assert.equal(200, server:ask("/", from).status)
      assert.equal(403, server:ask("/api/runs", from).status)
    end
    assert.equal(200, server:ask("/api/runs", { ["Sec-Fetch-Site"] = "same-origin" }).status)
  end))

  it("frames, scripts and styles that are not its own", viewing(function(server)
    for _, path in ipairs { "/", "/api/runs", "/nowhere", "/metrics", "/api/runs/@9" } do
      local headers = server:ask(path).headers
      assert.matches("default%-src 'none'; script%-src 'self'; style%-src 'self';",
        headers["content-security-policy"])
      assert.matches("frame%-ancestors 'none'", headers["content-security-policy"])
      assert.equal("nosniff", headers["x-content-type-options"])
      assert.equal("same-origin", headers["cross-origin-resource-policy"])
      assert.is_nil(headers["access-control-allow-origin"])
    end
  end))

  it("everything but GET, and to bodies", viewing(function(server)
    for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X" } do
      local answer = server:ask("/api/runs", nil, method)
      assert.equal(405, answer.status)
      assert.equal("GET, HEAD", answer.headers.allow)
    end
    assert.equal(413, server:ask("/api/runs", { ["Content-Length"] = "10" }).status)
    assert.equal(413, server:ask("/api/runs", { ["Transfer-Encoding"] = "chunked" }).status)
    local smuggled = server:send(("GET /api/runs HTTP/1.1\r\nHost: %s\r\nContent-Length: 40\r\n\r\n"
      .. "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(server.host))
    assert.equal(1, select(2, smuggled:gsub("HTTP/1%.1 %d", "")))
  end))

  it("paths that lead elsewhere", viewing(function(server)
    for _, path in ipairs { "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/.",
      "/page.js/", "/page.js/../page.css", "/api", "/api/", "/api/runsx", "/api/runs/",
      "/api/runs/@1/", "/api/runs/@1/nothing", "/api/runs/@1/calls/../calls/1",
      "/api/runs/..%2f..%2fetc%2fpasswd", "/\\..\\x" } do
      local answer = server:ask(path)
      assert.equal(404, answer.status, path)
      assert.is_nil(answer.body:find "root:")
    end
    assert.equal(400, server:ask("/api/runs%00/x").status)
    assert.equal(400, server:ask("http://evil.example/api/runs").status)
  end))

  it("garbage, and goes on", viewing(function(server)
    local random = helper.generator(7)
    local made = { "", "\0", "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
      "GET / HTTP/1.1\r\n: x\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
      "GET /" .. ("a"):rep(100000) .. " HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nX: " .. ("a"):rep(100000) .. "\r\n\r\n",
      "GET / HTTP/1.1\r\n" .. ("X: a\r\n"):rep(20000) .. "\r\n",
      "GET /?" .. ("a&"):rep(5000) .. " HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" }
    for _ = 1, 60 do
      local bytes = {}
      for i = 1, random(200) do bytes[i] = string.char(random(256) - 1) end
      made[#made + 1] = (random(2) == 1 and "GET /api/runs?" or "") .. table.concat(bytes)
        .. "\r\n\r\n"
    end
    for _, bytes in ipairs(made) do
      local connection <close> = rt.net.connect("127.0.0.1", server.port)
      pcall(connection.write, connection, bytes)
      pcall(connection.shutdown, connection)
      local ok, text = pcall(connection.read, connection, "a")
      if ok and text and #text > 0 then assert.matches("^HTTP/1%.[01] [245]%d%d ", text) end
    end
    assert.equal(200, server:ask("/api/runs").status)
  end))

  it("clients that take all connections: it goes on when they let go", viewing(function(server)
    local held = {}
    for i = 1, 100 do
      held[i] = rt.net.connect("127.0.0.1", server.port)
      pcall(held[i].write, held[i], "GET / HT")
    end
    for _, connection in ipairs(held) do connection:close() end
    helper.wait_for("an answer", function() return server:ask("/api/runs").status == 200 end)
  end))

  describe("strangers, given a --host:", function()
    local words = { "--host", "127.0.0.1" }

    it("it asks for the token that it has printed", viewing(function(server)
      local token = server.address:match "%?token=(%x+)$"
      assert.equal(32, #token)
      for _, path in ipairs { "/", "/page.js", "/api/runs", "/api/stream", "/metrics",
        "/?token=", "/?token=" .. token:sub(2), "/?token=" .. token .. "0" } do
        local answer = server:ask(path)
        assert.equal(403, answer.status, path)
        assert.matches("this needs the token", answer.body)
      end
      local shown = server:ask("/?token=" .. token)
      assert.equal(303, shown.status)
      assert.equal("/", shown.headers.location)
      local cookie = shown.headers["set-cookie"]
      assert.equal(("railtracks_%d=%s; Path=/; HttpOnly; SameSite=Strict"):format(server.port,
        token), cookie)
      assert.equal(200, server:ask("/api/runs", { Cookie = cookie:match "^[^;]+" }).status)
      assert.equal(200, server:ask("/metrics", { Authorization = "Bearer " .. token }).status)
      assert.equal(403, server:ask("/metrics", { Authorization = "Bearer x" }).status)
      assert.equal(403, server:ask("/api/runs", { Cookie = "railtracks_1=" .. token }).status)
    end, words))

    it("each time another one", function()
      local first <close> = viewer.open(place, words)
      local other <close> = viewer.open(place, words)
      assert.not_equal(first.address:match "token=(.*)", other.address:match "token=(.*)")
    end)

    it("it may be called by an address, not by any name", viewing(function(server)
      local token = { Authorization = "Bearer " .. server.address:match "token=(.*)" }
      for host, status in pairs { ["192.0.2.1:80"] = 200, ["[fe80::1]:80"] = 200,
        ["evil.example"] = 421 } do
        token.Host = host
        assert.equal(status, server:ask("/api/runs", token).status)
      end
    end, words))
  end)
end)
