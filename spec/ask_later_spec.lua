local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run
local asking, passers = helper.asking()

describe("native nodes that call others from their own threads", function()
  it("are told each answer, whoever is cancelled meanwhile", in_run(function()
    local chance, tasks = helper.generator(7), {}
    for i = 1, 2000 do
      local name = passers[chance(4)]
      tasks[i] = rt.spawn(asking[name], passers[chance(4)],
        ({ "waits", "raises", "echo_offload", "give_back" })[chance(4)], 0, i)
      if chance(4) == 1 then tasks[chance(i)]:cancel() end
    end
    rt.spawn(function() for _ = 1, 200 do tasks[chance(2000)]:cancel() rt.sleep(0) end end)
    for _, outcome in ipairs(rt.settle(tasks)) do
      if not outcome.ok then
        assert(outcome.error == 0 or rt.kind(outcome.error) == "cancelled" or
          rt.kind(outcome.error) == "native", tostring(outcome.error))
      end
    end
  end))

  it("may take a handle when they are told that it is over, and give it back", in_run(function()
    local task = rt.spawn(asking.keep)
    rt.sleep(0)
    task:cancel()
    assert.is_false((pcall(task.await, task)))
    local function wait_for(abandoned)
      rt.timeout(60, function()
        while rt.stats().abandoned ~= abandoned do rt.sleep(0.001) end
      end)
    end
    repeat rt.sleep(0.001) until rt.call(asking.keeps)
    wait_for(1)
    rt.call(asking.give_kept)
    wait_for(0)
    assert.equal(4, rt.call(asking.pass, "give_back", 4))
  end))
end)
