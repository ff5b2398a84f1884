-- What is measured: a list of rows. To add one, add it here.
--
-- A row has a name, a title, the number of its repetitions, its contenders and its
-- bounds. In each repetition every contender has its turn once.
--
-- A contender is { name, command }: the command prints lines of a name and a number, and
-- measure adds wall_ms, cpu_ms, peak_mb. Instead of a command a function may return
-- these figures. 'needs' names a program without which the contender is left out, 'once'
-- gives it one turn only. It is set 'beside' another one, without a word the first.
--
-- A bound is { contender, figure, beside = contender, at_most = number }, or at_least;
-- without 'beside' it holds for the figure itself. 'figure' of a row is what is shown of
-- all its contenders; other figures are shown where a bound or the contender's 'also'
-- names them; 'memory' of a row shows peak_mb of all.

return function(bench)
  local measure, here, work = bench.measure, bench.here, bench.work
  local program = bench.program

  -- One work of railtracks.lua, without a journal.
  local function ours(...)
    return { program, "run", "--journal", "none", here .. "railtracks.lua", ... }
  end
  local function go(name, ...)
    return { name, { bench.build .. "go_peer", ... }, needs = "go" }
  end
  local function python(name, ...)
    return { name, { "python3", here .. "python.py", ... }, needs = "python3" }
  end
  local function node(name, ...)
    return { name, { "node", here .. "node.js", ... }, needs = "node" }
  end

  -- Every journal is a new file, and what was written before is on the disk before the
  -- clock runs: otherwise one contender would pay for the other's pages.
  local function fresh(name)
    local path = work .. name
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(path .. suffix) end
    os.execute("sync")
    return path
  end

  local rows = {}
  local function row(fields) rows[#rows + 1] = fields end

  row {
    name = "listen", title = "the same with somebody listening to every call",
    figure = "us", repetitions = 7,
    contenders = {
      { "nobody listens", ours("call", "300000") },
      { "rt.on for both ends", ours("listen", "300000") },
    },
    bounds = {},
  }

  row {
    name = "call", title = "one call after the other, journal off",
    figure = "us", repetitions = 7,
    contenders = {
      { "rt.call", ours("call", "1000000") },
      { "plain function", ours("function", "10000000") },
      { "pcall", ours("pcall", "5000000") },
      go("go, channel wait", "call", "1000000"),
      python("python await", "await", "1000000"),
      python("python create_task", "call", "50000"),
      node("node await", "call", "1000000"),
    },
    bounds = {
      { "rt.call", "us", beside = "pcall", at_most = 5 },
      { "rt.call", "us", beside = "go, channel wait", at_most = 1 },
    },
  }

  -- The whole process but for its start, which a run of nothing has as well: what lies
  -- between ends with the last commit and the closing of the file. The bare insert gets
  -- the settings of src/store/sqlite.c (8192 pages are its 32 MB of log) and the group
  -- size of src/engine/journal.c; its clock stops at the last commit.
  local calls = 1000000
  local journal = work .. "journal.db"
  row {
    name = "journal", title = "a million short calls and their root, journal on, fresh file",
    figure = "rows_per_s", repetitions = 5,
    contenders = {
      { "rt.call", function()
        local hello = measure { program, "run", "--journal", fresh("hello.db"),
          here .. "hello.lua" }
        local all = measure { program, "run", "--journal", fresh("journal.db"),
          here .. "railtracks.lua", "call", tostring(calls) }
        all.rows_per_s = (calls + 1) / ((all.wall_ms - hello.wall_ms) / 1e3)
        return all
      end },
      -- Of the rows of the run just made.
      { "bare SQLite insert", function()
        local insert = measure { bench.build .. "store_insert", journal, fresh("insert.db"),
          "20000", "synchronous=NORMAL", "secure_delete=OFF", "journal_size_limit=33554432",
          "wal_autocheckpoint=8192" }
        insert.rows_per_s = insert.rows / insert.insert_s
        return insert
      end },
      { "rt.call, journal off", function()
        local all = measure(ours("call", tostring(calls)))
        all.rows_per_s = 1e6 / all.us
        return all
      end },
    },
    bounds = {
      { "rt.call", "rows_per_s", beside = "bare SQLite insert", at_least = 0.9 },
    },
  }

  -- The small sizes are repeated within the process, to be measured at all.
  local sizes = { { "1,000", "1000", 500 }, { "100,000", "100000", 5 },
    { "1,000,000", "1000000", 1 } }

  -- One contender for each size; ours are 'call', which the peers stand beside.
  local function fan(contenders, call)
    local function add(make, who, what, less)
      for _, size in ipairs(sizes) do
        local times = math.max(1, size[3] // less)
        local contender = make(who .. " " .. size[1], what, size[2], tostring(times))
        if who ~= call[1] then contender.beside = call[1] .. " " .. size[1] end
        if size[3] == 1 then contender.also = "peak_mb" end
        if less > 1 then contender.once = true end
        contenders[#contenders + 1] = contender
      end
    end
    add(function(name, ...) return { name, ours(...) } end, call[1], call[2], 1)
    add(go, "go", "fan", 1)
    add(node, "node", "fan", 1)
    add(python, "python", "fan", 10)  -- twenty seconds at a million
    return contenders
  end

  row {
    name = "map", title = "map of leaf calls, journal off", figure = "us", repetitions = 5,
    contenders = fan({ { "pcall", ours("pcall", "5000000") } }, { "rt.map", "map" }),
    bounds = {
      { "rt.map 1,000", "us", beside = "pcall", at_most = 4 },
      { "rt.map 100,000", "us", beside = "pcall", at_most = 4 },
      { "rt.map 1,000,000", "us", beside = "pcall", at_most = 4 },
      { "rt.map 1,000,000", "us", beside = "rt.map 1,000", at_most = 1.3 },
    },
  }

  row {
    name = "spawn", title = "spawn and gather of leaf calls, journal off", figure = "us",
    repetitions = 5,
    contenders = fan({ { "pcall", ours("pcall", "5000000") } }, { "rt.spawn", "spawn" }),
    bounds = {
      { "rt.spawn 1,000", "us", at_most = 1.1 },
      { "rt.spawn 100,000", "us", at_most = 1.1 },
      { "rt.spawn 1,000,000", "us", at_most = 1.1 },
      { "rt.spawn 1,000,000", "us", beside = "rt.spawn 1,000", at_most = 1.3 },
      { "rt.spawn 1,000,000", "peak_mb", at_most = 400 },
    },
  }

  row {
    name = "sleep", title = "100,000 sleepers of 10 ms, journal off",
    figure = "ms", repetitions = 7, memory = true,
    contenders = {
      { "rt.sleep", ours("sleep", "100000") },
      go("go", "sleep", "100000"),
      node("node", "sleep", "100000"),
      python("python", "sleep", "100000"),
    },
    bounds = {
      { "rt.sleep", "ms", beside = "go", at_most = 1.5 },
      { "rt.sleep", "peak_mb", at_most = 170 },
    },
  }

  row {
    name = "deep", title = "a recursion of 100,000 levels, journal off, for each level",
    figure = "us", repetitions = 7, memory = true,
    contenders = {
      { "rt.call", ours("deep", "100000") },
      { "rt.call, failing", ours("fail", "100000") },
      go("go", "deep", "100000"),
      node("node", "deep", "100000"),
      python("python", "deep", "100000"),
    },
    bounds = {
      { "rt.call", "us", at_most = 2 },
      { "rt.call, failing", "us", at_most = 2 },
    },
  }

  row {
    name = "protect", title = "pcall and a generator's step in a task, beside Lua's own",
    figure = "us", repetitions = 7,
    contenders = {
      { "pcall", ours("protected", "3000000") },
      { "Lua's pcall", ours("pcall", "3000000") },
      { "generator", ours("generator", "3000000") },
      { "Lua's generator", ours("resume", "3000000"), beside = "generator" },
    },
    bounds = {},
  }

  row {
    name = "cancel", title = "100,000 sleepers are cancelled, until all have ended, journal off",
    figure = "us", repetitions = 5,
    contenders = { { "task:cancel", ours("cancel", "100000") } },
    bounds = {},
  }

  row {
    name = "channel", title = "a value from one task to another, journal off",
    figure = "us", repetitions = 7,
    contenders = {
      { "rt.channel()", ours("channel", "1000000") },
      { "rt.channel(64)", ours("buffered", "1000000") },
      { "Lua's yield", ours("resume", "1000000") },
      go("go", "channel", "1000000"),
      { "go, 64", { bench.build .. "go_peer", "buffered", "1000000" }, needs = "go",
        beside = "rt.channel(64)" },
    },
    bounds = {},
  }

  row {
    name = "semaphore", title = "acquire and release, journal off", figure = "us",
    repetitions = 7,
    contenders = {
      { "one task", ours("semaphore", "1000000") },
      { "four tasks", ours("contended", "1000000") },
      go("go, one", "semaphore", "1000000"),
      { "go, four", { bench.build .. "go_peer", "contended", "1000000" }, needs = "go",
        beside = "four tasks" },
    },
    bounds = {},
  }

  -- Somebody looks on in a browser, as scripts/bench.d/look.lua does.
  local function viewed(what, count)
    return function()
      local file = fresh("viewed.db")
      local pipe = io.popen(("%s view --port 0 --journal %s & echo $!; wait"):format(program, file))
      local pid, address = pipe:read("l", "l")
      os.execute(("%s run --journal none %slook.lua %s >/dev/null 2>&1 &"):format(
        program, here, address))
      local all = measure { program, "run", "--journal", file, here .. "railtracks.lua", what,
        count }
      os.execute("kill " .. pid)  -- who looks on ends with it
      pipe:close()
      return all
    end
  end
  local function alone(what, count)
    return function()
      return measure { program, "run", "--journal", fresh("alone.db"), here .. "railtracks.lua",
        what, count }
    end
  end
  row {
    name = "view", title = "a run that is looked at in a browser meanwhile", figure = "ms",
    repetitions = 5,
    contenders = {
      { "5,000 calls/s", alone("paced", "20000") },
      { "5,000 calls/s, looked at", viewed("paced", "20000") },
      { "a million calls", alone("call", "1000000") },
      { "a million calls, looked at", viewed("call", "1000000"), beside = "a million calls" },
    },
    bounds = {
      { "5,000 calls/s, looked at", "ms", beside = "5,000 calls/s", at_most = 1.1 },
    },
  }

  row {
    name = "start", title = "a script that says hello, the whole process",
    figure = "wall_ms", repetitions = 41, memory = true,
    before = function()
      measure { program, "run", "--journal", fresh("start.db"), here .. "railtracks.lua",
        "call", "10000" }
    end,
    contenders = {
      { "railtracks, no journal",
        { program, "run", "--journal", "none", here .. "hello.lua" } },
      { "railtracks, journal",
        { program, "run", "--journal", work .. "start.db", here .. "hello.lua" } },
      { "lua5.4", { "lua5.4", here .. "hello.lua" } },
    },
    bounds = {
      { "railtracks, no journal", "wall_ms", beside = "lua5.4", at_most = 3 },
      { "railtracks, journal", "wall_ms", beside = "lua5.4", at_most = 5 },
    },
  }

  row {
    name = "prompt", title = "from the start of the REPL to its prompt",
    figure = "prompt_ms", repetitions = 41,
    before = function()
      measure { program, "run", "--journal", fresh("prompt.db"), here .. "railtracks.lua",
        "call", "10000" }
    end,
    contenders = {
      { "railtracks, journal", { "env", "TERM=xterm", "XDG_STATE_HOME=" .. work,
        bench.build .. "prompt", program, "repl", "--journal", work .. "prompt.db" } },
      { "lua5.4 -e ''", function()
        local figures = measure { "lua5.4", "-e", "" }
        figures.prompt_ms = figures.wall_ms
        return figures
      end },
    },
    bounds = {
      { "railtracks, journal", "prompt_ms", beside = "lua5.4 -e ''", at_most = 20 },
    },
  }

  -- Native nodes, of the plugin native.c.
  local function with_native(...)
    return { "env", "RT_BENCH_NATIVE=" .. bench.build .. "native.so", table.unpack(ours(...)) }
  end
  local function peer(...) return { bench.build .. "native_peer", ... } end

  row {
    name = "inline", title = "a native node that returns its argument",
    figure = "us", repetitions = 7,
    contenders = {
      { "inline native node", with_native("inline", "1000000") },
      { "the same in Lua", ours("call", "1000000") },
    },
    bounds = { { "inline native node", "us", beside = "the same in Lua", at_most = 0.75 } },
  }

  row {
    name = "offload", title = "a native node on a worker thread, one call after the other",
    figure = "us", repetitions = 7,
    contenders = {
      { "offload native node", with_native("offload", "20000") },
      { "C, condition variable and uv_async", peer("pingpong", "20000") },
    },
    bounds = {
      { "offload native node", "us", beside = "C, condition variable and uv_async",
        at_most = 1.5 },
    },
  }

  row {
    name = "offload_many", title = "a thousand native calls on worker threads at once",
    figure = "us", repetitions = 7,
    contenders = { { "offload native node", with_native("offload_many", "1000", "50") } },
    bounds = { { "offload native node", "us", at_most = 1.5 } },
  }

  row {
    name = "spin", title = "64 pieces of work for the CPU, shared out among the cores",
    figure = "us", repetitions = 5,
    contenders = {
      { "rt.map of a native node", with_native("spin", "64") },
      { "C with threads", peer("spin", "64") },
    },
    bounds = { { "rt.map of a native node", "us", beside = "C with threads", at_most = 1.11 } },
  }

  -- Files of 1 KiB to 1 MiB, as many of one as of twice the size, in twenty folders: as large on
  -- the whole as those people keep.
  local list, files = work .. "tree.list", 2000
  local function plant()
    local block, paths = {}, {}
    for i = 1, 1024 do block[i] = (("%d "):format(i * 7919)):rep(1024):sub(1, 1024) end
    local text = table.concat(block)
    for i = 1, files do
      local folder = ("%stree/%02d"):format(work, i % 20)
      if i <= 20 then os.execute("mkdir -p '" .. folder .. "'") end
      paths[i] = ("%s/%04d"):format(folder, i)
      local file = assert(io.open(paths[i], "wb"))
      local size = math.floor(1024 * 2 ^ (10 * (i * 0.6180339887 % 1)))
      assert(file:write(tostring(i), text:sub(1, size)))
      file:close()
    end
    local file = assert(io.open(list, "w"))
    assert(file:write(table.concat(paths, "\n"), "\n"))
    file:close()
    os.execute("sync")
  end

  -- All must come to the same sums.
  local check
  local function hashing(command)
    return function()
      local figures = measure(command)
      check = check or figures.check
      assert(check and check == figures.check, "other sums")
      return figures
    end
  end

  row {
    name = "hash", title = "hashing 2,000 files of 1 KiB to 1 MiB, each of them", figure = "us",
    repetitions = 21, before = plant,
    contenders = {
      { "rt.map of a native node", hashing { "env", "RT_BENCH_HASH=" .. bench.build .. "hash.so",
        table.unpack(ours("hash", files, list)) } },
      { "C with threads", hashing(peer("hash", files, list)) },
    },
    bounds = { { "rt.map of a native node", "us", beside = "C with threads", at_most = 1.15 } },
  }

  local io_peer = bench.build .. "io_peer"

  row {
    name = "processes", title = "a thousand processes (true), 32 at a time, journal off",
    figure = "us", repetitions = 7,
    contenders = {
      { "rt.process.run", ours("processes", "1000", "1", "32") },
      { "C on libuv", { io_peer, "processes", "1000", "32" } },
    },
    bounds = { { "rt.process.run", "us", beside = "C on libuv", at_most = 1.2 } },
  }

  row {
    name = "idle", title = "8,000 connections held open by an echo server, journal off",
    figure = "ms", repetitions = 3, memory = true,
    contenders = { { "rt.net.listen", ours("idle", "8000", "1", io_peer) } },
    bounds = { { "rt.net.listen", "peak_mb", at_most = 100 } },
  }

  -- nginx on this machine, with a file of a kilobyte and one of a gigabyte, which has holes only.
  local www, port, nginx = work .. "www", 18911, "nginx -p '%s' -c '%s/nginx.conf'"
  local base = ("http://127.0.0.1:%d/"):format(port)
  local function start_nginx()
    os.execute(("mkdir -p '%s' && head -c 1024 /dev/zero > '%s/1k' && truncate -s 1G '%s/1g'")
      :format(www, www, www))
    local file = assert(io.open(www .. "/nginx.conf", "w"))
    file:write(([[
      pid W/pid; error_log W/errors; worker_processes 1; events { worker_connections 256; }
      http { access_log off; keepalive_requests 1000000; sendfile on; client_body_temp_path W/a;
        proxy_temp_path W/b; fastcgi_temp_path W/c; uwsgi_temp_path W/d; scgi_temp_path W/e;
        server { listen 127.0.0.1:%d; root W; } }
    ]]):gsub("W", www):format(port))
    file:close()
    assert(os.execute(nginx:format(www, www) .. " 2>/dev/null"), "nginx does not start")
  end
  local function stop_nginx() os.execute(nginx:format(www, www) .. " -s quit 2>/dev/null") end

  local http_peer = bench.build .. "http_peer"

  row {
    name = "http", title = "20,000 GETs of 1 KB, 64 at once, CPU time of the process, journal off",
    figure = "cpu_ms", repetitions = 5, memory = true, before = start_nginx, after = stop_nginx,
    contenders = {
      { "rt.http.get", ours("http", "20000", "1", base .. "1k") },
      { "plain libcurl", { http_peer, "get", base .. "1k", "20000" } },
    },
    bounds = {
      { "rt.http.get", "cpu_ms", beside = "plain libcurl", at_most = 1.3 },
      { "rt.http.get", "peak_mb", at_most = 60 },
    },
  }

  row {
    name = "http_stream", title = "a body of 1 GB, streamed, journal off",
    figure = "ms", repetitions = 5, memory = true, before = start_nginx, after = stop_nginx,
    contenders = {
      { "rt.http.stream", ours("http_stream", "1", "1", base .. "1g") },
      { "plain libcurl", { http_peer, "stream", base .. "1g" } },
    },
    bounds = {
      { "rt.http.stream", "ms", beside = "plain libcurl", at_most = 1.25 },
      { "rt.http.stream", "peak_mb", at_most = 30 },
    },
  }

  -- In these every contender's memory is shown.
  for _, one in ipairs(rows) do
    if one.memory then
      for _, contender in ipairs(one.contenders) do contender.also = "peak_mb" end
    end
  end

  return rows
end
