local helper = require "spec.helper"
local rt = require "railtracks"

local closing = helper.closing
local generator = helper.generator
local in_run, unshuffled = helper.in_run, helper.unshuffled

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

--- Everything that comes out of the channel until it is closed.
local function drain(ch)
  local list = {}
  for value in ch:each() do list[#list + 1] = value end
  return list
end

local function send_all(ch, first, last)
  for i = first, last do ch:send(i) end
end

local capacities = { 0, 1, 2, 7, 8, 9, 64, math.huge }

describe("a receiver", function()
  --- A channel and a task that waits to receive from it.
  local function waiting(capacity)
    local ch, seen = rt.channel(capacity), {}
    local task = rt.spawn(function()
      seen.value = ch:receive()
      later(1)
      seen.went_on = true
    end)
    return ch, task, seen
  end

  for _, capacity in ipairs { 0, 2 } do
    local of = ("of a channel of capacity %d "):format(capacity)

    it(of .. "that is cancelled before it starts swallows nothing", in_run(function()
      local ch, task, seen = waiting(capacity)
      task:cancel()
      local sender = rt.spawn(ch.send, ch, "value")
      later(1)
      assert.equal("value", (ch:receive()))
      sender:await()
      assert.equal("cancelled", task:status())
      assert.is_nil(seen.value)
    end))

    it(of .. "that is cancelled while it waits swallows nothing", in_run(function()
      local ch, task, seen = waiting(capacity)
      later(1)
      task:cancel()
      local sender = rt.spawn(ch.send, ch, "value")
      later(3)
      assert.equal("value", (ch:receive()))
      sender:await()
      assert.equal("cancelled", task:status())
      assert.is_nil(seen.value)
    end))

    it(of .. "that is cancelled twice swallows nothing", in_run(function()
      local ch, task = waiting(capacity)
      later(1)
      task:cancel "once"
      task:cancel "twice"
      later(2)
      task:cancel "again"
      rt.spawn(ch.send, ch, "value")
      later(1)
      assert.equal("value", (ch:receive()))
      assert.equal("once", rt.settle(task)[1].error.reason)
    end))

    it(of .. "that is cancelled by a call below it swallows nothing", in_run(function()
      local ch, parent, got = rt.channel(capacity), nil, nil
      parent = rt.spawn(function()
        rt.spawn(function() parent:cancel "by a child" end)
        got = ch:receive()
      end)
      rt.settle(parent)
      rt.spawn(ch.send, ch, "value")
      assert.equal("value", (ch:receive()))
      assert.is_nil(got)
    end))

    it(of .. "that is cancelled by somebody's <close> swallows nothing", in_run(function()
      local ch, task, seen = waiting(capacity)
      later(1)
      do
        local guard <close> = closing(function() task:cancel() end)
        assert(guard)
      end
      rt.spawn(ch.send, ch, "value")
      assert.equal("value", (ch:receive()))
      rt.settle(task)
      assert.is_nil(seen.value)
    end))

    it(of .. "that is cancelled after it was handed a value has it, and its next wait raises",
      in_run(function()
        local ch, task, seen = waiting(capacity)
        later(1)
        ch:send "value"
        task:cancel()
        rt.settle(task)
        assert.equal("value", seen.value)
        assert.is_nil(seen.went_on)
        assert.equal("cancelled", task:status())
        assert.equal(0, #ch)
      end))

    it(of .. "that is cancelled after the channel was closed learns of the closing",
      in_run(function()
        local ch, seen = rt.channel(capacity), nil
        local task = rt.spawn(function()
          seen = table.pack(ch:receive())
        end)
        later(1)
        ch:close()
        task:cancel()
        rt.settle(task)
        assert.same({ nil, false, n = 2 }, seen)
        assert.equal("done", task:status())
      end))

    it(of .. "that is cancelled while calls below it unwind is passed over", in_run(function()
      local ch, got = rt.channel(capacity), {}
      local doomed = rt.spawn(function()
        rt.spawn(function()
          local guard <close> = closing(function() ch:close() end)
          assert(guard)
          rt.sleep(3600)
        end)
        local value = ch:receive()
        got[#got + 1] = value
      end)
      later(2)
      local next_one = rt.spawn(function()
        local value, more = ch:receive()
        got[#got + 1] = { value, more }
      end)
      later(1)
      doomed:cancel()
      local sent, err = pcall(ch.send, ch, "value")
      assert.is_true(sent, err)
      rt.settle(doomed, next_one)
      assert.same({ { "value", true } }, got)
      assert.equal("cancelled", doomed:status())
    end))
  end

  it("is told what it waited for", in_run(function()
    local ch, task = waiting(2)
    later(1)
    task:cancel "tired"
    local err = rt.settle(task)[1].error
    assert.matches("tired, .* while waiting for channel:receive on channel %d+ %(capacity 2, ",
      err.message)
    assert.matches(tostring(ch):match "made at [^)]*", err.message, 1, true)
  end))

  it("leaves the others in their order when it is cancelled", in_run(function()
    local ch, got, tasks = rt.channel(), {}, {}
    for i = 1, 9 do
      tasks[i] = rt.spawn(function()
        local value = ch:receive()
        got[#got + 1] = { i, value }
      end)
    end
    later(1)
    for _, i in ipairs { 1, 5, 9, 4 } do tasks[i]:cancel() end
    send_all(ch, 1, 5)
    rt.settle(tasks)
    assert.same({ { 2, 1 }, { 3, 2 }, { 6, 3 }, { 7, 4 }, { 8, 5 } }, got)
  end, unshuffled))

  it("may be one of 20,000 that are cancelled at once, from either end", in_run(function()
    for _, step in ipairs { 1, -1 } do
      local ch, tasks = rt.channel(), {}
      for i = 1, 20000 do tasks[i] = rt.spawn(ch.receive, ch) end
      later(1)
      for i = step == 1 and 1 or 20000, step == 1 and 20000 or 1, step do tasks[i]:cancel() end
      rt.spawn(ch.send, ch, "value")
      assert.equal("value", (ch:receive()))
      rt.settle(tasks)
    end
  end))

  it("may be one of 20,000 that are woken by one close", in_run(function()
    local ch, tasks = rt.channel(), {}
    for i = 1, 20000 do tasks[i] = rt.spawn(ch.receive, ch) end
    later(1)
    ch:close()
    rt.gather(tasks)
  end))
end)

describe("a sender", function()
  --- A full channel and a task that waits to send to it.
  local function waiting(capacity)
    local ch, seen = rt.channel(capacity), {}
    for i = 1, capacity do ch:send(i) end
    local task = rt.spawn(function()
      ch:send "value"
      seen.sent = true
      later(1)
      seen.went_on = true
    end)
    return ch, task, seen
  end

  --- What is left in the channel.
  local function rest(ch)
    ch:close()
    return drain(ch)
  end

  for _, capacity in ipairs { 0, 2 } do
    local to = ("to a channel of capacity %d "):format(capacity)
    local before = capacity == 0 and {} or { 1, 2 }

    it(to .. "that is cancelled before it starts sends nothing", in_run(function()
      local ch, task = waiting(capacity)
      task:cancel()
      later(1)
      assert.same(before, rest(ch))
      assert.equal("cancelled", task:status())
    end))

    it(to .. "that is cancelled while it waits sends nothing", in_run(function()
      local ch, task, seen = waiting(capacity)
      later(1)
      task:cancel()
      assert.same(before, rest(ch))
      rt.settle(task)
      assert.equal("cancelled", task:status())
      assert.is_nil(seen.sent)
    end))

    it(to .. "that is cancelled twice sends nothing", in_run(function()
      local ch, task = waiting(capacity)
      later(1)
      task:cancel "once"
      task:cancel "twice"
      later(2)
      task:cancel "again"
      assert.same(before, rest(ch))
      assert.equal("once", rt.settle(task)[1].error.reason)
    end))

    it(to .. "that is cancelled by a call below it sends nothing", in_run(function()
      local ch, parent = rt.channel(capacity), nil
      for i = 1, capacity do ch:send(i) end
      parent = rt.spawn(function()
        rt.spawn(function() parent:cancel "by a child" end)
        ch:send "value"
      end)
      rt.settle(parent)
      assert.same(before, rest(ch))
    end))

    it(to .. "that is cancelled after its value was taken has sent it, and its next wait raises",
      in_run(function()
        local ch, task, seen = waiting(capacity)
        later(1)
        local first = ch:receive()
        task:cancel()
        rt.settle(task)
        assert.is_true(seen.sent)
        assert.is_nil(seen.went_on)
        assert.equal("cancelled", task:status())
        if capacity == 0 then assert.equal("value", first)
        else assert.same({ 2, "value" }, rest(ch)) end
      end))

    it(to .. "that is cancelled while calls below it unwind sends nothing", in_run(function()
      local ch, got = rt.channel(capacity), nil
      for i = 1, capacity do ch:send(i) end
      local doomed = rt.spawn(function()
        rt.spawn(function()
          local guard <close> = closing(function() got = #ch end)
          assert(guard)
          rt.sleep(3600)
        end)
        ch:send "value"
      end)
      later(2)
      doomed:cancel()
      for i = 1, capacity do assert.equal(i, (ch:receive())) end
      rt.spawn(ch.send, ch, "next")
      assert.equal("next", (ch:receive()))
      rt.settle(doomed)
      assert.equal(0, got)
      assert.same({}, rest(ch))
    end))
  end

  it("is told what it waited for", in_run(function()
    local ch, task = waiting(2)
    later(1)
    task:cancel "tired"
    local err = rt.settle(task)[1].error
    assert.matches("tired, by call .* while waiting for channel:send on channel %d+ %(capacity 2, ",
      err.message)
    assert.matches(tostring(ch):match "made at [^)]*", err.message, 1, true)
  end))

  it("may be one of 20,000 that are cancelled at once, from either end", in_run(function()
    for _, step in ipairs { 1, -1 } do
      local ch, tasks = rt.channel(), {}
      for i = 1, 20000 do tasks[i] = rt.spawn(ch.send, ch, i) end
      later(1)
      for i = step == 1 and 1 or 20000, step == 1 and 20000 or 1, step do tasks[i]:cancel() end
      assert.same({}, rest(ch))
      rt.settle(tasks)
    end
  end))

  it("may be one of 20,000 that are served in their order", in_run(function()
    local ch = rt.channel(3)
    for i = 1, 20000 do rt.spawn(ch.send, ch, i) end
    for i = 1, 20000 do
      if ch:receive() ~= i then error("not " .. i) end
    end
  end, unshuffled))
end)

describe("a waiter at a channel", function()
  it("that is cancelled in a coroutine of its own swallows and sends nothing", in_run(function()
    for _, what in ipairs { "receive", "send" } do
      local ch, closed = rt.channel(), false
      local task = rt.spawn(function()
        coroutine.wrap(function()
          local guard <close> = closing(function() closed = true end)
          assert(guard)
          ch[what](ch, "cancelled")
        end)()
      end)
      later(1)
      task:cancel()
      rt.spawn(ch.send, ch, "value")
      assert.equal("value", (ch:receive()))
      rt.settle(task)
      assert.equal("cancelled", task:status())
      assert.is_true(closed)
    end
  end))

  it("that has a value in a coroutine of its own when it is cancelled keeps it", in_run(function()
    local ch, got = rt.channel(), nil
    local task = rt.spawn(function()
      coroutine.wrap(function()
        local value = ch:receive()
        got = value
        ch:receive()
      end)()
    end)
    later(1)
    ch:send "value"
    task:cancel()
    rt.settle(task)
    assert.equal("value", got)
    assert.equal("cancelled", task:status())
  end))

  it("is not kept waiting by pcall when it is cancelled", in_run(function()
    local ch, after = rt.channel(), false
    local task = rt.spawn(function()
      while not pcall(ch.receive, ch) do after = true end
    end)
    later(1)
    task:cancel()
    rt.settle(task)
    assert.is_false(after)
  end))

  it("may wait in its cleanup, and is served there like any other", in_run(function()
    local ch, acks, got = rt.channel(), rt.channel(), nil
    local task = rt.spawn(function()
      local guard <close> = closing(function()
        ch:send "last words"
        local value = acks:receive()
        got = value
      end)
      assert(guard)
      ch:receive()
    end)
    later(1)
    task:cancel()
    later(2)
    assert.equal("last words", (ch:receive()))
    acks:send "heard"
    rt.settle(task)
    assert.equal("heard", got)
    assert.equal("cancelled", task:status())
  end))

  it("is stopped by a deadline, which says what it waited for", in_run(function()
    local ch = rt.channel()
    local ok, err = pcall(rt.timeout, 0.01, ch.receive, ch)
    assert.is_false(ok)
    assert.equal("timeout", rt.kind(err))
    assert.matches("channel:receive on channel %d+ %(capacity 0", tostring(err))
    rt.spawn(ch.send, ch, "value")
    assert.equal("value", (ch:receive()))
  end))

  it("in a shield is not reached by its caller's cancellation", in_run(function()
    local ch, got = rt.channel(), nil
    local task = rt.spawn(function()
      got = rt.shield(function()
        local value = ch:receive()
        return value
      end)
    end)
    later(2)
    task:cancel()
    later(2)
    ch:send "value"
    rt.settle(task)
    assert.equal("value", got)
  end))
end)

describe("values under random cancellation", function()
  for seed = 1, 16 do
    it("are neither lost nor doubled, seed " .. seed, in_run(function()
      local random = generator(seed)
      local ch = rt.channel(capacities[seed % #capacities + 1])
      local sent, received, next_value, tasks = {}, {}, 0, {}

      local function producer()
        for _ = 1, random(8) do
          next_value = next_value + 1
          local value = next_value
          ch:send(value)
          sent[value] = true  -- no wait in between: what was handed over is noted
          if random(3) == 1 then later(1) end
        end
      end

      local function consumer()
        for _ = 1, random(8) do
          local value, ok = ch:receive()
          if not ok then return end
          received[value] = (received[value] or 0) + 1
          if random(3) == 1 then later(1) end
        end
      end

      --- One whose cancellation has to wait for a call below it.
      local function slow(fn)
        return function()
          local sleeper = rt.spawn(rt.sleep, 3600)
          fn()
          sleeper:cancel()
        end
      end

      for i = 1, 300 do
        local fn = random(2) == 1 and producer or consumer
        if random(3) == 1 then fn = slow(fn) end
        tasks[i] = rt.spawn(fn)
        if random(3) == 1 then later(random(3)) end
        for _ = 1, random(3) - 1 do tasks[random(i)]:cancel() end
      end
      later(50)
      ch:close()
      for value in ch:each() do received[value] = (received[value] or 0) + 1 end
      rt.settle(tasks)
      for value = 1, next_value do
        if received[value] ~= (sent[value] and 1 or nil) then
          error(("value %d: received %s times"):format(value, received[value] or 0))
        end
      end
    end))
  end
end)
