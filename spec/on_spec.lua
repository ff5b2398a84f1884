local helper = require "spec.helper"
local rt = require "railtracks"

local in_run, refusal = helper.in_run, helper.refusal

--- Collects the events of that name until it is closed.
local function collect(event)
  local found = {}
  local stop = rt.on(event, function(e) found[#found + 1] = e end)
  return setmetatable(found, { __close = stop })
end

local node = rt.function_node("node", function(x) return x end)

describe("rt.on", function()
  it("tells of the beginning and the end of each call", in_run(function()
    local started <close> = collect "call_started"
    local ended <close> = collect "call_ended"
    local here = rt.current()
    rt.call(node, 1)
    pcall(rt.call, function() rt.call(function() error "boom" end) end)
    rt.sleep(0)
    assert.same({ "node", "node", nil }, { started[1].node, ended[1].node })
    for i, one in ipairs { { started, "running" }, { ended, "done" } } do
      local e = one[1][1]
      assert.equal(i == 1 and "call_started" or "call_ended", e.event)
      assert.equal(here.run, e.run)
      assert.equal(here.call, e.parent)
      assert.equal(here.call .. ".1", e.call)
      assert.equal(one[2], e.status)
      assert.is_true(math.abs(e.time - os.time()) < 60)
    end
    assert.is_true(ended[1].seconds >= 0)
    assert.equal(here.call .. ".2.1", ended[2].call)
    assert.equal("failed", ended[2].status)
    assert.matches("boom$", ended[2].error.message)
    assert.equal(here.call .. ".2", ended[3].call)
  end))

  it("tells of cancelled calls, and of errors by their kind", in_run(function()
    local ended <close> = collect "call_ended"
    local task = rt.spawn(helper.sleeper)
    rt.sleep(0)
    task:cancel()
    rt.settle { task }
    local strict = rt.function_node { name = "strict", run = print,
      params = { { name = "x", type = "string" } } }
    pcall(rt.call, strict, 1)
    rt.sleep(0)
    local by_status = {}
    for _, e in ipairs(ended) do by_status[e.status] = e end
    assert.equal("cancelled", by_status.cancelled.error.kind)
    assert.equal("usage", by_status.failed.error.kind)
  end))

  it("tells of every one of 100,000 calls", in_run(function()
    local begun, over = 0, 0
    local stop_begun = rt.on("call_started", function() begun = begun + 1 end)
    local stop_over = rt.on("call_ended", function() over = over + 1 end)
    for _ = 1, 50000 do rt.call(node) end
    local items = {}
    for i = 1, 50000 do items[i] = i end
    rt.map(node, items)
    rt.sleep(0)
    stop_begun()
    stop_over()
    assert.same({ 100000, 100000 }, { begun, over })
  end))

  it("hands on what is broadcast, as the same value", in_run(function()
    local heard <close> = collect "broadcast"
    local value = { 1 }
    rt.call(function() rt.broadcast(value) rt.broadcast(nil) end)
    rt.sleep(0)
    assert.equal(2, #heard)
    assert.equal(value, heard[1].value)
    assert.is_nil(heard[2].value)
    assert.equal(rt.current().call .. ".1", heard[1].call)
  end))

  it("hands on lines of the log and progress", in_run(function()
    local lines <close> = collect "log"
    local steps <close> = collect "progress"
    rt.log.debug("quiet", { n = 1 })
    rt.progress(1, 3, "files")
    rt.progress(2)
    rt.sleep(0)
    assert.same({ "debug", "quiet", 1 }, { lines[1].level, lines[1].message, lines[1].fields.n })
    assert.same({ 1, 3, "files", 2 },
      { steps[1].done, steps[1].total, steps[1].label, steps[2].done })
    assert.is_nil(steps[2].total)
  end))

  it("calls handlers between tasks, where nothing can wait", in_run(function()
    local during, said = false, nil
    local stop = rt.on("broadcast", function()
      said = { during, rt.current(), pcall(rt.sleep, 0) }
    end)
    during = true
    rt.broadcast(1)
    assert.is_nil(said)
    during = false
    rt.sleep(0)
    stop()
    assert.is_false(said[1])
    assert.is_nil(said[2])
    assert.is_false(said[3])
    assert.equal("usage", rt.kind(said[4]))
  end))

  it("returns what ends it, once and for all", in_run(function()
    local count = 0
    local stop = rt.on("broadcast", function() count = count + 1 end)
    local other <close> = collect "broadcast"
    rt.broadcast(1)
    rt.sleep(0)
    stop()
    stop()
    rt.broadcast(2)
    rt.sleep(0)
    assert.same({ 1, 2 }, { count, #other })
  end))

  it("may be ended by a handler, and begun by one", in_run(function()
    local heard = {}
    local stop
    local later = { __close = function(self) if self.stop then self.stop() end end }
    local inner <close> = setmetatable({}, later)
    stop = rt.on("broadcast", function(e)
      heard[#heard + 1] = e.value
      stop()
      inner.stop = rt.on("broadcast", function(again) heard[#heard + 1] = again.value * 10 end)
      rt.broadcast(7)
    end)
    rt.broadcast(1)
    rt.sleep(0)
    rt.sleep(0)
    assert.same({ 1, 70 }, heard)
  end))

  it("goes on when a handler fails, and says so once", function()
    local output, said, status = helper.run { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      rt.on("broadcast", function(e) error("bad " .. e.value, 0) end)
      rt.on("broadcast", function(e) print("good " .. e.value) end)
      for i = 1, 3 do rt.broadcast(i) rt.sleep(0) end
    ]] }
    assert.equal("good 1\ngood 2\ngood 3\n", output)
    assert.matches("^%[%+[%d.]+s%] WARNING a handler of 'broadcast' failed: bad 1\n$", said)
    assert.equal(0, status)
  end)

  it("hears the end of the root, and of runs outside", function()
    local output, said = helper.stock({ "-e", [[
      local rt = require "railtracks"
      rt.on("call_ended", function(e) print(e.call, e.node, e.status) end)
      rt.run(rt.function_node("root", function() rt.call(math.abs, 1) end))
      pcall(rt.run, rt.function_node("bad", function() error "x" end))
    ]] }, { env = "RAILTRACKS_JOURNAL=none" })
    assert.equal("1.1\tabs\tdone\n1\troot\tdone\n1\tbad\tfailed\n",
      (output:gsub("\t[%w.]*abs", "\tabs")), said)
  end)

  it("refuses other events, and what is no function", function()
    assert.equal("usage: rt.on: argument 1: expected one of broadcast, call_ended, call_started, "
      .. "log, progress, got 'end'", refusal(rt.on, "end", print))
    assert.equal("usage: rt.on: argument 2: expected a function, got nil",
      refusal(rt.on, "log"))
  end)
end)

describe("rt.progress", function()
  it("refuses what is no amount", in_run(function()
    for _, wrong in ipairs { { "1" }, { -1 }, { 0 / 0 }, { math.huge }, { 1, "2" }, { 1, 2, 3 } } do
      assert.matches("^usage: rt.progress: argument ", refusal(rt.progress, table.unpack(wrong)))
    end
  end))

  it("stands in the journal for each call, whatever others tell", function()
    local place <close> = helper.temporary()
    local journal = place.path .. "/journal.db"
    helper.record(place.path, [[
      local step = rt.function_node("step", function()
        for i = 1, 100 do rt.progress(i) end
        rt.progress(5, 5)
      end)
      for _ = 1, 20 do rt.spawn(step) end
    ]])
    assert.equal("20|20", helper.sql(journal,
      "SELECT sum(value LIKE '{\"done\":1,%'), sum(value LIKE '%\"total\":5}') FROM events"))
    local count = tonumber(helper.sql(journal, "SELECT count(*) FROM events"))
    assert.is_true(count < 200, count)
  end)

  it("comes from an rt.map that takes its time, and not from one that does not",
    helper.in_run(function()
      local steps <close> = collect "progress"
      local nap = rt.function_node("nap", function(seconds) rt.sleep(seconds) end)
      rt.map(nap, { 0.05, 0.05, 0.05 })
      rt.sleep(0)
      assert.same({}, steps)
      rt.call(nap, 0)
      rt.map(nap, { 0.1, 0.1, 0.2, 0.3, 0.3, 0.5 }, { limit = 2 })
      rt.sleep(0)
      local seen = {}
      for i, event in ipairs(steps) do
        seen[i] = ("%s %d/%d %s"):format(event.call, event.done, event.total, event.map)
      end
      assert.same({ "1 3/6 nap", "1 5/6 nap", "1 6/6 nap" }, seen)
    end, { clock = "virtual" }))

  it("stands in the journal: the first, the last, some between", function()
    local place = helper.workplace()
    local output, said = place:run { "run", "-e", [[
      local rt = require "railtracks"
      for i = 1, 1000 do rt.progress(i, 1000, "all") end
    ]] }
    assert.same({ "", "" }, { output, said })
    local rows = helper.sql(place.journal, "SELECT value FROM events WHERE kind = 'progress'")
    assert.matches('^{"done":1,"label":"all","total":1000}\n', rows)
    assert.matches('{"done":1000,"label":"all","total":1000}$', rows)
    assert.is_true(select(2, rows:gsub("\n", "")) < 900)
    place:remove()
  end)
end)
