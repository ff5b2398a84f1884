local helper = require "spec.helper"
local prometheus = require "spec.prometheus"
local viewer = require "spec.viewer"
local rt = require "railtracks"

local in_run = helper.in_run

describe("the viewer", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  --- Records a script, which finds `rt` there.
  local function record(text)
    place:write("script.lua", "local rt = require 'railtracks'; " .. text)
    place:run { "run", "script.lua" }
  end

  --- A test with a server of the journal; `words` are its arguments.
  local function viewing(test, words)
    return function()
      if type(test) == "table" then record(table.remove(test, 1)) end
      local server <close> = viewer.open(place, words)
      in_run(function() (type(test) == "table" and test[1] or test)(server) end)()
    end
  end

  it("prints its address, ends with 130 at Ctrl-C and with 143 at SIGTERM", function()
    for signal, status in pairs { INT = 130, TERM = 143, HUP = 129 } do
      local server <close> = viewer.open(place)
      assert.matches("^http://127%.0%.0%.1:%d+/$", server.address)
      server.process:kill(signal)
      local output, said, code = server.process:wait()
      assert.same({ server.address .. "\n", "", status }, { output, said, code })
    end
  end)

  it("says what keeps it from beginning", function()
    place:write("other", "no journal at all, but some text")
    local _, said, status = place:run { "view", "--port", "0", "--journal", "other" }
    assert.equal(1, status)
    assert.matches("^railtracks: view: cannot read journal other: it is not an SQLite database\n$",
      said)
    local server <close> = viewer.open(place)
    _, said, status = place:run { "view", "--port", tostring(server.port) }
    assert.equal(1, status)
    assert.equal(("railtracks: view: cannot listen at 127.0.0.1 port %d: Address already in use\n")
      :format(server.port), said)
    _, said, status = place:run { "view", "--port", "65536" }
    assert.equal(2, status)
    assert.matches("%-%-port wants a number up to 65535, got '65536'", said)
    _, said, status = place:run { "view", "--host", "256.1.1.1", "--port", "0" }
    assert.equal(1, status)
    assert.matches("cannot listen at 256.1.1.1 port 0: ", said, 1, true)
  end)

  it("waits for a journal that is not there yet", viewing(function(server)
    assert.is_true(server:json("/api/runs").missing)
    assert.equal(404, server:ask("/api/runs/@1").status)
    assert.equal(200, server:ask("/metrics").status)
    helper.write(place.journal, "") -- as it is while somebody makes it
    assert.same({}, server:json("/api/runs").runs)
    record ""
    assert.equal("script.lua", server:json("/api/runs").runs[1].name)
  end))

  it("sees that another journal has taken the place of the first", viewing { "", function(server)
    local first = server:json("/api/runs").runs[1].id
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(place.journal .. suffix) end
    record ""
    local list = server:json("/api/runs").runs
    assert.equal(1, #list)
    assert.not_equal(first, list[1].id)
  end })

  it("serves the page, which its browser may keep", viewing(function(server)
    local page = server:ask "/"
    assert.equal(200, page.status)
    assert.equal("text/html; charset=utf-8", page.headers["content-type"])
    for path, kind in pairs { ["/page.js"] = "javascript", ["/page.css"] = "css",
      ["/icon.svg"] = "svg" } do
      local file = server:ask(path)
      assert.equal(200, file.status)
      assert.matches(kind, file.headers["content-type"])
      assert.matches(path, page.body, 1, true)
    end
    local again = server:ask("/", { ["If-None-Match"] = page.headers.etag })
    assert.same({ 304, "" }, { again.status, again.body })
    assert.equal("", server:ask("/", nil, "HEAD").body)
  end))

  describe("lists runs", function()
    it("newest first, page by page", viewing(function(server)
      for _ = 1, 5 do record "" end
      local numbers, before = {}, ""
      repeat
        local list = server:json("/api/runs?limit=2" .. before)
        for _, run in ipairs(list.runs) do numbers[#numbers + 1] = run.number end
        before = list.next and ("&before=%d"):format(list.next.before)
      until not before
      assert.same({ 5, 4, 3, 2, 1 }, numbers)
    end))

    it("by status, name, time and text", viewing(function(server)
      record "rt.call(rt.function_node('ask', function() return 'a \"quoted\" word' end), 'needle')"
      record "error 'broken'"
      place:write("100%.lua", "")
      place:run { "run", "100%.lua" }
      local function found(query)
        local names = {}
        for _, run in ipairs(server:json("/api/runs?" .. query).runs) do
          names[#names + 1] = run.name .. " " .. run.status
        end
        return table.concat(names, ", ")
      end
      assert.equal("script.lua failed", found "status=failed")
      assert.equal("", found "status=running")
      assert.equal("100%.lua done", found "name=0%25")
      assert.equal("", found "name=1_0")
      assert.equal("script.lua done", found "text=NEEDLE")
      assert.equal("script.lua done", found "text=a+%22quoted%22")
      assert.equal("script.lua failed", found "text=broken")
      assert.equal("script.lua done", found "text=needle&name=script&status=done")
      local newest, second = table.unpack(server:json("/api/runs").runs)
      assert.equal("100%.lua done", found(("since=%.3f"):format(newest.started_at - 0.002)))
      assert.equal("script.lua done", found(("until=%.3f"):format(second.started_at - 0.002)))
    end))

    it("and says what is wrong with a question", viewing { "", function(server)
      for query, message in pairs {
        ["limit=0"] = "limit: expected a whole number from 1 to 1000",
        ["limit=x"] = "limit: expected a whole number from 1 to 1000",
        ["before=-1"] = "before: expected a whole number from 1 to 9223372036854775807",
        ["before=99999999999999999999"] = "before: expected a whole number",
        ["since=nan"] = "since: expected a number of seconds",
        ["status=lost"] = "status: expected running, done, failed, cancelled or interrupted",
      } do
        local answer = server:ask("/api/runs?" .. query)
        assert.equal(400, answer.status)
        assert.matches(message, answer.json().error, 1, true)
      end
    end })
  end)

  describe("shows a run", function()
    it("by its id, a piece of it, or its place", viewing { "", function(server)
      local id = server:json("/api/runs").runs[1].id
      for _, name in ipairs { id, id:sub(1, 30), id:sub(-5), "@1" } do
        assert.equal(id, server:json("/api/runs/" .. name).id)
      end
      record ""
      for _, name in ipairs { "@3", "@0", "@", "@x", "zzz", id:sub(1, 3), ("x"):rep(100), "" } do
        assert.equal(404, server:ask("/api/runs/" .. name).status)
      end
    end })

    it("as columns, and then what has changed", viewing { [[
      local twice = rt.function_node("twice", function(n) return 2 * n end)
      local wrong = rt.function_node("wrong", function() error "no" end)
      rt.map(twice, { 1, 2 })
      pcall(rt.call, wrong)]], function(server)
      local found = server:calls "/api/runs/@1/calls"
      assert.same({ "RTC1", true, 0 }, { found.magic, found.whole, found.rest })
      local told = {}
      for _, row in ipairs(found.rows) do
        told[#told + 1] = ("%d<%d %s %s"):format(row.seq, row.parent, row.name, row.status)
        assert.is_true(row.spawned >= 0 and row.started >= row.spawned and row.ended >= row.started)
        assert.is_true(row.ended < 60)
      end
      assert.same({ "1<0 script.lua done", "2<1 twice done", "3<1 twice done",
        "4<1 wrong failed" }, told)
      local rest = server:calls(("/api/runs/@1/calls?epoch=%d&since=%d&names=%d"):format(
        found.epoch, found.version, #found.names))
      assert.same({ false, {}, {} }, { rest.whole, rest.names, rest.rows })
      local other = server:calls(("/api/runs/@1/calls?epoch=%d&since=%d&names=%d"):format(
        found.epoch + 1, found.version, #found.names))
      assert.same({ true, 4 }, { other.whole, #other.rows })
    end })

    it("while it goes on", viewing(function(server)
      place:write("waits.lua", [[
        local rt = require "railtracks"
        rt.map(function(seconds) rt.sleep(seconds) end, { 0, 3600 })]])
      local running <close> = place:start { "run", "waits.lua" }
      local found
      local function asked(query)
        return server:calls("/api/runs/@1/calls" .. (query or ""))
      end
      helper.wait_for("three calls", function()
        if #server:json("/api/runs").runs == 0 then return end
        found = asked()
        return #found.rows == 3
      end)
      local status = {}
      for _, row in ipairs(found.rows) do status[row.seq] = row.status end
      assert.same({ "running", "done", "running" }, status)
      assert.equal("running", server:json("/api/runs/@1").status)
      running:kill "KILL"
      running:wait()
      assert.equal("interrupted", server:json("/api/runs/@1").status)
      assert.equal(1, #server:json("/api/runs?status=interrupted").runs)
      assert.equal(0, #server:json("/api/runs?status=running").runs)
    end))

    it("with the beginnings of what was given and returned", viewing { [[
      local f = rt.function_node("f", function(a) if a == 3 then error "no" end return a end)
      rt.call(f, ("x"):rep(1000))
      pcall(rt.call, f, 3)]], function(server)
      local list = server:json "/api/runs/@1/previews?seq=1,2-3,77"
      assert.equal(3, #list)
      assert.equal('["' .. ("x"):rep(198), list[2].args)
      assert.equal("[3]", list[3].args)
      assert.matches("no", list[3].error)
      for _, seq in ipairs { "0", "x", "1-", "2-1", "1,,2", "1-1000", "-1", "1-4294967296" } do
        assert.equal(400, server:ask("/api/runs/@1/previews?seq=" .. seq).status)
      end
    end })

    it("and finds calls that hold a text", viewing { [[
      local f = rt.function_node("finder", function(a)
        if a == 3 then error "Needle" end
        return a
      end)
      for i = 1, 4 do pcall(rt.call, f, i == 2 and "a needle" or i) end]], function(server)
      local found = server:json "/api/runs/@1/search?text=needle"
      assert.same({ 3, 4 }, found.found)
      assert.equal(require("cjson").null, found.next)
      assert.same({ 4 }, server:json("/api/runs/@1/search?text=needle&from=3").found)
      assert.equal(4, #server:json("/api/runs/@1/search?text=FINDER").found)
      assert.equal(400, server:ask("/api/runs/@1/search").status)
    end })
  end)

  describe("shows a call", function()
    it("with all that is recorded", viewing { [[
      local inner = rt.function_node("inner", function(...) error "deep" end)
      local outer = rt.function_node("outer", function(...) return rt.call(inner, ...) end)
      pcall(rt.call, outer, 1, 1.0, { a = "b" })]], function(server)
      local call = server:json "/api/runs/@1/calls/3"
      assert.same({ "inner", "failed", "lua", 2 },
        { call.node, call.status, call.kind, call.parent })
      assert.equal('[1,1.0,{"a":"b"}]', call.args)
      assert.equal("script.lua:2", call.site)
      assert.matches("deep", require("cjson").decode(call.error).message)
      assert.matches("traceback", call.error)
      local callers = {}
      for i, caller in ipairs(call.callers) do callers[i] = caller.node end
      assert.same({ "inner", "outer", "script.lua" }, callers)
      for _, seq in ipairs { "0", "4", "x", "-1", "4294967296", "" } do
        assert.equal(404, server:ask("/api/runs/@1/calls/" .. seq).status)
      end
    end })

    it("and the whole of what is long when that is asked for", function()
      place:write("long.lua", [[
        local rt = require "railtracks"
        rt.call(rt.function_node("f", function() end), ("é"):rep(200000))]])
      place:run { "run", "--record-limit", "1M", "long.lua" }
      viewing(function(server)
        local call = server:json "/api/runs/@1/calls/2"
        assert.equal(400004, call.args_size)
        assert.is_true(#call.args <= 256 << 10)
        assert.is_truthy(utf8.len(call.args))
        assert.equal(400004, #server:json("/api/runs/@1/calls/2?full=1").args)
      end)()
    end)

    it("and what it logged", viewing { "", function(server)
      helper.sql(place.journal, [[INSERT INTO events
        SELECT first_key + 1, 1, 2.5, 'log', '{"message":"one"}' FROM runs UNION ALL
        SELECT first_key + 2, NULL, 3, 'broadcast', '2' FROM runs]])
      local list = server:json("/api/runs/@1/events")
      assert.same({ { number = 1, call = 1, at = 2.5, kind = "log", value = '{"message":"one"}' },
        { number = 2, call = 0, at = 3, kind = "broadcast", value = "2" } }, list.events)
      assert.equal(1, #server:json("/api/runs/@1/events?call=1").events)
      local first = server:json("/api/runs/@1/events?limit=1")
      assert.equal(1, first.next)
      assert.equal(2, server:json("/api/runs/@1/events?after=1").events[1].number)
    end })
  end)

  it("escapes what was recorded, whatever it is", viewing { "", function(server)
    helper.sql(place.journal, [[UPDATE calls SET node = '<b>"\' || char(1) || char(0xD800) ||
      CAST(x'ff41c3' AS TEXT), args = 'not JSON"', parent = 7]])
    local call = server:json "/api/runs/@1/calls/1"
    assert.equal('<b>"\\\1', call.node:sub(1, 6))
    assert.equal("A", call.node:match "(%u)\u{FFFD}$")
    assert.equal('not JSON"', call.args)
    local metrics = server:ask("/metrics").body
    assert.matches([[node="<b>\"\\]], metrics, 1, true)
    prometheus.parse(metrics)
    assert.equal(1, #server:calls("/api/runs/@1/calls").rows)
  end })

  describe("streams", function()
    --- A connection that has asked for the stream.
    local function open(server, headers)
      local connection = rt.net.connect("127.0.0.1", server.port)
      connection:write(("GET /api/stream HTTP/1.1\r\nHost: %s\r\n%s\r\n"):format(server.host,
        headers or ""))
      return connection
    end

    --- The lines up to one that matches.
    local function read_to(connection, pattern)
      for line in connection:lines() do
        local found = line:match(pattern)
        if found then return found end
      end
    end

    it("tell of each change, and go on behind the last one", viewing { "", function(server)
      local stream <close> = open(server)
      assert.equal("text/event-stream", read_to(stream, "^Content%-Type: (.*)"))
      local epoch = read_to(stream, "^id: (%x+)%-1$")
      record ""
      assert.equal("2", read_to(stream, "^id: %x+%-(%x+)$"):sub(1, 1))
      local again <close> = open(server, ("Last-Event-ID: %s-1\r\n"):format(epoch))
      assert.is_truthy(read_to(again, "^event: change$"))
      local stranger <close> = open(server, "Last-Event-ID: x-99\r\n")
      assert.is_truthy(read_to(stranger, "^event: change$"))
    end })

    it("tell when a run's process is killed", viewing(function(server)
      place:write("waits.lua", "require('railtracks').sleep(3600)")
      local running <close> = place:start { "run", "waits.lua" }
      helper.wait_for("the run", function() return #server:json("/api/runs").runs == 1 end)
      local stream <close> = open(server)
      read_to(stream, "^event: change$")
      running:kill "KILL"
      running:wait()
      repeat read_to(stream, "^event: change$")
      until server:json("/api/runs/@1").status == "interrupted"
    end))

    it("end with the server", viewing { "", function(server)
      local stream <close> = open(server)
      read_to(stream, "^event: change$")
      server.process:kill "TERM"
      local _, _, status = server.process:wait()
      assert.equal(143, status)
    end })

    it("leave room for other requests, however many are asked for", viewing { "",
      function(server)
        local streams, refused = {}, 0
        for i = 1, 60 do
          streams[i] = open(server)
          if read_to(streams[i], "^HTTP/1.1 (%d+)") == "503" then
            refused = refused + 1
            streams[i]:close()
          end
        end
        assert.equal(60 - 24, refused)
        assert.equal(200, server:ask("/api/runs").status)
        for _, stream in ipairs(streams) do stream:close() end
        helper.wait_for("a place", function()
          local stream <close> = open(server)
          return read_to(stream, "^HTTP/1.1 (%d+)") == "200"
        end)
      end })
  end)

  it("counts for Prometheus what was called", viewing { [[
    local f = rt.function_node("f", function(a) if a == 2 then error "no" end end)
    for i = 1, 3 do pcall(rt.call, f, i) end]], function(server)
    local function metric(name) return prometheus.parse(server:ask("/metrics").body)[name] end
    assert.equal(2, metric 'railtracks_calls_total{node="f",status="done"}')
    assert.equal(1, metric 'railtracks_calls_total{node="f",status="failed"}')
    assert.equal(3, metric 'railtracks_call_duration_seconds_count{node="f"}')
    assert.equal(3, metric 'railtracks_call_duration_seconds_bucket{le="+Inf",node="f"}')
    assert.equal(1, metric 'railtracks_runs_total{status="done"}')
    assert.equal(0, metric "railtracks_runs_running")
    record "rt.call(rt.function_node('f', function() end))"
    assert.equal(3, metric 'railtracks_calls_total{node="f",status="done"}')
    assert.equal(2, metric 'railtracks_runs_total{status="done"}')
    place:write("waits.lua", [[
      local rt = require "railtracks"
      rt.call(rt.function_node("waits", function() rt.sleep(3600) end))]])
    local running <close> = place:start { "run", "waits.lua" }
    helper.wait_for("a call that runs", function()
      return metric 'railtracks_calls_running{node="waits"}' == 1
    end)
    assert.equal(1, metric "railtracks_runs_running")
    running:kill "INT"
    running:wait()
    assert.equal(0, metric 'railtracks_calls_running{node="waits"}')
    assert.equal(1, metric 'railtracks_calls_total{node="waits",status="cancelled"}')
  end })
end)
