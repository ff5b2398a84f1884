local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, refusal = helper.in_run, helper.refusal
local failure, descriptors = helper.failing "net", helper.descriptors
local connect, listen = rt.net.connect, rt.net.listen

--- Both ends of a new connection.
local function pair()
  local server <close> = listen("127.0.0.1", 0)
  local client = connect("127.0.0.1", server.port)
  return client, server:accept()
end

--- A test with both ends of a connection, which are closed after it.
local function with_pair(test)
  return in_run(function()
    local client, server = pair()
    local _ <close> = client
    local _ <close> = server
    test(client, server)
  end)
end

--- A server that answers each line in capitals.
local function shouting()
  return listen("127.0.0.1", 0, function(connection)
    for line in connection:lines() do connection:write(line:upper() .. "\n") end
  end)
end

describe("rt.net", function()
  it("connects to a host by name or address, and talks line by line", in_run(function()
    local server <close> = shouting()
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      local client <close> = connect(host, server.port)
      assert.equal("127.0.0.1", client.host)
      assert.equal(server.port, client.port)
      for _, text in ipairs { "one", "two", "" } do
        client:write(text .. "\n")
        assert.equal(text:upper(), client:read_line())
      end
    end
  end))

  it("knows IPv6 and sockets in the file system", in_run(function()
    local folder <close> = helper.temporary()
    local path = folder.path .. "/socket"
    for _, where in ipairs { { host = "::1", port = 0 }, { path = path } } do
      local server <close> = listen(where, function(connection) connection:write "hello" end)
      local client <close> = connect(where.path and where or { host = "::1", port = server.port })
      assert.equal("hello", client:read "a")
      assert.equal(where.path and path or ("[::1]:%d"):format(server.port), server.name)
    end
    assert.is_false(helper.exists(path))
  end))

  it("tells both ends who the other one is", in_run(function()
    local client, server = pair()
    local own = client.handle:getsockname()
    assert.equal("127.0.0.1", server.host)
    assert.equal(own.port, server.port)
    assert.equal(("127.0.0.1:%d (open)"):format(own.port), tostring(server))
    client:close()
    server:close()
    assert.matches("%(closed%)$", tostring(server))
  end))

  it("passes on bytes as they are, as many as there are", with_pair(function(client, server)
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local text = table.concat(bytes):rep(20000)
    local writer = rt.spawn(function()
      client:write(text)
      client:shutdown()
    end)
    assert.is_true(server:read "a" == text)
    writer:await()
  end))

  it("ends one direction and keeps the other", with_pair(function(client, server)
    client:write "question"
    client:shutdown()
    assert.equal("question", server:read "a")
    server:write "answer"
    server:shutdown()
    assert.equal("answer", client:read "a")
    assert.equal("EPIPE", failure(client.write, client, "more").code)
  end))

  it("makes whoever writes wait for whoever reads", with_pair(function(client, server)
    local written = 0
    local writer = rt.spawn(function()
      for _ = 1, 2000 do
        client:write(("x"):rep(10000))
        written = written + 10000
      end
      client:shutdown()
    end)
    local before
    repeat
      before = written
      rt.sleep(0.01)
    until written == before
    assert.is_true(written < 20000000)
    assert.equal(20000000, #server:read "a")
    writer:await()
  end))

  it("reads while it writes, in both directions", with_pair(function(client, server)
    local size = 3000000
    local function both(stream)
      rt.gather(rt.spawn(function()
        stream:write(("x"):rep(size))
        stream:shutdown()
      end), rt.spawn(function() assert.equal(size, #stream:read "a") end))
    end
    rt.gather(rt.spawn(both, client), rt.spawn(both, server))
  end))

  it("writes whole what several tasks write", with_pair(function(client, server)
    local tasks = {}
    for i = 1, 8 do
      tasks[i] = rt.spawn(function() client:write((tostring(i)):rep(300000) .. "\n") end)
    end
    local closer = rt.spawn(function()
      rt.gather(tasks)
      client:shutdown()
    end)
    local seen = 0
    for line in server:lines() do
      assert.equal(line, line:sub(1, 1):rep(300000))
      seen = seen + 1
    end
    assert.equal(8, seen)
    closer:await()
  end))

  it("gives lines that come in any pieces", with_pair(function(client, server)
    local text = "one\r\ntwo\n\nthree\r\n" .. ("long"):rep(1000) .. "\nrest"
    local writer = rt.spawn(function()
      for i = 1, #text, 7 do
        client:write(text:sub(i, i + 6))
        if i % 5 == 0 then rt.sleep(0) end
      end
      client:shutdown()
    end)
    local lines = {}
    for line in server:lines() do lines[#lines + 1] = line end
    assert.same({ "one", "two", "", "three", ("long"):rep(1000), "rest" }, lines)
    writer:await()
  end))

  it("bounds lines, and loses nothing by it", with_pair(function(client, server)
    client:write "12345678901\nnext\n"
    local err = failure(server.read_line, server, 10)
    assert.equal("too_large", err.code)
    assert.matches("a line of more than 10 bytes: 127.0.0.1:", err.message, 1, true)
    assert.equal("12345678901", server:read_line(11))
    assert.equal("next", server:read_line(4))
    client:write(("x"):rep(50))
    assert.equal("too_large", failure(server.read_line, server, 10).code)
    assert.equal(50, #server:read(50))
  end))

  it("keeps what has come when a read is cancelled", with_pair(function(client, server)
    client:write "half "
    assert.is_false(pcall(rt.timeout, 0.01, function() server:read_line() end))
    assert.is_false(pcall(rt.timeout, 0.01, function() server:read(1000) end))
    client:write "a line\n"
    assert.equal("half a line", server:read_line())
  end))

  it("loses nothing, however often a read is cancelled", with_pair(function(client, server)
    local chance = helper.generator(7)
    local writer = rt.spawn(function()
      for i = 1, 5000 do
        server:write(("line %d\n"):format(i))
        if i % 7 == 0 then rt.sleep(0) end
      end
      server:shutdown()
    end)
    local expected, cancelled, line = 1, 0
    repeat
      local reader = rt.spawn(client.read_line, client)
      for _ = 1, chance(4) - 1 do rt.sleep(0) end
      reader:cancel()
      local outcome = rt.settle(reader)[1]
      line = outcome.value
      if not outcome.ok then cancelled = cancelled + 1
      elseif line then
        assert.equal("line " .. expected, line)
        expected = expected + 1
      end
    until outcome.ok and not line
    assert.equal(5001, expected)
    assert.is_true(cancelled > 0)
    writer:await()
  end))

  it("tells who reads that it was closed meanwhile", with_pair(function(client, server)
    local reader = rt.spawn(function() return failure(server.read, server) end)
    rt.sleep(0.001)
    server:close()
    server:close()
    assert.equal("ECANCELED", reader:await().code)
    assert.matches("stream:read: it is closed: 127.0.0.1:", refusal(server.read, server), 1, true)
    assert.is_nil(client:read())
  end))

  it("tells of a connection that was torn down", in_run(function()
    local client, server = pair()
    local _ <close> = server
    client.handle:close_reset()
    client.handle = nil
    assert.equal("ECONNRESET", failure(server.read, server).code)
  end))

  describe("connect", function()
    it("says why it has failed, and to whom", in_run(function()
      local port
      do
        local gone <close> = listen("127.0.0.1", 0)
        port = gone.port
      end
      local err = failure(connect, "127.0.0.1", port)
      assert.equal("ECONNREFUSED", err.code)
      assert.equal("net: net.connect: connection refused: 127.0.0.1:" .. port, tostring(err))
      err = failure(connect, "no.such.host.invalid", 80)
      assert.matches("^EAI_", err.code)
      assert.matches("net.connect: .*: no.such.host.invalid:80", tostring(err))
      err = failure(connect, { path = "/no/such/socket" })
      assert.equal("ENOENT", err.code)
      assert.equal("/no/such/socket", err.path)
    end))

    it("is ended by its deadline, and leaves nothing open", in_run(function()
      local full <close> = listen({ host = "127.0.0.1", port = 0, backlog = 1 })
      local before = descriptors()
      local kept, timed_out = {}, nil
      for i = 1, 10 do
        local ok, made = pcall(connect, { host = "127.0.0.1", port = full.port, timeout = 0.05 })
        if not ok then
          timed_out = made
          break
        end
        kept[i] = made
      end
      assert.equal("timeout", rt.kind(timed_out))
      for _, made in ipairs(kept) do made:close() end
      full:accept():close()
      rt.sleep(0)
      assert.is_true(descriptors() <= before + 1)
    end))

    it("refuses what is no address", in_run(function()
      assert.matches("net.connect: host: expected a string, got nil", refusal(connect), 1, true)
      assert.matches("net.connect: port: expected a number up to 65535, got nil",
        refusal(connect, "localhost"), 1, true)
      assert.matches("net.connect: port: expected a number up to 65535, got 65536",
        refusal(connect, "localhost", 65536), 1, true)
      assert.matches("net.connect: port: expected a number up to 65535, got '80'",
        refusal(connect, "localhost", "80"), 1, true)
      assert.matches("expected a path, or a host and a port, got both",
        refusal(connect, { host = "x", path = "/y" }), 1, true)
      assert.matches("path: expected at most 107 bytes, got 200",
        refusal(connect, { path = ("x"):rep(200) }), 1, true)
      assert.matches("net.connect: there is no option 'tlz'",
        refusal(connect, "x", 1, { tlz = true }), 1, true)
    end))
  end)

  describe("listen", function()
    it("gives connections one by one", in_run(function()
      local server <close> = listen("127.0.0.1", 0)
      local clients = {}
      for i = 1, 5 do clients[i] = connect("127.0.0.1", server.port) end
      for i = 1, 5 do clients[i]:write(tostring(i)) end
      local seen = {}
      for made in server:connections() do
        seen[#seen + 1] = made:read(1)
        made:close()
        if #seen == 5 then break end
      end
      table.sort(seen)
      assert.same({ "1", "2", "3", "4", "5" }, seen)
      for _, client in ipairs(clients) do client:close() end
    end))

    it("tells who waits for one that it was closed", in_run(function()
      local server = listen("127.0.0.1", 0)
      local waiter = rt.spawn(function() return server:accept() end)
      rt.sleep(0.001)
      assert.matches("another task is waiting", refusal(server.accept, server), 1, true)
      server:close()
      assert.is_nil(waiter:await())
      assert.is_nil(server:accept())
      assert.matches("^Listener 127.0.0.1:%d+ %(closed%)$", tostring(server))
    end))

    it("with a handler serves many at once, and ends when it is closed", in_run(function()
      local server = shouting()
      local list = {}
      for i = 1, 100 do list[i] = "client " .. i end
      local got = rt.map(function(text)
        local client <close> = connect("127.0.0.1", server.port)
        client:write(text .. "\n")
        return client:read_line()
      end, list)
      for i = 1, 100 do assert.equal("CLIENT " .. i, got[i]) end
      server:close()
      server.task:await()
    end))

    it("closes the connection when its handler ends", in_run(function()
      local server <close> = listen("127.0.0.1", 0, function(connection)
        connection:write "bye"
      end)
      local client <close> = connect("127.0.0.1", server.port)
      assert.equal("bye", client:read "a")
    end))

    it("closes a connection whose handler has not begun when all is cancelled", in_run(function()
      local before = descriptors()
      for turns = 0, 8 do
        local server = listen("127.0.0.1", 0, function(c) c:read("a") end)
        local client <close> = connect("127.0.0.1", server.port)
        for _ = 1, turns do rt.sleep(0) end
        server.task:cancel()
        rt.settle { server.task }
        client:close()
      end
      assert.equal(before, descriptors())
    end))

    it("calls nodes, too", in_run(function()
      local node = rt.function_node("greet", function(connection) connection:write "hello" end)
      local server <close> = listen("127.0.0.1", 0, node)
      local client <close> = connect("127.0.0.1", server.port)
      assert.equal("hello", client:read "a")
    end))

    it("goes on when a handler fails, and tells of it", function()
      local output, said, status = helper.run { "run", "--journal", "none", "-e", [[
        local rt = require "railtracks"
        local server = rt.net.listen("127.0.0.1", 0, function(connection)
          if connection:read_line() == "fail" then error("on demand", 0) end
          connection:write "served"
        end)
        for _, text in ipairs { "fail\n", "other\n" } do
          local client <close> = rt.net.connect("127.0.0.1", server.port)
          client:write(text)
          print(client:read "a")
        end
        server:close()
        server.task:await()
        print "ended well"]] }
      assert.equal("\nserved\nended well\n", output)
      assert.equal(0, status, said)
      assert.matches("call 1.1.1 (net connection) failed and nobody waits for it: on demand", said,
        1, true)
    end)

    it("is ended with the call that has started it", in_run(function()
      local server, client
      assert.is_false(pcall(rt.call, function()
        server = listen("127.0.0.1", 0, function(connection) connection:read() end)
        client = connect("127.0.0.1", server.port)
        rt.sleep(0.001)
        error "no"
      end))
      assert.equal("cancelled", server.task:status())
      assert.is_nil(server.handle)
      assert.is_nil(client:read())
      client:close()
    end))

    it("says why it has failed", in_run(function()
      local server <close> = listen("127.0.0.1", 0)
      local err = failure(listen, "127.0.0.1", server.port)
      assert.equal("EADDRINUSE", err.code)
      assert.equal("net: net.listen: address already in use: " .. server.name, tostring(err))
      assert.equal("EADDRNOTAVAIL", failure(listen, "192.0.2.1", 0).code)
      assert.matches("net.listen: the handler: expected a node or a function, got string",
        refusal(listen, "127.0.0.1", 0, {}, "x"), 1, true)
    end))

    it("goes on when there were no descriptors left", function()
      local output, said, status = helper.run({ "run", "--journal", "none", "-e", [[
        local rt = require "railtracks"
        local server = rt.net.listen("127.0.0.1", 0, function(connection)
          connection:write "served"
          connection:read()
        end)
        local kept = {}
        local ok, err
        repeat
          ok, err = pcall(function()
            kept[#kept + 1] = rt.net.connect("127.0.0.1", server.port)
          end)
        until not ok
        print(err.kind, err.code)
        for _, client in ipairs(kept) do client:close() end
        rt.sleep(0.05)
        local client <close> = rt.net.connect("127.0.0.1", server.port)
        print(client:read(6))
        client:close()
        server:close()]] }, { env = "ulimit -n 40;" })
      assert.equal(0, status, said)
      assert.equal("net\tEMFILE\nserved\n", output)
    end)
  end)

  it("leaves no descriptor open, whatever becomes of it", in_run(function()
    local server <close> = listen("127.0.0.1", 0, function(connection)
      pcall(function() for line in connection:lines() do connection:write(line .. "\n") end end)
    end)
    local _, err = pcall(connect, "localhost", 1)
    assert.equal("ECONNREFUSED", err.code)
    local before = descriptors()
    for i = 1, 20 do
      pcall(connect, "127.0.0.1", 1)
      local ok, made = pcall(rt.timeout, i / 50000, connect, "localhost", server.port)
      if ok then made:close() end
      local tasks = {}
      for n = 1, 10 do
        tasks[n] = rt.spawn(function()
          local client <close> = connect("127.0.0.1", server.port)
          client:write "x\n"
          client:read_line()
        end)
      end
      for _ = 1, i do rt.sleep(0) end
      for n = 1, 10, 2 do tasks[n]:cancel() end
      rt.settle(tasks)
    end
    while descriptors() ~= before do rt.sleep(0.001) end -- the server's ends go when they are read
  end))

  it("is calls in the journal", function()
    local place = helper.workplace()
    local _ <close> = helper.closing(function() place:remove() end)
    local found = helper.record(place.folder, [[
      local server = rt.net.listen("127.0.0.1", 0, function(c) c:write(c:read_line()) end)
      do
        local client <close> = rt.net.connect("127.0.0.1", server.port)
        client:write "SECRET\n"
        client:read "a"
      end
      pcall(rt.net.connect, "127.0.0.1", 1)
      server:close()]])
    local nodes = {}
    for _, call in ipairs(found.calls) do nodes[call.id] = call.node .. " " .. call.status end
    assert.equal("net.listen done", nodes["1.1"])
    assert.equal("net.connect done", nodes["1.2"])
    assert.equal("net connection done", nodes["1.1.1"])
    assert.equal("net.connect failed", nodes["1.3"])
    assert.same({ "127.0.0.1:1" }, found.by_id["1.3"].args)
    assert.same({}, found.by_id["1.2"].results)
    assert.is_nil(found.text:find "SECRET")
  end)
end)

describe("a signal", function()
  it("closes processes, files, listeners and connections, in order", function()
    local folder <close> = helper.temporary()
    helper.shell("mkfifo " .. folder.path .. "/fifo")
    for signal, status in pairs { INT = 130, TERM = 143 } do
      local running <close> = helper.start { "run", "--journal", "none", "-e", ([[
        local rt = require "railtracks"
        local uv = rt.uv
        local folder = "%s"
        local function descriptors()
          local count, all = 0, uv.fs_scandir "/proc/self/fd"
          while uv.fs_scandir_next(all) do count = count + 1 end
          return count
        end
        local function closing(name)
          return setmetatable({}, { __close = function() print(name) end })
        end
        -- libuv keeps a descriptor for its first stream, and one for its first watch.
        local pipe, watch = uv.new_pipe(), uv.new_fs_event()
        watch:start(folder, {}, print)
        pipe:close()
        watch:close()
        rt.sleep(0)
        local before = descriptors()
        local _ <close> = setmetatable({}, { __close = function()
          rt.sleep(0)
          print("left", descriptors() - before)
        end })
        local outer <close> = closing "outer"
        rt.call(function()
          local inner <close> = closing "inner"
          local server = rt.net.listen("127.0.0.1", 0, function(connection) connection:read() end)
          local client <close> = rt.net.connect("127.0.0.1", server.port)
          rt.process.spawn { "sleep", "3600" }
          rt.spawn(rt.process.run, { "sleep", "3600" })
          rt.spawn(rt.fs.read, folder .. "/fifo")
          rt.spawn(function() for _ in rt.fs.watch(folder) do end end)
          rt.spawn(function() client:read() end)
          rt.sleep(0.02)
          print "ready"
          io.stdout:flush()
          rt.sleep(3600)
        end)]]):format(folder.path) }
      running:wait_for_output "ready"
      running:kill(signal)
      local output, said, got = running:wait()
      assert.equal("", said)
      assert.equal(status, got)
      assert.equal("ready\ninner\nouter\nleft\t0\n", output)
    end
  end)
end)
