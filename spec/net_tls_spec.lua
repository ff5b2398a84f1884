local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local failure, descriptors = helper.failing "net", helper.descriptors
local connect, listen = rt.net.connect, rt.net.listen

describe("rt.net.connect over TLS", function()
  local folder, port

  setup(function()
    folder = helper.folder()
    local _, said, status = helper.shell(([[cd %s && openssl req -x509 -newkey rsa:2048 -nodes \
      -days 2 -keyout key.pem -out cert.pem -subj /CN=localhost \
      -addext subjectAltName=DNS:localhost]]):format(folder))
    assert(status == 0, said)
  end)
  teardown(function() helper.remove(folder) end)

  local function at(name) return folder .. "/" .. name end

  --- A server for one connection at a time: what it is given comes out at the other end.
  local function server()
    do
      local free <close> = listen("127.0.0.1", 0)
      port = free.port
    end
    local process = rt.process.spawn { "openssl", "s_server", "-quiet", "-naccept", "5", "-accept",
      "127.0.0.1:" .. port, "-cert", at "cert.pem", "-key", at "key.pem", stderr = "null" }
    while not pcall(function() connect("127.0.0.1", port):close() end) do rt.sleep(0.01) end
    return process
  end

  local function secured(host, options)
    local d = { host = host, port = port, tls = true, timeout = 30 }
    for key, value in pairs(options) do d[key] = value end
    return connect(d)
  end

  it("talks to a host whose name and certificate are right", in_run(function()
    local process <close> = server()
    local client <close> = secured("localhost", { ca = at "cert.pem" })
    client:write "question\n"
    assert.equal("question", process.stdout:read_line())
    process.stdin:write "answer\n"
    assert.equal("answer", client:read_line())
    assert.equal("ENOTSUP", failure(client.shutdown, client).code)
  end))

  it("passes on as much as there is, both ways at once", in_run(function()
    local process <close> = server()
    local client <close> = secured("localhost", { ca = at "cert.pem" })
    local text = ("0123456789abcde\n"):rep(1 << 17)
    local tasks = {
      rt.spawn(function() client:write(text) end),
      rt.spawn(function() assert.is_true(process.stdout:read(#text) == text) end),
      rt.spawn(function() process.stdin:write(text) end),
      rt.spawn(function() assert.is_true(client:read(#text) == text) end),
    }
    rt.gather(tasks)
  end))

  it("keeps what has come when a read is cancelled", in_run(function()
    local process <close> = server()
    local client <close> = secured("localhost", { ca = at "cert.pem" })
    assert.is_false(pcall(rt.timeout, 0.01, function() client:read_line() end))
    process.stdin:write "half "
    assert.is_false(pcall(rt.timeout, 0.02, function() client:read_line() end))
    process.stdin:write "a line\n"
    assert.equal("half a line", client:read_line())
  end))

  it("refuses whom nobody vouches for, and another name, unless told not to look", in_run(
    function()
      local process <close> = server()
      local err = failure(secured, "localhost", {})
      assert.equal("tls", err.code)
      assert.matches("^net: net.connect: .*certificate.*: localhost:%d+$", tostring(err))
      err = failure(secured, "127.0.0.1", { ca = at "cert.pem" })
      assert.equal("tls", err.code)
      local client <close> = secured("127.0.0.1", { insecure = true })
      client:write "seen\n"
      assert.equal("seen", process.stdout:read_line())
    end))

  it("refuses who does not speak it, and waits no longer than it may for who is silent", in_run(
    function()
      local listener <close> = listen("127.0.0.1", 0)
      port = listener.port
      local silent = rt.spawn(function() return listener:accept() end)
      assert.equal("timeout", rt.kind(select(2, pcall(secured, "localhost", { timeout = 0.05 }))))
      silent:await():close()
      rt.sleep(0)
      local before = descriptors()
      rt.spawn(function()
        local other <close> = listener:accept()
        other:write "220 mail ready\r\n"
        other:read()
      end)
      assert.equal("tls", failure(secured, "localhost", {}).code)
      rt.sleep(0.01)
      assert.is_true(descriptors() <= before)
      assert.matches("tls wants a host and a port",
        refusal(connect, { path = "/x", tls = true }), 1, true)
    end))

  it("tells whoever reads that the other end has gone", in_run(function()
    local process = server()
    local client <close> = secured("localhost", { ca = at "cert.pem" })
    client:write "x\n"
    process.stdout:read_line()
    process:kill "KILL"
    local ok, data = pcall(client.read, client)
    assert.is_true(not ok and rt.kind(data) == "net" or data == nil)
    process:wait()
    process:close()
  end))
end)
