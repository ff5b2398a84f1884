local helper = require "spec.helper"
local rt = require "railtracks"

local closing = helper.closing
local in_run, unshuffled = helper.in_run, helper.unshuffled

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
  end, unshuffled))

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
  end, unshuffled))

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
  end, unshuffled))
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
