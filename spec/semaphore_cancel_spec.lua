local helper = require "spec.helper"
local rt = require "railtracks"

local closing = helper.closing
local generator = helper.generator
local in_run, unshuffled = helper.in_run, helper.unshuffled

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

--- How many permits nobody has.
local function free(sem) return tonumber(tostring(sem):match "%((%d+) of") end

describe("a waiter for a permit", function()
  --- A semaphore without a free permit, and a task that waits for one.
  local function waiting()
    local sem = rt.semaphore(1)
    sem:acquire()
    local seen = {}
    local task = rt.spawn(function()
      sem:acquire()
      seen.got = true
      later(1)
      seen.went_on = true
      sem:release()
    end)
    return sem, task, seen
  end

  it("that is cancelled before it starts takes no permit", in_run(function()
    local sem, task, seen = waiting()
    task:cancel()
    later(1)
    sem:release()
    assert.equal(1, free(sem))
    assert.equal("cancelled", task:status())
    assert.is_nil(seen.got)
  end))

  it("that is cancelled while it waits takes no permit", in_run(function()
    local sem, task, seen = waiting()
    later(1)
    task:cancel()
    sem:release()
    assert.equal(1, free(sem))
    rt.settle(task)
    assert.equal("cancelled", task:status())
    assert.is_nil(seen.got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled twice takes no permit", in_run(function()
    local sem, task = waiting()
    later(1)
    task:cancel "once"
    task:cancel "twice"
    later(2)
    task:cancel "again"
    sem:release()
    assert.equal(1, free(sem))
    assert.equal("once", rt.settle(task)[1].error.reason)
  end))

  it("that is cancelled by a call below it takes no permit", in_run(function()
    local sem = rt.semaphore(1)
    sem:acquire()
    local got = false
    local parent
    parent = rt.spawn(function()
      rt.spawn(function() parent:cancel "by a child" end)
      sem:acquire()
      got = true
    end)
    rt.settle(parent)
    sem:release()
    assert.is_false(got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled by somebody's <close> takes no permit", in_run(function()
    local sem, task, seen = waiting()
    later(1)
    do
      local guard <close> = closing(function() task:cancel() end)
      assert(guard)
    end
    sem:release()
    rt.settle(task)
    assert.is_nil(seen.got)
    assert.equal(1, free(sem))
  end))

  it("that is cancelled after it was handed a permit has it, and its next wait raises",
    in_run(function()
      local sem, task, seen = waiting()
      later(1)
      sem:release()
      task:cancel()
      assert.equal(0, free(sem))
      rt.settle(task)
      assert.is_true(seen.got)
      assert.is_nil(seen.went_on)
      assert.equal("cancelled", task:status())
      assert.equal(0, free(sem))
      sem:release()
    end))

  it("that is cancelled while calls below it unwind is passed over", in_run(function()
    local sem, go_on = rt.semaphore(1), rt.semaphore(1)
    sem:acquire()
    go_on:acquire()
    local got = {}
    local doomed = rt.spawn(function()
      rt.spawn(function()
        local guard <close> = closing(function()
          sem:release()
        end)
        assert(guard)
        rt.sleep(3600)
      end)
      sem:acquire()
      got[#got + 1] = "doomed"
    end)
    later(1)
    local next_one = rt.spawn(function()
      sem:acquire()
      got[#got + 1] = "next"
      sem:release()
    end)
    later(2)
    doomed:cancel()
    rt.settle(doomed, next_one)
    assert.same({ "next" }, got)
    assert.equal("cancelled", doomed:status())
    assert.equal(1, free(sem))
  end))

  it("leaves the others in their order when it is cancelled", in_run(function()
    local sem, order, tasks = rt.semaphore(1), {}, {}
    sem:acquire()
    for i = 1, 9 do
      tasks[i] = rt.spawn(function()
        sem:acquire()
        order[#order + 1] = i
        sem:release()
      end)
    end
    later(1)
    for _, i in ipairs { 1, 5, 9, 4 } do tasks[i]:cancel() end
    later(1)
    tasks[10] = rt.spawn(function()
      sem:acquire()
      order[#order + 1] = 10
      sem:release()
    end)
    later(1)
    sem:release()
    rt.settle(tasks)
    assert.same({ 2, 3, 6, 7, 8, 10 }, order)
    assert.equal(1, free(sem))
  end, unshuffled))

  it("is told what it waited for", in_run(function()
    local sem, task = waiting()
    later(1)
    task:cancel "tired"
    local err = rt.settle(task)[1].error
    assert.matches("tired, .* while waiting for semaphore:acquire on semaphore", err.message)
    assert.matches(tostring(sem):match "made at [^)]*", err.message, 1, true)
  end))

  it("may be one of 20,000 that are cancelled at once, from either end", in_run(function()
    for _, step in ipairs { 1, -1 } do
      local sem, tasks = rt.semaphore(1), {}
      sem:acquire()
      for i = 1, 20000 do tasks[i] = rt.spawn(sem.acquire, sem) end
      later(1)
      for i = step == 1 and 1 or 20000, step == 1 and 20000 or 1, step do tasks[i]:cancel() end
      sem:release()
      assert.equal(1, free(sem))
      rt.settle(tasks)
      assert.equal(1, free(sem))
    end
  end))
end)

describe("permits under random cancellation", function()
  for seed = 1, 12 do
    it("are neither lost nor doubled, seed " .. seed, in_run(function()
      local random = generator(seed)
      local permits = random(4)
      local sem, held, tasks = rt.semaphore(permits), 0, {}

      local function hold()
        held = held + 1
        assert(held <= permits)
        local guard <close> = closing(function() held = held - 1 end)
        assert(guard)
        later(random(4) - 1)
        if random(10) == 1 then error "now and then" end
      end

      local function by_hand()
        sem:acquire()
        local guard <close> = closing(function() sem:release() end)
        assert(guard)
        hold()
      end

      for i = 1, 300 do
        tasks[i] = random(2) == 1 and rt.spawn(pcall, by_hand)
          or rt.spawn(pcall, sem.with, sem, hold)
        if random(3) == 1 then later(random(3)) end
        for _ = 1, random(3) - 1 do tasks[random(i)]:cancel() end
      end
      rt.settle(tasks)
      assert.equal(0, held)
      assert.equal(permits, free(sem))
      for _ = 1, permits do sem:acquire() end
    end))
  end
end)
