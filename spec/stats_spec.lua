local cjson = require "cjson"
local helper = require "spec.helper"

describe("railtracks stats", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  local function run(code)
    place:run { "run", "-e", 'local rt = require "railtracks"\n' .. code }
  end

  local function stats(...)
    local output, said, status = place:run { "stats", ... }
    assert.same({ "", 0 }, { said, status })
    return output
  end

  local function nodes(...)
    local found, by_name = cjson.decode(stats("--json", ...)), {}
    for _, node in ipairs(found.nodes) do by_name[node.node] = node end
    return by_name, found
  end

  it("sums up the calls of each node over runs", function()
    for _ = 1, 2 do
      run [[
        local odd = rt.function_node("odd", function(i) if i % 5 == 0 then error "x" end end)
        for i = 1, 50 do pcall(rt.call, odd, i) end
        local task = rt.spawn(rt.sleep, 5)
        rt.sleep(0)
        task:cancel()
      ]]
    end
    local by_name, found = nodes()
    assert.equal(2, found.runs)
    assert.same({ 100, 20, 0 },
      { by_name.odd.calls, by_name.odd.failed, by_name.odd.cancelled })
    assert.equal(2, by_name["railtracks.sleep"].cancelled)
    assert.equal(50, nodes("@1").odd.calls)
    assert.equal(50, nodes("--runs", "1").odd.calls)
    assert.equal(100, nodes("@1", "@2").odd.calls)
    assert.matches("\n +100 +20 .* odd\n", stats())
  end)

  it("tells percentiles as they are, within 1 %", function()
    local journal = place.journal
    run "for _ = 1, 1000 do rt.call(math.abs, 1) end"
    -- As if call number n had taken n milliseconds.
    helper.sql(journal, "UPDATE calls SET ended_at = started_at + ordinal / 1000.0 "
      .. "WHERE parent = 1")
    local name = helper.sql(journal, "SELECT node FROM calls WHERE parent = 1 LIMIT 1")
    local node = nodes()[name]
    for part, seconds in pairs { p50 = 0.5, p95 = 0.95, p99 = 0.99, max = 1.0 } do
      assert.is_true(math.abs(node[part] / seconds - 1) <= 0.0101, part .. " " .. node[part])
    end
    assert.is_true(math.abs(node.total - 500.5) < 0.01)
  end)

  it("has no durations of what never ended or never began", function()
    run [[
      local idle = rt.function_node("idle", function() end)
      rt.spawn(idle):cancel()
    ]]
    local by_name, found = nodes()
    assert.same({ 1, 1, 0 }, { by_name.idle.calls, by_name.idle.cancelled, by_name.idle.total })
    for _, name in ipairs { "p50", "p95", "p99", "max" } do
      assert.equal(cjson.null, by_name.idle[name])
    end
    assert.equal(2, #found.nodes)
    assert.matches("\n +1 +%- +%- +%- +%- +0 µs  idle\n", stats())
  end)

  it("counts a run once that is named twice", function()
    run "rt.call(rt.function_node('node', function() end))"
    local id = helper.recorded(place.journal, "@1").run.id
    assert.equal(1, nodes("@1", id, "@1").node.calls)
  end)

  it("takes names of runs or a number of them", function()
    local _, said, status = place:run { "stats", "--runs", "3", "@1" }
    assert.matches("stats: %-%-runs or names of runs, not both", said)
    assert.equal(2, status)
  end)

  it("says that there is nothing", function()
    run ""
    helper.sql(place.journal, "DELETE FROM calls")
    assert.equal("no calls are recorded\n", stats())
  end)
end)
