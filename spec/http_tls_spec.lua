local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run
local http = rt.http

local config = [[
daemon off; master_process off; pid %s/pid; error_log %s/errors; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %s/a; proxy_temp_path %s/b; fastcgi_temp_path %s/c;
  uwsgi_temp_path %s/d; scgi_temp_path %s/e;
  gzip on; gzip_min_length 1; gzip_types text/plain;
  server {
    listen 127.0.0.1:%d ssl http2;
    ssl_certificate %s/server.pem; ssl_certificate_key %s/server.key;
    root %s/www;
  }
}
]]

describe("rt.http over TLS", function()
  local folder, port, nginx
  local base

  setup(function()
    folder = helper.folder()
    local _, said, status = helper.shell((([[
      mkdir -p F/www && cd F && printf 'hello over TLS' > www/hello.txt &&
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ours \
        2>&1 && openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr \
        -subj /CN=localhost 2>&1 &&
      printf 'subjectAltName=DNS:localhost' > names && openssl x509 -req -in server.csr -CA ca.pem \
        -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem 2>&1]])
      :gsub("F", folder)))
    assert(status == 0, said)
    rt.run(function() -- a port that is free
      local listener <close> = rt.net.listen("127.0.0.1", 0)
      port = listener.port
    end)
    local f = folder
    helper.write(folder .. "/nginx.conf", config:format(f, f, f, f, f, f, f, port, f, f, f))
    nginx = helper.start({ "-p", f, "-c", f .. "/nginx.conf" }, { program = "nginx" })
    base = "https://localhost:" .. port
    helper.wait_for("nginx", function()
      return (pcall(rt.run, function() rt.net.connect("127.0.0.1", port):close() end))
    end)
  end)

  teardown(function()
    nginx:kill "TERM"
    nginx:wait()
    helper.remove(folder)
  end)

  it("trusts whom it is told to trust, over HTTP/2 where that is offered", in_run(function()
    local response = http.get(base .. "/hello.txt", { ca = folder .. "/ca.pem" })
    assert.equal("hello over TLS", response.body)
    assert.equal("2", response.version)
    assert.is_true(response.timings.tls > 0)
    response = http.get(base .. "/hello.txt", { ca = folder .. "/ca.pem", http2 = false })
    assert.equal("1.1", response.version)
  end))

  it("does not trust others, nor another name, unless it is told not to care", in_run(function()
    local function refused(url, options)
      local ok, err = pcall(http.get, url, options)
      assert.is_false(ok)
      assert.equal("tls", err.code, tostring(err))
    end
    refused(base .. "/hello.txt")
    refused(("https://127.0.0.1:%d/hello.txt"):format(port), { ca = folder .. "/ca.pem" })
    refused(base .. "/hello.txt", { ca = "/nonexistent" })
    assert.equal(200, http.get(base .. "/hello.txt", { insecure = true }).status)
  end))

  it("runs many requests over one connection", in_run(function()
    local bodies = rt.map(function()
      return http.get(base .. "/hello.txt", { ca = folder .. "/ca.pem" }).body
    end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 })
    for i = 1, 16 do assert.equal("hello over TLS", bodies[i]) end
  end))

  it("unpacks what comes compressed", in_run(function()
    local response = http.get(base .. "/hello.txt", { ca = folder .. "/ca.pem" })
    assert.equal("gzip", response.headers["content-encoding"])
    assert.equal("hello over TLS", response.body)
  end))
end)
