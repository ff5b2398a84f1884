local rt = require "railtracks"
local helper = require "spec.helper"
local server = require "spec.http_server"

local refusal, descriptors = helper.refusal, helper.descriptors
local answers, failure, reply = server.answers, server.failure, server.reply
local with_server = server.with_server
local http = rt.http

describe("rt.http", function()
  it("gets what is there, with status, headers, URL and timings", with_server(function(base)
    local response = http.get(base .. "/hello")
    assert.equal(200, response.status)
    assert.equal("hello", response.body)
    assert.equal(base .. "/hello", response.url)
    assert.equal("text/plain", response.headers["content-type"])
    assert.equal("text/plain", response.headers["Content-Type"])
    assert.is_nil(response.headers.nothing)
    assert.is_true(response.timings.total >= response.timings.first_byte)
    assert.equal("1.1", response.version)
  end))

  it("joins headers of one name", with_server(function(base)
    local headers = http.get(base .. "/cookies").headers
    assert.equal("a=1\nb=2", headers["set-cookie"])
    assert.equal("1, 2", headers["x-a"])
    assert.equal("", headers["x-empty"])
  end))

  it("sends method, headers, query and body", with_server(function(base)
    local got = http.request { method = "REPORT", url = base .. "/echo?a=1", headers = {
      ["X-One"] = "1", ["x-two"] = 2, ["X-None"] = "" }, query = { b = "x y&z", c = { 1, true } },
      body = "the body\0" }:json()
    assert.equal("REPORT", got.method)
    assert.equal("/echo?a=1&b=x%20y%26z&c=1&c=true", got.target)
    assert.equal("the body\0", got.body)
    assert.equal("1", got.headers["x-one"])
    assert.equal("2", got.headers["x-two"])
    assert.equal("", got.headers["x-none"])
    assert.equal("railtracks/" .. rt.version, got.headers["user-agent"])
  end))

  it("has a function for each usual method", with_server(function(base)
    for _, method in ipairs { "get", "post", "put", "patch", "delete" } do
      local got = http[method](base .. "/echo"):json()
      assert.equal(method:upper(), got.method)
    end
    local response = http.head(base .. "/hello")
    assert.equal("5", response.headers["content-length"])
    assert.equal("", response.body)
  end))

  it("sends and reads JSON", with_server(function(base)
    local got = http.post(base .. "/echo", { json = { list = { 1, 2.5 }, text = "ü" } }):json()
    assert.equal("application/json", got.headers["content-type"])
    assert.same({ list = { 1, 2.5 }, text = "ü" }, rt.json.decode(got.body))
    assert.equal("json", rt.kind(select(2, pcall(function()
      return http.get(base .. "/hello"):json()
    end))))
  end))

  it("sends a body piece by piece, or from a file", with_server(function(base)
    local count = 0
    local got = http.post(base .. "/echo", { body = function()
      count = count + 1
      rt.sleep(0)
      return count <= 3 and ("piece %d,"):format(count) or nil
    end }):json()
    assert.equal("piece 1,piece 2,piece 3,", got.body)
    local folder <close> = helper.temporary()
    local path = folder.path .. "/body"
    rt.fs.write(path, ("line\n"):rep(50000))
    assert.equal(("line\n"):rep(50000), http.put(base .. "/echo", { body = { file = path } })
      :json().body)
    local _, err = pcall(http.put, base .. "/echo", { body = { file = folder.path .. "/none" } })
    assert.equal("fs", rt.kind(err))
    assert.matches("No such file", err.message, 1, true)
  end))

  it("knows who asks", with_server(function(base)
    local function header(auth)
      return http.get(base .. "/echo", { auth = auth }):json().headers.authorization
    end
    assert.equal("Basic YTpiOmM=", header "a:b:c")
    assert.equal("Basic YTpiOmM=", header { "a", "b:c" })
    assert.equal("Bearer xyz", header { bearer = "xyz" })
  end))

  it("follows redirects, as many as it is allowed, to http only", with_server(function(base)
    local response = http.get(base .. "/moved")
    assert.equal("hello", response.body)
    assert.equal(base .. "/hello", response.url)
    response = http.get(base .. "/moved", { follow = false })
    assert.equal(302, response.status)
    failure("too_many_redirects", http.get, base .. "/around")
    failure("protocol", http.get, base .. "/elsewhere")
  end))

  it("sends the body again where a redirect wants that, if it can", with_server(function(base)
    local function pieces()
      local left = { "three", "two", "one" }
      return function() return table.remove(left) end
    end
    local function arrives(method, status, body)
      local got = http.request({ url = base .. "/again/" .. status, method = method,
        body = body }):json()
      return got.method .. " " .. (got.body or "")
    end
    local folder <close> = helper.temporary()
    helper.write(folder.path .. "/file", "from a file")
    for _, status in ipairs { 307, 308 } do
      assert.equal("POST text", arrives("POST", status, "text"))
      assert.equal("POST from a file", arrives("POST", status, { file = folder.path .. "/file" }))
      failure("protocol", arrives, "POST", status, pieces())
    end
    for _, status in ipairs { 301, 302 } do
      assert.equal("GET ", arrives("POST", status, pieces()))
      assert.equal("PUT text", arrives("PUT", status, "text"))
      local err = failure("protocol", arrives, "PUT", status, pieces())
      assert.matches("it wants the body again, which a function gives once", err.message, 1, true)
    end
    assert.equal("GET ", arrives("PUT", 303, pieces()))
  end))

  it("cannot send again what a function has given", with_server(function(base)
    http.get(base .. "/hello") -- a kept connection, which may be found closed
    local err = failure("closed", http.put, base .. "/nothing", { body = function() end })
    assert.matches("which a function gives once", err.message, 1, true)
  end))

  it("fails when the file that is sent becomes shorter meanwhile", helper.in_run(function()
    local folder <close> = helper.temporary()
    local path = folder.path .. "/file"
    helper.write(path, ("x"):rep(32 << 20))
    local one <close> = rt.net.listen("127.0.0.1", 0, function(c)
      c:read_line()
      helper.write(path, "")
      c:read("a")
    end)
    local err = failure("read", http.put, "http://127.0.0.1:" .. one.port,
      { body = { file = path }, timeout = 20 })
    one.task:cancel()
    rt.settle { one.task }
    assert.matches("the file that is sent has become shorter", err.message, 1, true)
  end))

  it("tells secrets only to whom they were meant for", with_server(function(base)
    local port = base:match "%d+$"
    local function told(options, where, path)
      function answers.away(c) reply(c, "307 Look there", { Location = where .. "/echo" }) end
      return http.get((path or base) .. "/away", options):json().headers
    end
    local headers = { Authorization = "s3cret", Cookie = "a=b", ["X-Api-Key"] = "s3cret",
      ["X-Seen"] = "yes" }
    for _, where in ipairs { "", base } do
      assert.equal("s3cret", told({ headers = headers }, where).authorization)
      assert.equal("Basic bWU6cHc=", told({ auth = "me:pw" }, where).authorization)
      assert.equal("Basic bWU6cHc=", told({}, where, (base:gsub("//", "//me:pw@"))).authorization)
    end
    local elsewhere = "http://localhost:" .. port
    local got = told({ headers = headers }, elsewhere)
    assert.same({ nil, nil, nil, "yes" },
      { got.authorization, got.cookie, got["x-api-key"], got["x-seen"] })
    assert.is_nil(told({ auth = "me:pw" }, elsewhere).authorization)
    assert.is_nil(told({ auth = { bearer = "x" } }, elsewhere).authorization)
    assert.is_nil(told({}, elsewhere, (base:gsub("//", "//me:pw@"))).authorization)
  end))

  it("keeps connections and uses them again", with_server(function(base)
    for _ = 1, 5 do http.get(base .. "/hello") end
    assert.is_true(http.get(base .. "/hello").timings.connect < 0.0005)
  end))

  it("speaks HTTP/2 without TLS only where it is told to", with_server(function(base)
    local came = rt.channel(1)
    function answers.http2(c)
      came:send(true)
      c:read("a")
    end
    local task = rt.spawn(http.get, base .. "/hello", { http2 = true })
    came:receive()
    for _ = 1, 5 do
      assert.equal("hello", http.get(base .. "/hello", { timeout = 20 }).body)
      assert.equal("PUT", http.put(base .. "/echo", { body = "x", timeout = 20 }):json().method)
    end
    task:cancel()
    rt.settle { task }
  end))

  it("runs many at once", with_server(function(base)
    local urls = {}
    for i = 1, 200 do urls[i] = base .. "/echo?" .. i end
    local got = rt.map(function(url) return http.get(url):json().target end, urls, { limit = 50 })
    for i = 1, 200 do assert.equal("/echo?" .. i, got[i]) end
  end))

  it("makes an error of a status only if it is told to", with_server(function(base)
    assert.equal(404, http.get(base .. "/missing").status)
    local err = failure("status", http.get, base .. "/missing", { raise_for_status = true })
    assert.equal(404, err.status)
    assert.equal("no such page", err.body)
    assert.equal("gone", err.headers["x-why"])
    assert.equal("http: GET " .. base .. "/missing: status 404: no such page", tostring(err))
  end))

  it("does not tell the secrets that an answer repeats", with_server(function(base)
    function answers.repeats(c, request)
      local length = tonumber(request.target:match "%d+")
      reply(c, "403 Forbidden", {}, ("x"):rep(length) .. " " ..
        (request.headers.authorization or request.target))
    end
    local function told(length, options)
      options.raise_for_status = true
      return failure("status", http.get, base .. "/repeats/" .. length, options).message
    end
    for length = 170, 205 do
      assert.is_nil(told(length, { auth = { bearer = "s3cret" } }):find "s3")
    end
    assert.matches("x Bearer [hidden]", told(1, { auth = { bearer = "s3cret" } }), 1, true)
    assert.matches("x Basic [hidden]", told(1, { auth = { "me", "s3cret" } }), 1, true)
    assert.matches("status 403: x /repeats/1?a=b&token=[hidden]", told(1, { query = { a = "b",
      token = "s3cret" } }), 1, true)
  end))

  it("tells each way to fail apart", with_server(function(base)
    failure("could_not_resolve", http.get, "http://nowhere.invalid/")
    failure("connect", http.get, "http://127.0.0.1:1/")
    failure("closed", http.get, base .. "/nothing")
    function answers.http2(c) c:close() end
    failure("closed", http.get, base .. "/hello", { http2 = true })
    failure("partial", http.get, base .. "/cut")
    failure("protocol", http.get, base .. "/garbage", { http2 = false })
    failure("timeout", http.get, base .. "/never", { timeout = 0.05 })
    failure("timeout", http.get, base .. "/half-head", { timeout = 0.05 })
    failure("too_large", http.get, base .. "/long-head")
    failure("too_large", http.get, base .. "/big", { max_body = 1000 })
    assert.equal(1 << 20, #http.get(base .. "/big", { max_body = 1 << 20 }).body)
    failure("tls", http.get, (base:gsub("^http:", "https:")) .. "/hello")
    local err = failure("connect", http.get, "http://127.0.0.1:1/x?token=abc&a=b")
    assert.equal("http://127.0.0.1:1/x?token=[hidden]&a=b", err.url)
    assert.equal("GET", err.method)
    err = failure("connect", http.get, "http://u:p@127.0.0.1:1/a@b&token=abc&c=?key=d#e")
    assert.equal("http://127.0.0.1:1/a@b&token=[hidden]&c=?key=[hidden]", err.url)
  end))

  it("is cancelled and timed out at once", with_server(function(base)
    local task = rt.spawn(function() return http.get(base .. "/never") end)
    rt.sleep(0.02)
    task:cancel()
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
    local _, err = pcall(rt.timeout, 0.02, function() http.get(base .. "/never") end)
    assert.equal("timeout", rt.kind(err))
  end))

  it("counts in its timeout that it waits for a connection", with_server(function(base)
    http.limit(1)
    local _ <close> = helper.closing(function() http.limit(32) end)
    local task = rt.spawn(http.get, base .. "/never", { timeout = 30 })
    rt.sleep(0)
    local err = failure("timeout", http.get, base .. "/hello", { timeout = 0.05 })
    assert.matches("not done after 0.05 seconds, with 0 bytes received", err.message, 1, true)
    assert.equal("running", task:status())
    task:cancel()
    rt.settle { task }
    assert.equal("hello", http.get(base .. "/hello", { timeout = 30 }).body)
  end))

  it("counts redirects in its timeout", with_server(function(base)
    function answers.slowly(c)
      rt.sleep(0.01)
      reply(c, "302 Found", { Location = "/slowly" })
    end
    failure("timeout", http.get, base .. "/slowly", { timeout = 0.05, follow = 100000 })
  end))

  it("has an idle timeout, for which a byte now and then is enough", with_server(function(base)
    local err = failure("timeout", http.get, base .. "/never", { idle_timeout = 0.04 })
    assert.matches("nothing came for 0.04 seconds", err.message, 1, true)
    failure("timeout", http.get, base .. "/half-head", { idle_timeout = 0.04 })
    function answers.beats(c)
      c:write "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
      for _ = 1, 40 do
        rt.sleep(0.01)
        c:write "."
      end
    end
    assert.equal(40, #http.get(base .. "/beats", { idle_timeout = 0.16 }).body)
    local stream <close> = http.stream(base .. "/endless", { idle_timeout = 0.02 })
    for _ = 1, 2 do -- who reads slowly is not the server
      rt.sleep(0.05)
      assert.is_true(#stream:read() > 0)
    end
    http.put(base .. "/echo", { idle_timeout = 0.02, body = function() rt.sleep(0.05) end })
  end))

  it("says what is wrong with what it is given", with_server(function(base)
    local function wrong(...) return refusal(http.get, ...) end
    assert.equal("usage: rt.http.get: url: expected a string, got nil", wrong())
    assert.matches("begins with http:// or https://, got 'file:///x'", wrong "file:///x", 1, true)
    assert.matches("spaces and control characters", wrong "http://a/b c", 1, true)
    assert.equal("usage: rt.http.get: there is no option 'header'", wrong(base, { header = {} }))
    assert.matches("headers['A']: expected a string without line ends", wrong(base,
      { headers = { A = "x\r\nB: y" } }), 1, true)
    assert.matches("headers: expected names of headers, got 'A B'", wrong(base,
      { headers = { ["A B"] = "x" } }), 1, true)
    assert.matches("timeout: expected a number of seconds above 0, got 0", wrong(base,
      { timeout = 0 }), 1, true)
    assert.matches("query.a: expected a string, a number or a boolean, got function", wrong(base,
      { query = { a = print } }), 1, true)
    assert.matches("json: expected no body beside it", wrong(base, { json = 1, body = "x" }), 1,
      true)
    assert.matches("max_body: expected a number of bytes, got -1", wrong(base,
      { max_body = -1 }), 1, true)
    for _, url in ipairs { "http://a:99999", "http://a:80:9", "http://a:b", "http://[::1]x" } do
      assert.matches("url: expected a port of 0 to 65535 behind the host", wrong(url), 1, true)
    end
    assert.matches("max_body: expected a number of bytes, got '1'", wrong(base,
      { max_body = "1" }), 1, true)
    assert.matches("follow: expected a number of redirects, got '1'", wrong(base,
      { follow = "1" }), 1, true)
    assert.matches("connections, got '5'", refusal(http.limit, "5"), 1, true)
    assert.matches("proxy: expected a string", wrong(base, { proxy = false }), 1, true)
    assert.matches("ca: expected a string", wrong(base, { ca = false }), 1, true)
    assert.matches("method: expected GET or nothing, got 'POST'", wrong(base,
      { method = "POST" }), 1, true)
    assert.matches("body: HEAD is sent without one", refusal(http.head, base, { body = "x" }), 1,
      true)
    assert.matches("response:json: expected a response, got nil",
      refusal(http.get(base .. "/hello").json), 1, true)
    assert.matches("method: expected a method in capital letters",
      refusal(http.request, { url = base, method = "get" }), 1, true)
  end))

  it("tells no secrets when it says what is wrong", with_server(function(base)
    local function said(fn, ...)
      local ok, err = pcall(fn, ...)
      assert.is_false(ok)
      assert.is_nil(tostring(err):find "s3cret", tostring(err))
    end
    for _, auth in ipairs { "me:s3cret\n", { "me", "s3cret\n" }, { "me:s3cret", "" },
      { bearer = "s3cret\n" } } do
      said(http.get, base, { auth = auth })
    end
    said(http.get, base, { headers = { ["X-Api-Key"] = "s3cret\n" } })
    said(http.get, base, { json = 1, body = "s3cret" })
    for _, url in ipairs { "http://h/a b?token=s3cret", "http://h/a b?token=x@s3cret",
      "http://u:s3cret@h/a b", "http://u:a?s3cret@h/", "ftp://u:s3cret@h/" } do
      said(http.get, url)
    end
    for _, proxy in ipairs { "http://u:s3cret@h\n", "no://u:s3cret@h", "http://u:s3cret@h:99999",
      "http://u:s3cret@" } do
      said(http.get, base, { proxy = proxy })
    end
    failure("proxy", http.get, base, { proxy = "no://u:s3cret@h" })
    failure("url", http.get, "http://exa<mple/")
  end))

  it("leaves no descriptor behind", with_server(function(base)
    http.get(base .. "/hello")
    local before = descriptors()
    for _ = 1, 20 do
      pcall(http.get, base .. "/never", { timeout = 0.005 })
      pcall(http.get, base .. "/cut")
      local stream <close> = http.stream(base .. "/endless")
      stream:read()
    end
    assert.is_true(descriptors() <= before + 4)
  end))
end)

describe("rt.http.transient", function()
  it("lets rt.retry try again what may pass, when the server wants it", with_server(function(base)
    local response = rt.retry({ times = 5, delay = 0, on = http.transient }, function()
      return http.get(base .. "/busy", { raise_for_status = true })
    end)
    assert.equal("at last", response.body)
  end))

  it("knows what may pass", function()
    local function problem(fields)
      local ok, err = pcall(rt.run, function()
        local core = require "railtracks.core"
        core.fail("http", "x", fields)
      end)
      assert.is_false(ok)
      return http.transient(err)
    end
    assert.is_true(problem { code = "connect", method = "POST" })
    assert.is_false(problem { code = "closed", method = "POST" })
    assert.is_true(problem { code = "closed", method = "GET" })
    assert.is_false(problem { code = "tls", method = "GET" })
    assert.is_false(problem { code = "status", status = 404, method = "GET", headers = {} })
    assert.is_false(problem { code = "status", status = 500, method = "POST", headers = {} })
    assert.equal(120, problem { code = "status", status = 429, method = "POST",
      headers = { ["retry-after"] = "120" } })
    for _, form in ipairs { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
      "%a %b %e %H:%M:%S %Y" } do
      local soon = os.date("!" .. form, os.time() + 60)
      local seconds = problem { code = "status", status = 503, method = "GET",
        headers = { ["retry-after"] = soon } }
      assert.is_true(seconds > 50 and seconds <= 60, soon)
    end
    for _, past in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994", "0" } do
      assert.equal(0, problem { code = "status", status = 503, method = "GET",
        headers = { ["retry-after"] = past } })
    end
    assert.is_true(problem { code = "status", status = 503, method = "GET" })
    assert.is_true(problem { code = "status", status = 503, method = "GET",
      headers = { ["retry-after"] = "soon" } })
    assert.is_false(http.transient "text")
  end)
end)

describe("the record of a request", function()
  it("is a call with what was asked and what came, and no secrets", function()
    local folder <close> = helper.temporary()
    local file = folder.path .. "/journal.db"
    local _, said, status = helper.run { "run", "--journal", file, "-e", [[
      local rt = require "railtracks"
      local server <close> = rt.net.listen("127.0.0.1", 0, function(c)
        c:read_line()
        c:write "HTTP/1.1 200 OK\r\nSet-Cookie: s3cret=1\r\nContent-Length: 2\r\n\r\nok"
      end)
      rt.http.post(("http://me:s3cret@127.0.0.1:%d/path?api_key=s3cret&q=1"):format(server.port), {
        headers = { ["X-Api-Key"] = "s3cret", Cookie = "s3cret", ["X-Seen"] = "yes" },
        auth = { bearer = "s3cret" }, body = "four" })
      pcall(rt.http.get, "http://u:s3cret@127.0.0.1:1/?token=s3cret")
      server.task:cancel()
    ]] }
    assert.equal(0, status, said)
    assert.equal("", (helper.shell("grep -l s3cret " .. file .. "* || true")))
    local output = helper.run { "show", "--json", "--journal", file }
    local call
    for _, each in ipairs(rt.json.decode(output).calls) do
      if each.node:find "^http POST" then call = each end
    end
    assert.matches("^http POST 127%.0%.0%.1:%d+/path$", call.node)
    local method, url, headers, bytes = table.unpack(call.args)
    assert.equal("POST", method)
    assert.matches("/path?api_key=[hidden]&q=1", url, 1, true)
    assert.same({ ["x-api-key"] = "[hidden]", cookie = "[hidden]", ["x-seen"] = "yes",
      authorization = "[hidden]" }, headers)
    assert.equal(4, bytes)
    assert.equal(200, call.results[1])
    assert.equal(2, call.results[2])
    assert.is_true(call.results[3].total > 0)
  end)
end)
