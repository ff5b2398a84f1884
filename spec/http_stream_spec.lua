local rt = require "railtracks"
local server = require "spec.http_server"

local answers, failure, reply = server.answers, server.failure, server.reply
local with_server = server.with_server
local http = rt.http

describe("a stream", function()
  it("gives the body piece by piece", with_server(function(base)
    local pieces = {}
    for piece in http.stream(base .. "/drip") do pieces[#pieces + 1] = piece end
    assert.equal("piece 1piece 2piece 3", table.concat(pieces))
  end))

  it("tells status and headers before", with_server(function(base)
    local stream <close> = http.stream(base .. "/hello")
    assert.equal(200, stream.status)
    assert.equal("5", stream.headers["content-length"])
    assert.equal("hello", stream:read())
    assert.is_nil(stream:read())
    assert.is_nil(stream:read())
  end))

  it("comes after requests that were never sent", with_server(function(base)
    failure("could_not_resolve", http.get, "http://nowhere.invalid/", { timeout = 20 })
    local stream <close> = http.stream(base .. "/hello")
    assert.equal("hello", stream:read())
  end))

  it("makes the server wait for one who reads slowly, and ends when it is left", with_server(
    function(base)
      answers.written = 0
      do
        local stream <close> = http.stream(base .. "/endless")
        assert.is_true(#stream:read() > 0)
        rt.sleep(0.02)
      end
      local written = answers.written
      assert.is_true(written < 32 << 20)
      rt.sleep(0.01)
      assert.equal(written, answers.written)
    end))

  it("is never longer than max_body, however slowly it is read", with_server(function(base)
    local most = 280 << 10
    local stream <close> = http.stream(base .. "/sized/" .. (300 << 10), { max_body = most })
    for _ = 1, 10 do http.get(base .. "/hello") end -- it has come, as far as it may
    local got = 0
    local err = failure("too_large", function()
      for piece in stream do got = got + #piece end
    end)
    assert.matches("larger than max_body", err.message, 1, true)
    assert.is_true(got <= most)
  end))

  it("fails where it is read", with_server(function(base)
    local read = {}
    local err = failure("partial", function()
      for piece in http.stream(base .. "/cut") do read[#read + 1] = piece end
    end)
    assert.equal("only this", table.concat(read))
    assert.is_nil(err.status)
    err = failure("status", http.stream, base .. "/missing")
    assert.equal("no such page", err.body)
    local stream <close> = http.stream(base .. "/missing", { raise_for_status = false })
    assert.equal(404, stream.status)
    failure("connect", http.stream, "http://127.0.0.1:1/")
  end))

  it("is cancelled with the one who reads it", with_server(function(base)
    local task = rt.spawn(function()
      for _ in http.stream(base .. "/endless") do rt.sleep(3600) end
    end)
    rt.sleep(0.02)
    task:cancel()
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
  end))
end)

describe("server-sent events", function()
  it("are read one by one", with_server(function(base)
    local got = {}
    local stream = http.events(base .. "/events")
    for event in stream do got[#got + 1] = event end
    assert.same({ { event = "message", data = "one\ntwo", id = "7" },
      { event = "stop", data = "", id = "7" } }, got)
    assert.equal(1.5, stream.retry)
  end))

  it("are asked for as such, whatever is sent", with_server(function(base)
    function answers.accept(c, request)
      reply(c, "200 OK", { ["Content-Type"] = "text/event-stream" },
        "data: " .. request.headers.accept .. "\n\n")
    end
    local function asked(options)
      local stream <close> = http.events(base .. "/accept", options)
      return stream:read().data
    end
    assert.equal("text/event-stream", asked())
    assert.equal("text/event-stream", asked { method = "POST", json = { 1 } })
    assert.equal("text/plain", asked { headers = { Accept = "text/plain" } })
  end))

  it("are refused when they are none", with_server(function(base)
    local err = failure("protocol", http.events, base .. "/hello")
    assert.matches("expected text/event-stream, got text/plain", err.message, 1, true)
    failure("status", http.events, base .. "/missing")
  end))
end)
