local helper = require "spec.helper"
local rt = require "railtracks"
local testing = require "railtracks.testing"

--- The order in which `count` tasks started, as text.
local function order_of(count, seed)
  return testing.run(function()
    local order = {}
    for i = 1, count do rt.spawn(function() order[#order + 1] = i end) end
    rt.sleep(0)
    return table.concat(order, " ")
  end, { seed = seed })
end

--- What happens in a random tree of calls, line by line. The choices are the same each time;
--- what order they are made in is not.
local function story(seed)
  return testing.run(function()
    local lines = {}
    local function say(what)
      lines[#lines + 1] = ("%s %s %s"):format(rt.now(), rt.current().call, what)
    end
    local work
    local kinds = {
      function() rt.sleep(0) end,
      function(n) rt.sleep(n % 7 / 10) end,
      function(n) if n % 3 == 0 then error("failure " .. n, 0) end end,
      function(n, level)
        for i = 1, 40 do rt.call(math.abs, i) end
        return rt.call(work, n + 1, level + 1)
      end,
      function(n, level)
        local tasks = {}
        for i = 1, 5 do tasks[i] = rt.spawn(work, n * 5 + i, level + 1) end
        if n % 2 == 0 then tasks[n % 5 + 1]:cancel() end
        return #rt.settle(tasks)
      end,
      function(n, level)
        return rt.map(work, { n, n + 1, n + 2 }, { limit = 2, settle = level > 0 }).n
      end,
    }
    function work(n, level)
      level = level or 5
      say "begins"
      kinds[(n * 7 + level) % (level < 5 and #kinds or 3) + 1](n, level)
      say "ends"
    end
    local tasks = {}
    for i = 1, 50 do tasks[i] = rt.spawn(work, i, 0) end
    rt.settle(tasks)
    return table.concat(lines, "\n")
  end, { clock = "virtual", seed = seed })
end

describe("without a seed", function()
  it("ready tasks run first come, first served", function()
    assert.equal("1 2 3 4 5 6 7 8 9 10", order_of(10, false))
  end)
end)

describe("a seed", function()
  it("shuffles the order of ready tasks, and repeats it", function()
    local seen, orders = {}, 0
    for seed = 1, 20 do
      local order = order_of(30, seed)
      assert.equal(order, order_of(30, seed))
      if not seen[order] then orders = orders + 1 end
      seen[order] = true
    end
    assert.equal(20, orders)
  end)

  it("brings up every order of three tasks", function()
    local seen, orders = {}, 0
    for seed = 1, 200 do
      local order = order_of(3, seed)
      if not seen[order] then orders = orders + 1 end
      seen[order] = true
    end
    assert.equal(6, orders)
  end)

  it("may be any integer", function()
    for _, seed in ipairs { 0, -1, math.maxinteger, math.mininteger } do
      assert.equal(order_of(30, seed), order_of(30, seed))
      assert.equal(seed, testing.run(testing.seed, { seed = seed }))
    end
  end)

  it("repeats all that happens in a tree of calls that wait, fail and are cancelled", function()
    local first = story(1)
    for seed = 1, 10 do assert.equal(story(seed), story(seed)) end
    assert.not_equal(first, story(2))
  end)

  it("changes no id, and no place of a result", function()
    for seed = 1, 20 do
      testing.run(function()
        local tasks = {}
        for i = 1, 30 do tasks[i] = rt.spawn(function() return rt.current().call end) end
        local ids = rt.gather(tasks)
        for i = 1, 30 do assert.equal("1." .. i, ids[i]) end
        ids = rt.map(function(i) return i .. " " .. rt.current().call end, ids)
        for i = 1, 30 do assert.equal(("1.%d 1.%d"):format(i, i + 30), ids[i]) end
      end, { seed = seed })
    end
  end)

  it("repeats the pauses between attempts", function()
    local function pauses(seed)
      return testing.run(function()
        local times = {}
        pcall(rt.retry, { times = 5, delay = 1 }, function()
          times[#times + 1] = rt.now()
          error "no"
        end)
        return times
      end, { clock = "virtual", seed = seed })
    end
    local first = pauses(1)
    assert.not_same(first, pauses(2))
    assert.same(first, pauses(1))
  end)

  it("never lets who comes later overtake in a line", function()
    for seed = 1, 20 do
      testing.run(function()
        local tasks, channel, semaphore = {}, rt.channel(), rt.semaphore(1)
        local came, received, asked, got = {}, {}, {}, {}
        semaphore:acquire()
        for i = 1, 30 do
          rt.spawn(function()
            came[#came + 1] = i
            received[channel:receive()] = i
          end)
          tasks[i] = rt.spawn(function()
            asked[#asked + 1] = i
            semaphore:acquire()
            got[#got + 1] = i
            rt.sleep(1)
            semaphore:release()
          end)
        end
        rt.sleep(1)
        for i = 1, 30 do channel:send(i) end
        semaphore:release()
        rt.gather(tasks)
        assert.same(asked, got)
        assert.same(came, received)
      end, { clock = "virtual", seed = seed })
    end
  end)

  it("changes nothing about arguments: they are recorded as they were at the call", function()
    local folder <close> = helper.temporary()
    local journal = folder.path .. "/journal.db"
    for seed = 1, 5 do
      testing.run(function()
        local shared = { 0 }
        local function look() rt.sleep(0) end
        local function change()
          for _ = 1, 50 do
            shared[1] = shared[1] + 1
            rt.call(look, shared, shared[1])
          end
        end
        rt.map(change, { 1, 2, 3, 4 })
      end, { seed = seed, journal = journal })
    end
    assert.equal("1000|1000", helper.sql(journal, [[
      SELECT count(*), sum(args ->> '$[0][0]' = args ->> '$[1]') FROM calls
      WHERE json_array_length(args) = 2]]))
  end)
end)

describe("RAILTRACKS_SEED", function()
  local script = [[
    local rt = require "railtracks"
    for i = 1, 10 do rt.spawn(function() io.write(i, " ") end) end
    rt.sleep(0)
  ]]

  local function run(seed, code)
    return helper.run({ "run", "--journal", "none", "-e", code or script },
      { env = "RAILTRACKS_SEED=" .. seed })
  end

  it("shuffles what the program runs, and repeats it", function()
    assert.equal("1 2 3 4 5 6 7 8 9 10 ", (run ""))
    assert.not_equal(run "", (run "1"))
    assert.not_equal(run "1", (run "2"))
    assert.equal(run "1", (run "1"))
  end)

  it("shuffles runs in stock Lua, each from its beginning", function()
    local output, said = helper.stock({ "-e", [[
      local rt = require "railtracks"
      for _ = 1, 2 do
        rt.run(function()
          for i = 1, 10 do rt.spawn(function() io.write(i, " ") end) end
        end)
        print()
      end
    ]] }, { env = "RAILTRACKS_SEED=1" })
    local first, second = output:match "^(.-)\n(.-)\n$"
    assert.equal(first, second, said)
    assert.equal(run "1", first)
  end)

  it("is said by the program with a failure", function()
    local _, said, status = run("17", "error('no', 0)")
    assert.equal(1, status)
    assert.matches("^railtracks: no\n", said)
    assert.matches("\nrailtracks: seed 17\n$", said)
    _, said = run("", "error('no', 0)")
    assert.not_matches("seed", said)
  end)

  it("must be an integer", function()
    for _, seed in ipairs { "x", "1.5", "1e3" } do
      local output, said, status = run(seed)
      assert.equal("", output)
      assert.matches("RAILTRACKS_SEED: expected an integer, got '" .. seed:gsub("%p", "%%%0"), said)
      assert.not_equal(0, status)
    end
  end)
end)
