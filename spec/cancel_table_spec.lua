--- Every kind of wait, in every place, cancelled at every moment.
---
-- The clock is virtual: rt.sleep(1) returns when all others wait.

local rt = require "railtracks"
local helper = require "spec.helper"

local closing = helper.closing

local MODULE = "a module that waits while it loads"

local function everyone_waits() rt.sleep(1) end

--- What a wait is made of. `node` is what most wait for: it goes on until `finish`, calls
--- `about_to` right before it ends, and is counted in `running`.
local function new_world()
  local w = { open = rt.channel(math.huge), running = 0, about_to = function() end }
  function w.node()
    w.running = w.running + 1
    local _ <close> = closing(function() w.running = w.running - 1 end)
    w.open:receive()
    w.about_to()
    return "value"
  end
  function w.finish() w.open:send(true) end
  return w
end

--- Waits that end with w.finish. `wait` returns "value".
local function of_node(wait)
  return function(w) return { wait = function() return wait(w) end, complete = w.finish } end
end

--- The same for a task that somebody else has started, and that goes on.
local function of_task(wait)
  return function(w)
    local task = rt.spawn(w.node)
    return { wait = function() return wait(task) end, complete = w.finish, stays = 1 }
  end
end

--- A semaphore that others have taken, used by `use`.
local function of_semaphore(use)
  return function(w)
    local sem = rt.semaphore(1)
    sem:acquire()
    return {
      wait = function() return use(sem) end,
      complete = function() w.about_to() sem:release() end,
      again = function() sem:acquire() end,
    }
  end
end

--- For each kind a function of a world that returns `wait`, and what is known of it:
--- `complete()` lets it end, `at` is when it ends by the clock, `stays` counts what goes on
--- without the waiter, `again()` makes others wait again, `shielded`: it is not interrupted.
local kinds = {
  ["rt.call"] = of_node(function(w) return rt.call(w.node) end),
  ["rt.timeout"] = of_node(function(w) return rt.timeout(1e6, w.node) end),
  ["rt.map"] = of_node(function(w) return rt.map(w.node, { 1 })[1] end),
  ["a nested rt.run"] = of_node(function(w) return rt.run(w.node) end),
  ["the end of rt.scope"] = of_node(function(w)
    return rt.scope(function() rt.spawn(w.node) return "value" end)
  end),
  ["rt.require"] = of_node(function(w)
    package.preload[MODULE] = w.node
    return rt.require(MODULE)
  end),
  ["rt.gather of its own"] = of_node(function(w) return rt.gather(rt.spawn(w.node))[1] end),
  ["rt.race of its own"] = of_node(function(w) return (rt.race(rt.spawn(w.node))) end),
  ["rt.shield"] = function(w)
    return { wait = function() return rt.shield(w.node) end, complete = w.finish,
      shielded = true }
  end,

  ["task:await"] = of_task(function(task) return task:await() end),
  ["rt.gather"] = of_task(function(task) return rt.gather(task)[1] end),
  ["rt.settle"] = of_task(function(task) return rt.settle(task)[1].value end),
  ["rt.race"] = of_task(function(task) return (rt.race(task)) end),
  ["rt.any"] = of_task(function(task) return (rt.any(task)) end),
  ["a step of rt.as_completed"] = of_task(function(task)
    local _, ok, value = rt.as_completed(task)()
    return ok and value
  end),

  ["rt.sleep"] = function()
    local due = 1000
    return { at = due, wait = function() rt.sleep(due - rt.now()) return "value" end,
      complete = function() rt.sleep(due) end, again = function() due = rt.now() + due end }
  end,
  ["rt.sleep(math.huge)"] = function()
    return { wait = function() rt.sleep(math.huge) end }
  end,
  ["the pause of rt.retry"] = function(w)
    return {
      wait = function()
        w.attempts = 0
        return rt.retry({ delay = 1000, jitter = 0 }, function()
          w.attempts = w.attempts + 1
          return w.attempts > 1 and "value" or error "not yet"
        end)
      end,
      complete = function() rt.sleep(1000) end,
    }
  end,

  ["a channel's send"] = function(w)
    local ch = rt.channel()
    return { wait = function() ch:send "value" return "value" end, complete = function()
      w.about_to()
      assert.equal("value", (ch:receive()))
    end }
  end,
  ["a channel's receive"] = function(w)
    local ch = rt.channel()
    return { wait = function() return (ch:receive()) end, complete = function()
      w.about_to()
      ch:send "value"
    end }
  end,
  ["a semaphore's acquire"] = of_semaphore(function(sem)
    sem:acquire()
    local _ <close> = closing(function() sem:release() end)
    return "value"
  end),
  ["a semaphore's with"] = of_semaphore(function(sem)
    return sem:with(function() return "value" end)
  end),
}

