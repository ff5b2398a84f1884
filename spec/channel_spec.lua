local helper = require "spec.helper"
local rt = require "railtracks"

local generator = helper.generator
local in_run = helper.in_run

--- Gives way `turns` times.
local function later(turns)
  for _ = 1, turns do rt.sleep(0) end
end

local function refuses(pattern, ...)
  assert.matches(pattern, helper.refusal(...), 1, true)
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

describe("a channel in a coroutine of one's own", function()
  it("may be waited at, by sender and receiver, several deep", in_run(function()
    local ch = rt.channel()
    rt.spawn(function()
      local step = coroutine.wrap(function()
        for i = 1, 20 do
          ch:send(i)
          coroutine.yield()
        end
      end)
      for _ = 1, 20 do step() end
      step()
      ch:close()
    end)

    local function values()
      return coroutine.wrap(function()
        for value in ch:each() do coroutine.yield(value) end
      end)
    end
    local function squares()
      return coroutine.wrap(function()
        for value in values() do coroutine.yield(value * value) end
      end)
    end
    local i = 0
    for value in squares() do
      i = i + 1
      assert.equal(i * i, value)
    end
    assert.equal(20, i)
  end))

  it("tells there that it was closed", in_run(function()
    local ch = rt.channel()
    local task = rt.spawn(function()
      return coroutine.wrap(function() return pcall(ch.send, ch, 1) end)()
    end)
    later(1)
    ch:close()
    local ok, err = task:await()
    assert.is_false(ok)
    assert.equal("usage", rt.kind(err))
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
