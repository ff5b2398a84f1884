local rt = require "railtracks"

--- rt.run of `fn` in which every assertion may be made.
local function in_run(fn) return function() rt.run(fn) end end

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

local function closing(fn) return setmetatable({}, { __close = fn }) end

local function refuses(pattern, ...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("usage", rt.kind(err))
  assert.matches(pattern, tostring(err), 1, true)
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

--- A generator of its own, so that every run of the spec is the same.
local function generator(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n + 1
  end
end

local capacities = { 0, 1, 2, 7, 8, 9, 64, math.huge }

describe("rt.channel", function()
  it("takes a whole number that is not negative, math.huge, or nothing", function()
    for _, capacity in ipairs { 0, 1, 3.0, -0.0, math.maxinteger, math.huge } do
      assert.equal(0, #rt.channel(capacity))
    end
    assert.matches("capacity 0", tostring(rt.channel()), 1, true)
    assert.matches("capacity 0", tostring(rt.channel(nil)), 1, true)
    assert.matches("capacity 3,", tostring(rt.channel(3.0)), 1, true)
    assert.matches("no bound", tostring(rt.channel(math.huge)), 1, true)
  end)

  it("refuses anything else, saying what it got", function()
    for _, given in ipairs { -1, 1.5, -math.huge, 0 / 0, 2 ^ 70 } do
      refuses(tostring(given), rt.channel, given)
    end
    for _, given in ipairs { "2", {}, true, print } do
      refuses("rt.channel: argument 1", rt.channel, given)
      refuses("got " .. type(given), rt.channel, given)
    end
  end)

  it("may be made outside a run and used in several, one after the other", function()
    local ch = rt.channel(2)
    rt.run(ch.send, ch, "a")
    rt.run(ch.send, ch, "b")
    assert.equal(2, #ch)
    assert.same({ "a", true }, { rt.run(ch.receive, ch) })
    assert.same({ "b", true }, { rt.run(ch.receive, ch) })
  end)

  it("connects a run and one inside it", in_run(function()
    local ch = rt.channel()
    local inner = rt.spawn(function() return rt.run(drain, ch) end)
    send_all(ch, 1, 3)
    ch:close()
    assert.same({ 1, 2, 3 }, inner:await())
  end))

  it("tells its number, its capacity, what is in it and where it was made", function()
    local ch = rt.channel(3)
    local line = debug.getinfo(1, "l").currentline - 1
    rt.run(function() send_all(ch, 1, 2) end)
    local where = "made at .*channel_spec.lua:" .. line .. "%)$"
    assert.matches("^Channel %d+ %(capacity 3, 2 buffered, " .. where, tostring(ch))
    ch:close()
    assert.matches("^Channel %d+ %(capacity 3, 2 buffered, closed, " .. where, tostring(ch))
    assert.not_equal(tostring(ch):match "%d+", tostring(rt.channel(3)):match "%d+")
  end)

  it("has the number of its buffered values as its length", in_run(function()
    local ch = rt.channel(2)
    assert.equal(0, #ch)
    ch:send(1)
    ch:send(2)
    local blocked = rt.spawn(ch.send, ch, 3)
    later(1)
    assert.equal(2, #ch)
    ch:receive()
    assert.equal(2, #ch)
    blocked:await()
    ch:receive()
    ch:receive()
    assert.equal(0, #ch)
  end))

  it("does not show its metatable", function()
    assert.equal("railtracks.Channel", getmetatable(rt.channel()))
  end)

  it("that nobody has is collected, with what is in it", function()
    local kept = setmetatable({}, { __mode = "v" })
    rt.run(function()
      local ch = rt.channel(4)
      kept[1], kept[2] = ch, {}
      ch:send(kept[2])
    end)
    collectgarbage()
    collectgarbage()
    assert.same({}, kept)
  end)

  it("keeps what is in it, and what is on its way", in_run(function()
    local ch = rt.channel(1)
    local kept = setmetatable({}, { __mode = "v" })
    local sender = rt.spawn(function()
      for i = 1, 2 do
        local value = { i }
        kept[i] = value
        ch:send(value)
      end
    end)
    later(1)
    collectgarbage()
    assert.same({ { 1 }, { 2 } }, { kept[1], kept[2] })
    assert.same({ 1 }, (ch:receive()))
    assert.same({ 2 }, (ch:receive()))
    sender:await()
    collectgarbage()
    collectgarbage()
    assert.same({}, kept)
  end))

  it("has methods that are refused without the colon", in_run(function()
    local ch = rt.channel(1)
    for _, name in ipairs { "send", "receive", "close", "each" } do
      refuses("channel:" .. name .. ": expected a Channel, got nothing (a method wants a colon)",
        ch[name])
      refuses("got number", ch[name], 1)
      refuses("got userdata", ch[name], rt.semaphore(1))
    end
    refuses("channel:each: expected a Channel", (ch:each()))
  end))
end)

describe("a channel without capacity", function()
  it("makes send wait for a receiver", in_run(function()
    local ch, sent = rt.channel(), false
    local sender = rt.spawn(function()
      ch:send "value"
      sent = true
    end)
    later(10)
    assert.is_false(sent)
    assert.same({ "value", true }, { ch:receive() })
    assert.is_false(sent)
    sender:await()
    assert.is_true(sent)
  end))

  it("does not make send wait when a receiver waits already", in_run(function()
    local ch, order = rt.channel(), {}
    local receiver = rt.spawn(function()
      local value = ch:receive()
      order[#order + 1] = value
    end)
    later(1)
    ch:send "value"
    order[#order + 1] = "sent"
    receiver:await()
    assert.same({ "sent", "value" }, order)
  end))

  it("never holds a value itself", in_run(function()
    local ch = rt.channel()
    local sender = rt.spawn(send_all, ch, 1, 3)
    for _ = 1, 3 do
      later(1)
      assert.equal(0, #ch)
      ch:receive()
    end
    sender:await()
  end))
end)

describe("a channel with a capacity", function()
  it("lets send go on until it is full", in_run(function()
    for _, capacity in ipairs { 1, 2, 8, 9, 100 } do
      local ch, sent = rt.channel(capacity), 0
      local sender = rt.spawn(function()
        for i = 1, capacity + 2 do
          ch:send(i)
          sent = i
        end
      end)
      later(3)
      assert.equal(capacity, sent)
      assert.equal(capacity, #ch)
      assert.equal(1, (ch:receive()))
      later(3)
      assert.equal(capacity + 1, sent)
      assert.equal(capacity, #ch)
      ch:receive()
      sender:await()
    end
  end))

  it("does not give way while there is room, or something in it", in_run(function()
    local ch, ran = rt.channel(3), false
    rt.spawn(function() ran = true end)
    for _ = 1, 5 do
      send_all(ch, 1, 3)
      for i = 1, 3 do assert.equal(i, (ch:receive())) end
    end
    assert.is_false(ran)
  end))

  it("keeps the order when its buffer turns over and grows", in_run(function()
    local random = generator(7)
    local ch, sent, got = rt.channel(math.huge), 0, 0
    for _ = 1, 500 do
      for _ = 1, random(20) do
        sent = sent + 1
        ch:send(sent)
      end
      for _ = 1, math.min(random(20), #ch) do
        got = got + 1
        assert.equal(got, (ch:receive()))
      end
      assert.equal(sent - got, #ch)
    end
    while #ch > 0 do
      got = got + 1
      assert.equal(got, (ch:receive()))
    end
    assert.equal(sent, got)
  end))

  it("of math.huge takes whatever comes, and can be emptied and filled again", in_run(function()
    local ch = rt.channel(math.huge)
    for _ = 1, 3 do
      send_all(ch, 1, 100000)
      assert.equal(100000, #ch)
      for i = 1, 100000 do
        if ch:receive() ~= i then error("not " .. i) end
      end
    end
    assert.equal(0, #ch)
  end))
end)

describe("channel:send", function()
  it("returns nothing", in_run(function()
    local ch = rt.channel()
    local waited = rt.spawn(function() return select("#", ch:send(1)) end)
    later(1)
    ch:receive()
    assert.equal(0, waited:await())
    local receiver = rt.spawn(ch.receive, ch)
    later(1)
    assert.equal(0, select("#", ch:send(2)))
    receiver:await()
    assert.equal(0, select("#", rt.channel(1):send(3)))
  end))

  it("takes any value but nil", in_run(function()
    local values = { false, true, 0, 1, 1.0, 0 / 0, "", "text", {}, print, function() end,
      coroutine.create(print), io.stdout, rt.channel(), rt.semaphore(1) }
    for _, capacity in ipairs { 0, 1, 4 } do
      local ch = rt.channel(capacity)
      local sender = rt.spawn(function()
        for i = 1, #values do ch:send(values[i]) end
      end)
      for i = 1, #values do
        local value, ok = ch:receive()
        assert.is_true(ok)
        if i ~= 6 then assert.is_true(rawequal(values[i], value)) end
        assert.equal(math.type(values[i]), math.type(value))
      end
      sender:await()
    end
  end))

  it("of nil or nothing is an error", in_run(function()
    local ch = rt.channel(1)
    refuses("channel:send: argument 1: expected any value but nil, got nil", ch.send, ch, nil)
    refuses("got nothing", ch.send, ch)
    assert.equal(0, #ch)
  end))

  it("to a closed channel is an error", in_run(function()
    for _, capacity in ipairs(capacities) do
      local ch = rt.channel(capacity)
      ch:close()
      refuses("is closed", ch.send, ch, 1)
      assert.equal(0, #ch)
    end
  end))

  it("takes the first of more arguments", in_run(function()
    local ch = rt.channel(1)
    ch:send(1, 2, 3)
    assert.same({ 1, true, n = 2 }, table.pack(ch:receive(4, 5)))
  end))
end)

describe("channel:receive", function()
  it("returns the value and true", in_run(function()
    local ch = rt.channel(1)
    ch:send(false)
    assert.same({ false, true, n = 2 }, table.pack(ch:receive()))
    local receiver = rt.spawn(ch.receive, ch)
    later(1)
    ch:send(false)
    assert.same({ false, true, n = 2 }, table.pack(receiver:await()))
  end))

  it("returns nil and false once the channel is closed and empty, ever again", in_run(function()
    local ch = rt.channel(2)
    send_all(ch, 1, 2)
    ch:close()
    assert.same({ 1, true, n = 2 }, table.pack(ch:receive()))
    assert.same({ 2, true, n = 2 }, table.pack(ch:receive()))
    for _ = 1, 3 do assert.same({ nil, false, n = 2 }, table.pack(ch:receive())) end
  end))

  it("hands values over in the order in which they were sent", in_run(function()
    for _, capacity in ipairs(capacities) do
      local ch = rt.channel(capacity)
      rt.spawn(function()
        send_all(ch, 1, 500)
        ch:close()
      end)
      local list = drain(ch)
      assert.equal(500, #list)
      for i = 1, 500 do assert.equal(i, list[i]) end
    end
  end))

  it("serves receivers in the order in which they came", in_run(function()
    local ch, got, tasks = rt.channel(), {}, {}
    for i = 1, 100 do
      tasks[i] = rt.spawn(function() got[i] = ch:receive() end)
    end
    later(1)
    send_all(ch, 1, 100)
    rt.gather(tasks)
    for i = 1, 100 do assert.equal(i, got[i]) end
  end))

  it("serves senders in the order in which they came", in_run(function()
    for _, capacity in ipairs { 0, 1, 5 } do
      local ch = rt.channel(capacity)
      for i = 1, 100 do rt.spawn(ch.send, ch, i) end
      later(1)
      for i = 1, 100 do
        assert.equal(i, (ch:receive()))
        if i % 7 == 0 then later(1) end
      end
    end
  end))

  it("does not let a new sender overtake those that wait", in_run(function()
    local ch = rt.channel(1)
    rt.spawn(send_all, ch, 1, 3)
    later(1)
    assert.equal(1, (ch:receive()))
    rt.spawn(ch.send, ch, "late")
    later(1)
    assert.equal(2, (ch:receive()))
    assert.equal(3, (ch:receive()))
    assert.equal("late", (ch:receive()))
  end))
end)

describe("channel:each", function()
  it("goes over the values until the channel is closed and empty", in_run(function()
    local ch = rt.channel(2)
    rt.spawn(function()
      for _, value in ipairs { "a", false, "b" } do ch:send(value) end
      ch:close()
    end)
    assert.same({ "a", false, "b" }, drain(ch))
    assert.same({}, drain(ch))
  end))

  it("gives one value at each step", in_run(function()
    local ch = rt.channel(2)
    send_all(ch, 1, 2)
    ch:close()
    for _, more in ch:each() do assert.is_nil(more) end
  end))

  it("may be left: nothing is closed and nothing lost", in_run(function()
    local ch = rt.channel(5)
    send_all(ch, 1, 5)
    for value in ch:each() do
      if value == 2 then break end
    end
    ch:send(6)
    ch:close()
    assert.same({ 3, 4, 5, 6 }, drain(ch))
  end))

  it("may be used by many at once, each of which gets a share", in_run(function()
    for _, capacity in ipairs { 0, 1, 3 } do
      local ch, seen, tasks = rt.channel(capacity), {}, {}
      for i = 1, 3 do
        tasks[i] = rt.spawn(function()
          local count = 0
          for value in ch:each() do
            count = count + 1
            seen[value] = (seen[value] or 0) + 1
            rt.sleep(0)
          end
          return count
        end)
      end
      send_all(ch, 1, 300)
      ch:close()
      for i = 1, 3 do
        local share = tasks[i]:await()
        assert.is_true(share >= 95 and share <= 105, share)
      end
      for i = 1, 300 do assert.equal(1, seen[i]) end
    end
  end))
end)

describe("channel:close", function()
  it("leaves what is in the buffer to be received", in_run(function()
    local ch = rt.channel(3)
    send_all(ch, 1, 3)
    ch:close()
    assert.equal(3, #ch)
    assert.same({ 1, 2, 3 }, drain(ch))
  end))

  it("wakes receivers that wait with nil and false", in_run(function()
    local ch, tasks = rt.channel(), {}
    for i = 1, 10 do tasks[i] = rt.spawn(ch.receive, ch) end
    tasks[11] = rt.spawn(drain, ch)
    later(1)
    ch:close()
    for i = 1, 10 do assert.same({ nil, false, n = 2 }, table.pack(tasks[i]:await())) end
    assert.same({}, tasks[11]:await())
  end))

  it("wakes senders that wait with an error, and their values are gone", in_run(function()
    for _, capacity in ipairs { 0, 1 } do
      local ch, tasks = rt.channel(capacity), {}
      for i = 1, capacity do ch:send(-i) end
      for i = 1, 10 do
        tasks[i] = rt.spawn(function()
          local ok, err = pcall(ch.send, ch, i)
          return ok, err
        end)
      end
      later(1)
      ch:close()
      for i = 1, 10 do
        local ok, err = tasks[i]:await()
        assert.is_false(ok)
        assert.equal("usage", rt.kind(err))
        assert.matches("channel:send: channel %d+ %(.*%) was closed", tostring(err))
      end
      assert.equal(capacity, #drain(ch))
    end
  end))

  it("does not touch a value that was handed over before", in_run(function()
    local ch = rt.channel()
    local receiver = rt.spawn(ch.receive, ch)
    later(1)
    ch:send "value"
    ch:close()
    assert.same({ "value", true, n = 2 }, table.pack(receiver:await()))

    local other = rt.channel(1)
    local sender = rt.spawn(send_all, other, 1, 2)
    later(1)
    assert.equal(1, (other:receive()))
    other:close()
    assert.same({ n = 0 }, table.pack(sender:await()))
    assert.same({ 2 }, drain(other))
  end))

  it("of a closed channel is an error", in_run(function()
    local ch = rt.channel()
    assert.equal(0, select("#", ch:close()))
    refuses("is closed already", ch.close, ch)
  end))

  it("may be called outside a run", function()
    local ch = rt.channel(1)
    rt.run(ch.send, ch, 1)
    ch:close()
    assert.same({ 1 }, rt.run(drain, ch))
    refuses("is closed already", ch.close, ch)
  end)

  it("may be called where Lua cannot wait", in_run(function()
    local ch = rt.channel()
    local receiver = rt.spawn(drain, ch)
    later(1)
    string.gsub("x", "x", function() ch:close() end)
    assert.same({}, receiver:await())
  end))

  it("may be called by the cleanup of a cancelled task", in_run(function()
    local ch = rt.channel()
    local producer = rt.spawn(function()
      local guard <close> = closing(function() ch:close() end)
      assert(guard)
      ch:send(1)
      rt.sleep(3600)
    end)
    local consumer = rt.spawn(drain, ch)
    later(2)
    producer:cancel()
    assert.same({ 1 }, consumer:await())
  end))
end)

describe("waiting at a channel", function()
  it("outside a run is an error that names rt.run, and changes nothing", function()
    local ch = rt.channel(2)
    rt.run(ch.send, ch, 1)
    refuses("channel:send outside a run: start one with rt.run", ch.send, ch, 2)
    refuses("channel:receive outside a run: start one with rt.run", ch.receive, ch)
    refuses("channel:each outside a run: start one with rt.run", function()
      for _ in ch:each() do error "no" end
    end)
    assert.equal(1, #ch)
  end)

  it("where Lua cannot wait is an error, also when there is no need to", in_run(function()
    local ch = rt.channel(2)
    ch:send(1)
    refuses("channel:send", string.gsub, "x", "x", function() ch:send(2) end)
    refuses("channel:receive", string.gsub, "x", "x", function() ch:receive() end)
    assert.equal(1, #ch)
  end))

  it("raises the cancellation of its task, also when there is no need to wait", in_run(function()
    for _, what in ipairs { "send", "receive" } do
      local ch, after = rt.channel(2), false
      ch:send(1)
      local task
      task = rt.spawn(function()
        task:cancel "enough"
        ch[what](ch, 2)
        after = true
      end)
      assert.equal("cancelled", rt.kind(rt.settle(task)[1].error))
      assert.is_false(after)
      assert.equal(1, #ch)
    end
  end))
end)

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
    assert.matches("tired, while waiting for channel:receive on channel %d+ %(capacity 2, ",
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
  end))

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
    assert.matches("tired, while waiting for channel:send on channel %d+ %(capacity 2, ",
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
  end))
end)

describe("channels", function()
  it("make a pipeline of three", in_run(function()
    local numbers, squares, texts = rt.channel(), rt.channel(4), rt.channel(1)

    local function stage(from, to, fn)
      return rt.spawn(function()
        for value in from:each() do to:send(fn(value)) end
        to:close()
      end)
    end
    rt.spawn(function()
      send_all(numbers, 1, 100)
      numbers:close()
    end)
    stage(numbers, squares, function(n) return n * n end)
    stage(squares, texts, function(n) return "<" .. n .. ">" end)
    local list = drain(texts)
    assert.equal(100, #list)
    for i = 1, 100 do assert.equal("<" .. i * i .. ">", list[i]) end
  end))

  it("bring what many produce to many that consume, each value once", in_run(function()
    for _, capacity in ipairs(capacities) do
      local ch, producers, consumers, seen = rt.channel(capacity), {}, {}, {}
      for p = 1, 5 do
        producers[p] = rt.spawn(function()
          for i = 1, 100 do
            ch:send(p * 1000 + i)
            if i % p == 0 then later(1) end
          end
        end)
      end
      for c = 1, 4 do
        consumers[c] = rt.spawn(function()
          local last = {}
          for value in ch:each() do
            seen[value] = (seen[value] or 0) + 1
            local producer = value // 1000
            assert((last[producer] or 0) < value, "out of order")
            last[producer] = value
            if value % c == 0 then later(1) end
          end
        end)
      end
      rt.gather(producers)
      ch:close()
      rt.gather(consumers)
      for p = 1, 5 do
        for i = 1, 100 do assert.equal(1, seen[p * 1000 + i]) end
      end
    end
  end))

  it("carry channels to answer on", in_run(function()
    local requests = rt.channel()
    rt.spawn(function()
      for request in requests:each() do request.answer:send(request.n * 2) end
    end)
    for i = 1, 20 do
      local answer = rt.channel()
      requests:send { n = i, answer = answer }
      assert.equal(i * 2, (answer:receive()))
    end
    requests:close()
  end))

  it("may be waited at inside pcall, metamethods and iterators", in_run(function()
    local ch = rt.channel(1)
    rt.spawn(send_all, ch, 1, 3)
    assert.same({ true, 1, true }, { pcall(ch.receive, ch) })
    local lazy = setmetatable({}, { __index = function() return (ch:receive()) end })
    assert.equal(2, lazy.value)
    ch:close()
    for value in function() return (ch:receive()) end do assert.equal(3, value) end
  end))
end)

describe("a run whose tasks wait at channels only", function()
  it("fails with a deadlock error that lists who waits for what", function()
    local ch, full = rt.channel(), rt.channel(1)
    local line = debug.getinfo(1, "l").currentline - 1
    local ok, err = pcall(rt.run, function()
      full:send(1)
      rt.spawn(full.send, full, 2)
      rt.spawn(drain, ch)
      ch:receive()
    end)
    assert.is_false(ok)
    assert.equal("deadlock", rt.kind(err))
    local where = ", made at .*channel_spec.lua:" .. line .. "%)"
    local text = tostring(err)
    assert.matches("call 1 %(.-%) waits for channel:receive on channel %d+ %(capacity 0" .. where,
      text)
    assert.matches("call 1.1 %(.-%) waits for channel:send on channel %d+ %(capacity 1" .. where,
      text)
    assert.matches("call 1.2 %(.-%) waits for channel:each on channel %d+ %(capacity 0" .. where,
      text)
  end)

  it("leaves the channel as it was", function()
    local ch = rt.channel(1)
    pcall(rt.run, function()
      ch:send(1)
      rt.gather(rt.spawn(ch.send, ch, 2), rt.spawn(ch.send, ch, 3))
    end)
    assert.equal(1, #ch)
    assert.equal(1, rt.run(ch.receive, ch))
    ch:close()
    assert.same({}, rt.run(drain, ch))
  end)

  it("does not fail while a sleeper can send", in_run(function()
    local ch = rt.channel()
    rt.spawn(function()
      rt.sleep(0.005)
      ch:send "value"
    end)
    assert.equal("value", (ch:receive()))
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
        assert.equal(sent[value] and 1 or nil, received[value])
      end
    end))
  end
end)