local function deep(depth, wait)
  if depth == 0 then return wait() end
  return coroutine.wrap(function()
    local ok, value = pcall(deep, depth - 1, wait)
    if not ok then error(value, 0) end
    return value
  end)()
end

--- Where a task waits: each calls `wait` and returns what it returned.
local places = {
  ["in its body"] = function(wait) return wait() end,
  ["inside pcall"] = function(wait)
    local ok, value = pcall(wait)
    if not ok then error("this was to pass", 0) end
    return value
  end,
  ["inside a generator"] = function(wait)
    local got
    for value in coroutine.wrap(function() coroutine.yield(wait()) end) do got = value end
    return got
  end,
  ["three coroutines deep, with pcall in between"] = function(wait) return deep(3, wait) end,
  ["inside a <close> handler"] = function(wait)
    local value
    do
      local _ <close> = closing(function() value = wait() end)
    end
    return value
  end,
}

--- What the task does, noted in the world.
local function body(w, place, wait)
  return function()
    w.began = true
    w.result = place(wait)
    rt.sleep(0)
    w.went_on = true
  end
end

--- The task ends as cancelled for the reason "why", with nothing of it left, and what it
--- waited for is there for others.
local function check(w, task, result)
  local kind = w.kind
  if kind.shielded and w.began and not result then
    everyone_waits()
    assert.equal("running", task:status())
    kind.complete()
    result = "value"
  end
  local err = rt.settle(task)[1].error
  assert.equal("cancelled", rt.kind(err))
  assert.equal("why", err.reason)
  assert.equal("cancelled", task:status())
  assert.equal(result, w.result)
  assert.is_nil(w.went_on)
  assert.equal(result and 0 or kind.stays or 0, w.running)
  if not kind.complete then return end
  if result and kind.again then kind.again() end
  w.about_to = function() end
  local other = rt.spawn(kind.wait)
  everyone_waits()
  kind.complete()
  assert.equal("value", other:await())
  assert.equal(0, w.running)
end

--- Each is a function of the world and of the body of the task; it cancels the task with the
--- reason "why" and returns it.
local moments = {
  ["before it starts: it never runs"] = function(w, work)
    local task = rt.spawn(work)
    assert.is_true(task:cancel "why")
    rt.settle(task)
    assert.is_nil(w.began)
    if w.kind.stays then everyone_waits() end
    return task
  end,
  ["while it waits"] = function(_, work)
    local task = rt.spawn(work)
    everyone_waits()
    assert.is_true(task:cancel "why")
    return task
  end,
  ["twice: the first reason counts"] = function(_, work)
    local task = rt.spawn(work)
    everyone_waits()
    assert.is_true(task:cancel "why")
    assert.is_true(task:cancel "again")
    return task
  end,
  ["from a child"] = function(_, work)
    local task, child
    task = rt.spawn(function()
      child = rt.spawn(function()
        everyone_waits()
        assert.is_true(task:cancel "why")
        rt.sleep(1e6)
      end)
      work()
    end)
    everyone_waits()
    everyone_waits()
    assert.equal("cancelled", child:status())
    return task
  end,
  ["from a <close> handler"] = function(_, work)
    local task = rt.spawn(work)
    everyone_waits()
    do
      local _ <close> = closing(function() assert.is_true(task:cancel "why") end)
    end
    return task
  end,
}

