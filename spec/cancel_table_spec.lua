-- Every kind of wait, cancelled at every moment.

local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, sleeper = helper.in_run, helper.sleeper

--- What waits for ever. Each is made for one test: `prepare()` runs in the caller and gives what
--- `wait(it)` is called with in the task; `finish(it)` lets the wait complete, `leave(it)` ends
--- what `prepare` has started.
local kinds = {
  ["rt.call"] = { wait = function() return rt.call(sleeper) end },
  ["task:await"] = {
    prepare = function()
      local gate = rt.channel()
      return { gate = gate, task = rt.spawn(function() return gate:receive() end) }
    end,
    wait = function(it) return it.task:await() end,
    finish = function(it) it.gate:send(true) end,
    leave = function(it) it.task:cancel() end,
    -- The task ends at its next turn only.
    completing = function(cancel) rt.spawn(cancel) end,
  },
  ["rt.gather"] = { wait = function() rt.gather(rt.spawn(sleeper), rt.spawn(sleeper)) end },
  ["rt.settle"] = { wait = function() rt.settle(rt.spawn(sleeper), rt.spawn(sleeper)) end },
  ["rt.race"] = { wait = function() rt.race(rt.spawn(sleeper), rt.spawn(sleeper)) end },
  ["rt.any"] = { wait = function() rt.any(rt.spawn(sleeper), rt.spawn(sleeper)) end },
  ["rt.as_completed"] = {
    wait = function() return rt.as_completed({ rt.spawn(sleeper) })() end,
  },
  ["rt.map"] = { wait = function() rt.map(sleeper, { 1, 2, 3 }, { limit = 2 }) end },
  ["rt.sleep"] = { wait = function() rt.sleep(3600) end },
  ["rt.sleep without end"] = {
    prepare = function() return rt.spawn(sleeper) end, -- or it would be a deadlock
    wait = function() rt.sleep(math.huge) end,
    leave = function(it) it:cancel() end,
  },
  ["channel:send"] = {
    prepare = function() return rt.channel() end,
    wait = function(ch) ch:send(1) return true end,
    finish = function(ch) assert(ch:receive() == 1) end,
  },
  ["channel:receive"] = {
    prepare = function() return rt.channel() end,
    wait = function(ch) return ch:receive() end,
    finish = function(ch) ch:send(1) end,
  },
  ["semaphore:acquire"] = {
    prepare = function()
      local sem = rt.semaphore(1)
      sem:acquire()
      return sem
    end,
    wait = function(sem) sem:acquire() return true end,
    finish = function(sem) sem:release() end,
  },
  ["semaphore:with"] = {
    prepare = function()
      local sem = rt.semaphore(1)
      sem:acquire()
      return sem
    end,
    wait = function(sem) return sem:with(function() return true end) end,
    finish = function(sem) sem:release() end,
  },
  ["rt.run"] = { wait = function() rt.run(sleeper) end },
  ["rt.timeout"] = { wait = function() rt.timeout(7200, sleeper) end },
  ["rt.scope"] = { wait = function() rt.scope(function() rt.spawn(sleeper) end) end },
  ["rt.retry"] = {
    wait = function() rt.retry({ delay = 3600, max_delay = 7200 }, error, "again") end,
  },
}

--- Gives way until all that can run has run.
local function settle_down() for _ = 1, 12 do rt.sleep(0) end end

local function prepared(kind) return kind.prepare and kind.prepare() end

--- The task was cancelled for the reason "enough", and nothing of it lives.
local function assert_cancelled(task, unwound)
  local ok, err = pcall(task.await, task)
  assert.is_false(ok)
  assert.equal("cancelled", rt.kind(err))
  assert.equal("enough", err.reason)
  assert.equal("cancelled", task:status())
  if unwound ~= nil then assert.is_true(unwound) end
end

for name, kind in pairs(kinds) do
  describe(name, function()
    local function leave(it) if kind.leave then kind.leave(it) end end

    it("never begins when its task is cancelled before", in_run(function()
      local it, began = prepared(kind), false
      local task = rt.spawn(function() began = true kind.wait(it) end)
      task:cancel "enough"
      assert_cancelled(task)
      assert.is_false(began)
      leave(it)
    end))

    it("is left when its task is cancelled while it waits, by cleanup too", in_run(function()
      local it, unwound, after = prepared(kind), false, false
      local task = rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() rt.sleep(0) unwound = true end })
        kind.wait(it)
        after = true
      end)
      settle_down()
      task:cancel "enough"
      assert_cancelled(task)
      assert.is_true(unwound)
      assert.is_false(after)
      leave(it)
    end))

    it("is left once when its task is cancelled twice", in_run(function()
      local it, count = prepared(kind), 0
      local task = rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() count = count + 1 end })
        kind.wait(it)
      end)
      settle_down()
      assert.is_true(task:cancel "enough")
      task:cancel "more"
      assert_cancelled(task)
      assert.is_false(task:cancel "late")
      assert.equal(1, count)
      leave(it)
    end))

    it("is left when a child cancels its task", in_run(function()
      local it, task = prepared(kind), nil
      task = rt.spawn(function()
        rt.spawn(function() settle_down() task:cancel "enough" end)
        kind.wait(it)
      end)
      assert_cancelled(task)
      leave(it)
    end))

    it("is left when a <close> handler of another task cancels it", in_run(function()
      local it = prepared(kind)
      local task = rt.spawn(function() kind.wait(it) end)
      settle_down()
      do
        local _ <close> = setmetatable({}, { __close = function() task:cancel "enough" end })
      end
      assert_cancelled(task)
      leave(it)
    end))

    it("may be waited for in cleanup, until that is cancelled with its children", in_run(function()
      if not kind.finish then return end
      local it, got = prepared(kind), nil
      local task = rt.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() got = kind.wait(it) end })
        sleeper()
      end)
      settle_down()
      task:cancel "enough"
      settle_down()
      assert.equal("running", task:status())
      kind.finish(it)
      assert_cancelled(task)
      assert.is_truthy(got)
    end))

    it("lets cancellation through pcall, three coroutines deep", in_run(function()
      local it, passed = prepared(kind), true
      local function deep(n)
        if n == 0 then
          pcall(kind.wait, it)
        else
          pcall(coroutine.wrap(function() deep(n - 1) passed = false end))
        end
        passed = false
      end
      local task = rt.spawn(deep, 3)
      settle_down()
      task:cancel "enough"
      assert_cancelled(task)
      assert.is_true(passed)
      leave(it)
    end))

    if kind.finish then
      it("returns when it has completed before its task is cancelled; the next raises",
        in_run(function()
          local it, got, next_one = prepared(kind), nil, nil
          local task = rt.spawn(function()
            got = kind.wait(it)
            next_one = pcall(rt.sleep, 0)
            got = "lost"
          end)
          settle_down()
          kind.finish(it)
          local completing = kind.completing or function(cancel) cancel() end
          completing(function() task:cancel "enough" end)
          assert_cancelled(task)
          assert.is_true(got == true or got == 1)
          assert.is_nil(next_one)
        end, helper.unshuffled))
    end
  end)
end
