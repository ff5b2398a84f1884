local helper = require "spec.helper"
local prometheus = require "spec.prometheus"
local rt = require "railtracks"
local viewer = require "spec.viewer"

local in_run = helper.in_run

describe("railtracks run --metrics", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local function file(name) return place.folder .. "/" .. name end

  --- Starts a script that may wait for files: `pause(name)` lets others run, `spin(name)` does
  --- not. `words` are further options.
  local function start(script, words)
    place:write("script.lua", [[
      local rt = require "railtracks"
      local function pause(name) repeat rt.sleep(0.01) until io.open(name) end
      local function spin(name) repeat until io.open(name) end
      local function say(text) io.write(text, "\n") io.flush() end
    ]] .. script)
    local all = { "run", "--metrics", "0" }
    table.move(words or {}, 1, #(words or {}), #all + 1, all)
    all[#all + 1] = "script.lua"
    local process = place:start(all)
    process:wait_for_errors "/metrics\n"
    local address = helper.read(process.errors):match "^railtracks: metrics: (%S+)metrics\n"
    return viewer.at(address, process)
  end

  local function read(server)
    local answer = server:ask "/metrics"
    assert.equal(200, answer.status)
    return prometheus.parse(answer.body), answer
  end

  --- Waits until the metric has that value.
  local function wait_for(server, name, value)
    return helper.wait_for(name, function() return read(server)[name] == value end)
  end

  --- A test with a server that runs `script`; also without a journal.
  local function running(script, test, words)
    return function()
      for _, journal in ipairs { place.journal, "none" } do
        for _, name in ipairs { "go", "end" } do os.remove(file(name)) end
        local all = { "--journal", journal }
        table.move(words or {}, 1, #(words or {}), #all + 1, all)
        local server <close> = start(script, all)
        in_run(function() test(server) end)()
      end
    end
  end

  local function let(name) place:write(name, "") end

  it("counts the calls that have ended, by node and status", running([[
    local f = rt.function_node("f", function(i) if i % 3 == 0 then error "no" end end)
    for i = 1, 7 do pcall(rt.call, f, i) end
    local sleeps = rt.function_node("sleeps", function() rt.sleep(3600) end)
    local task = rt.spawn(sleeps)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    say "counted"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "counted"
    local found = read(server)
    assert.equal(5, found['railtracks_calls_total{node="f",status="done"}'])
    assert.equal(2, found['railtracks_calls_total{node="f",status="failed"}'])
    assert.equal(7, found['railtracks_call_duration_seconds_count{node="f"}'])
    assert.equal(1, found['railtracks_calls_total{node="sleeps",status="cancelled"}'])
    assert.is_nil(found['railtracks_calls_total{node="script.lua",status="done"}'])
    assert.equal(1, found['railtracks_calls_running{node="script.lua"}'])
  end))

  it("counts what waits, runs and is queued, while the code spins", running([[
    local begun = 0
    local sleeps = rt.function_node("sleeps", function() begun = begun + 1 rt.sleep(3600) end)
    local never = rt.function_node("never", function() end)
    local tasks = {}
    for i = 1, 5 do tasks[i] = rt.spawn(sleeps) end
    repeat rt.sleep(0) until begun == 5
    for i = 6, 12 do tasks[i] = rt.spawn(never) end
    say "spins"
    spin "go"
    for _, task in ipairs(tasks) do task:cancel() end
    rt.settle(tasks)
    pause "end"
  ]], function(server)
    server.process:wait_for_output "spins"
    local found = read(server)
    assert.equal(5, found['railtracks_calls_running{node="sleeps"}'])
    assert.equal(0, found['railtracks_calls_waiting{node="sleeps"}'])
    assert.equal(0, found['railtracks_calls_running{node="never"}'])
    assert.equal(7, found['railtracks_calls_waiting{node="never"}'])
    assert.equal(1, found['railtracks_calls_running{node="script.lua"}'])
    assert.equal(1, found['railtracks_tasks{state="running"}'])
    assert.equal(5, found['railtracks_tasks{state="waiting"}'])
    assert.equal(7, found['railtracks_tasks{state="queued"}'])
    let "go"
    wait_for(server, 'railtracks_calls_total{node="never",status="cancelled"}', 7)
    wait_for(server, 'railtracks_calls_total{node="sleeps",status="cancelled"}', 5)
    wait_for(server, 'railtracks_tasks{state="running"}', 0)
    found = read(server)
    for _, node in ipairs { "sleeps", "never" } do
      assert.equal(0, found[('railtracks_calls_running{node="%s"}'):format(node)])
      assert.equal(0, found[('railtracks_calls_waiting{node="%s"}'):format(node)])
    end
    -- What never began took no time.
    assert.equal(0, found['railtracks_call_duration_seconds_sum{node="never"}'])
    assert.equal(7, found['railtracks_call_duration_seconds_bucket{le="0.0001",node="never"}'])
    assert.equal(0, found['railtracks_tasks{state="queued"}'])
  end))

  it("does not count a map's items that never became calls", running([[
    local f = rt.function_node("f", function(i) if i == 1 then error "no" end rt.sleep(0) end)
    local items = {}
    for i = 1, 100 do items[i] = i end
    pcall(rt.map, f, items)
    say "mapped"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "mapped"
    local found = read(server)
    assert.equal(1, found['railtracks_calls_total{node="f",status="failed"}'])
    assert.equal(0, found['railtracks_calls_waiting{node="f"}'])
    assert.equal(0, found['railtracks_calls_running{node="f"}'])
  end))

  it("tells how long bodies took", running([[
    rt.call(rt.function_node("long", function() rt.sleep(0.03) end))
    say "done"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "done"
    local found = read(server)
    assert.equal(0, found['railtracks_call_duration_seconds_bucket{le="0.025",node="long"}'])
    assert.equal(1, found['railtracks_call_duration_seconds_bucket{le="+Inf",node="long"}'])
    assert.is_true(found['railtracks_call_duration_seconds_sum{node="long"}'] >= 0.03)
  end))

  it("says of a run what the viewer reads in its journal", function()
    local server <close> = start [[
      local f = rt.function_node("f", function(i) if i % 5 == 0 then error(i) end rt.sleep(0) end)
      local g = rt.function_node("g", function(i) return pcall(rt.call, f, i) end)
      local items = {}
      for i = 1, 50 do items[i] = i end
      rt.map(g, items, { limit = 7 })
      rt.settle { rt.spawn(f, 5), rt.spawn(f, 6) }
      local queued = rt.spawn(rt.function_node("queued", function() end))
      local began = rt.now()
      repeat until rt.now() - began > 0.1
      queued:await()
      say "done"
      pause "end"
    ]]
    server.process:wait_for_output "done"
    local told
    in_run(function() told = read(server) end)()
    let "end"
    assert.equal(0, select(3, server.process:wait()))
    local seen <close> = viewer.open(place)
    local recorded
    in_run(function() recorded = read(seen) end)()
    for _, node in ipairs { "f", "g", "queued" } do
      for _, status in ipairs { "done", "failed" } do
        local name = ('railtracks_calls_total{node="%s",status="%s"}'):format(node, status)
        assert.equal(recorded[name], told[name], name)
      end
      local count = ('railtracks_call_duration_seconds_count{node="%s"}'):format(node)
      local sum = ('railtracks_call_duration_seconds_sum{node="%s"}'):format(node)
      assert.equal(recorded[count], told[count])
      -- The journal has microseconds.
      assert.is_true(math.abs(recorded[sum] - told[sum]) < 4e-6 * recorded[count] + 1e-6)
    end
    assert.equal(11, told['railtracks_calls_total{node="f",status="failed"}'])
  end)

  it("tells how late the loop is, also while it is", running([[
    pause "go"
    say "spins"
    spin "end"
    pause "over"
  ]], function(server)
    local name = "railtracks_loop_lag_seconds"
    helper.wait_for("a look at the loop", function()
      return read(server)["railtracks_loop_delay_seconds_count"] > 0
    end)
    let "go"
    server.process:wait_for_output "spins"
    local first = helper.wait_for("a lag", function()
      local lag = read(server)[name]
      return lag > 0.3 and lag
    end)
    local found = read(server)
    assert.is_true(found[name] > first)
    assert.is_true(found[name] < found.railtracks_uptime_seconds)
    let "end"
    helper.wait_for("the loop's turn", function()
      local after = read(server)
      return after.railtracks_loop_delay_seconds_sum >= found[name]
        and after['railtracks_loop_delay_seconds_bucket{le="+Inf"}']
          > after['railtracks_loop_delay_seconds_bucket{le="0.1"}']
    end)
  end))

  local grows = [[
    local kept = ("x"):rep(30 * 1024 * 1024)
    say "large"
    spin "go"
    kept = nil
    collectgarbage()
    say "small"
    spin "end"
  ]]

  local function tell_heap(server)
    server.process:wait_for_output "large"
    local large = read(server).railtracks_lua_heap_bytes
    assert.is_true(large > 30 * 1024 * 1024 and large < 60 * 1024 * 1024)
    let "go"
    server.process:wait_for_output "small"
    assert.is_true(read(server).railtracks_lua_heap_bytes < 30 * 1024 * 1024)
    let "end"
    assert.equal(0, select(3, server.process:wait()))
  end

  it("tells how large the heap is, while the code spins", running(grows, tell_heap))
  it("tells so of a heap that has a limit", running(grows, tell_heap, { "--memory-limit", "100M" }))

  it("tells how long it has been running", running('pause "end"', function(server)
    local first = read(server).railtracks_uptime_seconds
    assert.is_true(first > 0)
    assert.is_true(read(server).railtracks_uptime_seconds > first)
  end))

  it("tells how much is still to be written to the journal", function()
    local server <close> = start [[
      local f = rt.function_node("f", function() return ("x"):rep(100) end)
      pause "go"
      for i = 1, 100 do rt.call(f, i) end
      say "called"
      pause "end"
    ]]
    -- The script's own row is there: nothing else is on its way.
    helper.wait_for("the journal", function()
      return helper.exists(place.journal)
        and helper.sql(place.journal, "SELECT 1 FROM sqlite_master WHERE name = 'calls'") == "1"
        and helper.sql(place.journal, "SELECT count(*) FROM calls") == "1"
    end)
    local release = helper.hold(place.journal)
    in_run(function()
      local found = read(server)
      assert.equal(0, found.railtracks_journal_queue_records)
      assert.equal(0, found.railtracks_journal_queue_bytes)
    end)()
    let "go"
    server.process:wait_for_output "called"
    in_run(function()
      local found = read(server)
      -- Of each call its beginning and its end, but for the call that the writer holds in hand.
      local records = found.railtracks_journal_queue_records
      assert.is_true(records >= 198 and records <= 200, records)
      assert.is_true(found.railtracks_journal_queue_bytes > 99 * 100)
      release()
      wait_for(server, "railtracks_journal_queue_records", 0)
      assert.equal(0, read(server).railtracks_journal_queue_bytes)
      assert.equal(0, read(server).railtracks_journal_lost_calls_total)
    end)()
    assert.equal("101", helper.sql(place.journal, "SELECT count(*) FROM calls"))
  end)

  it("counts the calls that could not be written", function()
    local server <close> = start([[
      for _ = 1, 40 do
        rt.map(function() return ("x"):rep(60000) end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
        rt.sleep(0.02)
      end
      say "called"
      pause "end"
    ]], { "--journal-max", "1M" })
    in_run(function()
      server.process:wait_for_output "called"
      helper.wait_for("losses", function()
        return read(server).railtracks_journal_lost_calls_total > 0
      end)
      local before = read(server).railtracks_journal_lost_calls_total
      assert.is_true(before <= 400)
    end)()
    let "end"
    assert.equal(1, select(3, server.process:wait()))
  end)

  it("counts the nodes after 2,000 as one", running([[
    for i = 1, 2100 do rt.call(rt.function_node("n" .. i, function() end)) end
    say "called"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "called"
    local found = read(server)
    assert.equal(1, found['railtracks_calls_total{node="n1999",status="done"}'])
    assert.is_nil(found['railtracks_calls_total{node="n2000",status="done"}'])
    assert.equal(101, found['railtracks_calls_total{node="(others)",status="done"}'])
  end))

  it("takes two nodes of one name for one", running([[
    for i = 1, 3 do rt.call(rt.function_node("f", function() return i end)) end
    say "called"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "called"
    assert.equal(3, read(server)['railtracks_calls_total{node="f",status="done"}'])
  end))

  local odd = [[
    for _, name in ipairs { 'a"b\\c\nd', "é", "\xff\xfe", "{},= ", "a\rb\tc\0d" } do
      rt.call(rt.function_node(name, function() end))
    end
    say "called"
    pause "end"
  ]]

  it("writes names of any bytes so that they can be read", running(odd, function(server)
    server.process:wait_for_output "called"
    local found = read(server)
    for _, name in ipairs { 'a"b\\c\nd', "é", "\\xff\\xfe", "{},= ", "a\rb\tc\0d" } do
      assert.equal(1, found[('railtracks_calls_total{node="%s",status="done"}'):format(name)], name)
    end
  end))

  if prometheus.has_python then
    it("is read by Prometheus' own library as by this one", running(odd, function(server)
      server.process:wait_for_output "called"
      local found, answer = read(server)
      assert.same(found, prometheus.parse_in_python(answer.body))
    end))
  end

  it("runs beside --progress", running([[
    for i = 1, 3 do rt.call(rt.function_node("f", function() return i end)) end
    say "called"
    pause "end"
  ]], function(server)
    server.process:wait_for_output "called"
    assert.equal(3, read(server)['railtracks_calls_total{node="f",status="done"}'])
    let "end"
    local _, said = server.process:wait()
    assert.matches("\n *[%d.]+ %S+  3 f\n", said)
  end, { "--progress" }))

  describe("is closed to", function()
    it("everything but /metrics", running('pause "end"', function(server)
      for _, path in ipairs { "/", "/page.js", "/api/runs", "/api/stream", "/metrics/", "/metricsx",
        "/../metrics", "//metrics" } do
        local answer = server:ask(path)
        assert.equal(404, answer.status, path)
        assert.matches("only /metrics", answer.body)
      end
      assert.equal(200, server:ask("/metrics?x=1").status)
      assert.equal("text/plain; version=0.0.4; charset=utf-8",
        server:ask("/metrics").headers["content-type"])
      local head = server:ask("/metrics", nil, "HEAD")
      assert.equal(200, head.status)
      assert.equal("", head.body)
    end))

    it("names that were made to mean this machine, and pages of other sites",
      running('pause "end"', function(server)
        assert.equal(421, server:ask("/metrics", { Host = "evil.example" }).status)
        assert.equal(400, server:ask("/metrics", { Host = false }).status)
        assert.equal(403, server:ask("/metrics", { Origin = "http://evil.example" }).status)
        assert.equal(403, server:ask("/metrics", { ["Sec-Fetch-Site"] = "cross-site" }).status)
        assert.equal(200, server:ask("/metrics", { Host = "localhost" }).status)
      end))

    it("everything but GET and HEAD, and to bodies", running('pause "end"', function(server)
      for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "TRACE" } do
        assert.equal(405, server:ask("/metrics", nil, method).status)
      end
      assert.equal(413, server:ask("/metrics", { ["Content-Length"] = "10" }).status)
    end))

    it("garbage, and goes on", running('spin "end"', function(server)
      local random = helper.generator(11)
      local made = { "\0", "GET\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n",
        "GET /" .. ("a"):rep(100000) .. " HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\n" .. ("X: a\r\n"):rep(20000) .. "\r\n" }
      for _ = 1, 30 do
        local bytes = {}
        for i = 1, random(200) do bytes[i] = string.char(random(256) - 1) end
        made[#made + 1] = "GET /metrics" .. table.concat(bytes) .. "\r\n\r\n"
      end
      for _, bytes in ipairs(made) do
        local connection <close> = rt.net.connect("127.0.0.1", server.port)
        pcall(connection.write, connection, bytes)
        pcall(connection.shutdown, connection)
        local ok, text = pcall(connection.read, connection, "a")
        if ok and text and #text > 0 then assert.matches("^HTTP/1%.[01] [45]%d%d ", text) end
      end
      local held = {}
      for i = 1, 100 do held[i] = rt.net.connect("127.0.0.1", server.port) end
      for _, connection in ipairs(held) do connection:close() end
      helper.wait_for("an answer", function() return server:ask("/metrics").status == 200 end)
      let "end"
      assert.equal(0, select(3, server.process:wait()))
    end))
  end)

  it("answers many at once while calls are made", running([[
    local f = rt.function_node("f", function(i) return i end)
    while not io.open "end" do
      local tasks = {}
      for i = 1, 100 do tasks[i] = rt.spawn(f, i) end
      rt.gather(tasks)
      for i = 1, 100 do rt.call(rt.function_node("g" .. i % 50, function() end)) end
    end
  ]], function(server)
    local counts = rt.map(function()
      local last = -1
      for _ = 1, 20 do
        local now = read(server)['railtracks_calls_total{node="f",status="done"}'] or 0
        assert.is_true(now >= last)
        last = now
      end
      return last
    end, { 1, 2, 3, 4 })
    assert.is_true(math.max(table.unpack(counts)) > 0)
    let "end"
    assert.equal(0, select(3, server.process:wait()))
  end))

  it("answers at the port it was given, and says nothing of it", function()
    local port
    do
      local free <close> = start 'pause "end"'
      port = free.port
    end
    place:write("wait.lua", 'repeat require "railtracks".sleep(0.01) until io.open "end"')
    local process <close> = place:start { "run", "--metrics", tostring(port), "wait.lua" }
    local server = viewer.at(("http://127.0.0.1:%d/"):format(port), process)
    in_run(function()
      helper.wait_for("an answer", function()
        local ok, answer = pcall(server.ask, server, "/metrics")
        return ok and answer.status == 200
      end)
    end)()
    let "end"
    assert.same({ "", "", 0 }, { process:wait() })
  end)

  it("says that its port is in use, before the script has begun", function()
    local server <close> = start 'pause "end"'
    local output, said, status = place:run { "run", "--metrics", tostring(server.port),
      "-e", "print 'begun'" }
    assert.same({ "", 1 }, { output, status })
    assert.equal(("railtracks: run: --metrics: cannot listen at 127.0.0.1 port %d: "
      .. "Address already in use\n"):format(server.port), said)
    assert.equal("1", helper.sql(place.journal, "SELECT count(*) FROM runs"))
  end)

  it("wants a port", function()
    for _, port in ipairs { "x", "-1", "65536", "1.5", "" } do
      local output, said, status = place:run { "run", "--metrics", port, "-e", "print 'begun'" }
      assert.same({ "", 2 }, { output, status }, port)
      assert.matches("--metrics wants a number up to 65535", said, 1, true)
    end
  end)

  it("keeps nothing alive that stands still", function()
    local _, said, status = place:run { "run", "--metrics", "0", "-e",
      "require 'railtracks'.channel():receive()" }
    assert.equal(1, status)
    assert.matches("deadlock: every task waits", said, 1, true)
  end)

  describe("ends with the run, also with a client that waits for more, when it", function()
    local function ending(script, status, signal)
      return function()
        local server <close> = start('say "begun"\npause "go"\n' .. script)
        server.process:wait_for_output "begun"
        in_run(function()
          local client <close> = rt.net.connect("127.0.0.1", server.port)
          client:write(("GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\nGET /met"):format(server.host))
          assert.matches("^HTTP/1.1 200", client:read())
          if signal then server.process:kill(signal) end
          let "go"
          assert.equal(status, select(3, server.process:wait()))
          assert.is_false((pcall(rt.net.connect, "127.0.0.1", server.port)))
        end)()
      end
    end

    it("succeeds", ending("", 0))
    it("fails", ending("error 'no'", 1))
    it("asks for an exit status", ending("os.exit(7)", 7))
    it("is interrupted", ending("rt.sleep(3600)", 130, "INT"))
    it("is terminated", ending("rt.sleep(3600)", 143, "TERM"))
    it("is interrupted while it spins", ending("", 130, "INT"))
  end)

  it("leaves no socket to the programs that are started", running([[
    say(io.popen("ls -l /proc/self/fd"):read "a")
    say "listed"
    spin "end"
  ]], function(server)
    server.process:wait_for_output "listed"
    assert.is_nil(helper.read(server.process.output):find "socket:")
    assert.equal(200, server:ask("/metrics").status)
    let "end"
    server.process:wait()
  end))
end)