--- The task is cancelled by one who runs after its wait has completed and before it does.
local function cancel_at_completion(w, work)
  local task
  if w.kind.at then
    rt.spawn(function()
      rt.sleep(w.kind.at - rt.now())
      task:cancel "why"
    end)
    everyone_waits()
    task = rt.spawn(work)
    rt.sleep(w.kind.at)
    return task
  end
  local now = rt.channel(1)
  rt.spawn(function()
    now:receive()
    assert.is_true(task:cancel "why")
  end)
  task = rt.spawn(work)
  everyone_waits()
  w.about_to = function() now:send(true) end
  w.kind.complete()
  return task
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

after_each(function()
  package.preload[MODULE], package.loaded[MODULE] = nil, nil
end)

for _, kind in ipairs(sorted(kinds)) do
  for _, place in ipairs(sorted(places)) do
    describe("a task that waits in " .. kind .. ", " .. place .. ", is cancelled", function()
      local function in_world(test, options)
        return helper.in_run(function()
          local w = new_world()
          w.kind = kinds[kind](w)
          test(w, body(w, places[place], w.kind.wait))
        end, options)
      end

      for _, moment in ipairs(sorted(moments)) do
        it(moment, in_world(function(w, work)
          check(w, moments[moment](w, work))
        end, { clock = "virtual" }))
      end

      if kind == "rt.sleep(math.huge)" or kind == "the pause of rt.retry" then return end
      it("when the wait has completed: it returns, and the next wait raises",
        in_world(function(w, work)
          check(w, cancel_at_completion(w, work), "value")
        end, { clock = "virtual", seed = false }))
    end)
  end
end

describe("a call that has returned and waits for its children", function()
  local function virtually(test)
    return helper.in_run(function() test(new_world()) end, { clock = "virtual", seed = false })
  end

  local function waiting_for_child(w)
    local task = rt.spawn(function() rt.spawn(w.node) return "returned" end)
    everyone_waits()
    return task
  end

  it("is cancelled with them", virtually(function(w)
    local task = waiting_for_child(w)
    assert.equal("running", task:status())
    assert.is_true(task:cancel "why")
    assert.is_true(task:cancel "again")
    local err = rt.settle(task)[1].error
    assert.equal("cancelled", rt.kind(err))
    assert.equal("why", err.reason)
    assert.equal("cancelled", task:status())
    assert.equal(0, w.running)
  end))

  it("is cancelled by one of them", virtually(function(w)
    local task
    task = rt.spawn(function()
      rt.spawn(function()
        everyone_waits()
        task:cancel "why"
      end)
      rt.spawn(w.node)
    end)
    assert.equal("why", rt.settle(task)[1].error.reason)
    assert.equal("cancelled", task:status())
    assert.equal(0, w.running)
  end))

  it("is done if the last of them has ended before it is cancelled", virtually(function(w)
    local task, now = nil, rt.channel(1)
    rt.spawn(function()
      now:receive()
      task:cancel "why"
    end)
    task = waiting_for_child(w)
    w.about_to = function() now:send(true) end
    w.finish()
    assert.equal("returned", task:await())
    assert.equal("done", task:status())
  end))
end)

describe("rt.retry", function()
  it("makes no other attempt when it is cancelled at the end of its pause",
    helper.in_run(function()
      local attempts, task = 0, nil
      rt.spawn(function()
        rt.sleep(10)
        task:cancel()
      end)
      everyone_waits()
      task = rt.spawn(rt.retry, { delay = 9, jitter = 0 }, function()
        attempts = attempts + 1
        error "not yet"
      end)
      rt.settle(task)
      assert.equal("cancelled", task:status())
      assert.equal(1, attempts)
    end, { clock = "virtual", seed = false }))
end)
