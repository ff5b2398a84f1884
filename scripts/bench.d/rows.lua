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
-- names them.

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

  rows[1] = {
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
  rows[2] = {
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

  -- As many calls in all at each size, so that the small one can be measured too.
  local sizes = { { "1,000", "1000", 1000 }, { "100,000", "100000", 10 },
    { "1,000,000", "1000000", 1 } }

  local function fan(name, title, call)
    local contenders = { { "pcall", ours("pcall", "5000000") } }
    local function add(make, who, work_name, of_all)
      for _, size in ipairs(sizes) do
        local times = math.max(1, size[3] // of_all)
        local contender = make(who .. " " .. size[1], work_name, size[2], tostring(times))
        if who ~= call then contender.beside = call .. " " .. size[1] end
        if size[3] == 1 then contender.also = "peak_mb" end
        contenders[#contenders + 1] = contender
      end
    end
    add(function(who, ...) return { who, ours(...) } end, call, name, 2)
    add(go, "go", "fan", 2)
    add(node, "node", "fan", 2)
    add(python, "python", "fan", 20)
    for i = #contenders - 2, #contenders do
      contenders[i].once = true  -- twenty seconds at a million
    end
    return { name = name, title = title, figure = "us", repetitions = 5,
      contenders = contenders, bounds = {} }
  end

  rows[3] = fan("map", "map of leaf calls, journal off", "rt.map")
  rows[4] = fan("spawn", "spawn and gather of leaf calls, journal off", "spawn+gather")
  for _, size in ipairs { "1,000", "100,000", "1,000,000" } do
    table.insert(rows[3].bounds,
      { "rt.map " .. size, "us", beside = "pcall", at_most = 4 })
    table.insert(rows[4].bounds, { "spawn+gather " .. size, "us", at_most = 1.1 })
  end
  table.insert(rows[3].bounds,
    { "rt.map 1,000,000", "us", beside = "rt.map 1,000", at_most = 1.3 })
  table.insert(rows[4].bounds,
    { "spawn+gather 1,000,000", "us", beside = "spawn+gather 1,000", at_most = 1.3 })
  table.insert(rows[4].bounds, { "spawn+gather 1,000,000", "peak_mb", at_most = 400 })

  rows[5] = {
    name = "sleep", title = "100,000 sleepers of 10 ms, journal off",
    figure = "ms", repetitions = 7,
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

  rows[6] = {
    name = "deep", title = "a recursion of 100,000 levels, journal off, for each level",
    figure = "us", repetitions = 7,
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

  rows[7] = {
    name = "start", title = "a script that says hello, the whole process",
    figure = "wall_ms", repetitions = 41,
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

  -- Memory is a figure of these rows as well.
  for _, row in ipairs { rows[5], rows[6], rows[7] } do
    for _, contender in ipairs(row.contenders) do contender.also = "peak_mb" end
  end

  return rows
end
