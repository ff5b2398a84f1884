require "railtracks"
local new_events = require "railtracks.events"
local helper = require "spec.helper"

--- The events of the pieces, given one after the other.
local function read(...)
  local reader, events = new_events(), {}
  for _, piece in ipairs { ... } do
    reader:add(piece)
    for event in reader.next, reader do events[#events + 1] = event end
  end
  return events, reader
end

local function data(...)
  local got = {}
  for i, event in ipairs((read(...))) do got[i] = event.data end
  return got
end

describe("the reader of server-sent events", function()
  it("knows lines that end in LF, CR and CR LF", function()
    assert.same({ "a", "b\nc", "d" }, data "data: a\n\ndata: b\rdata: c\r\rdata: d\r\n\r\n")
  end)

  it("takes one space behind the colon away", function()
    assert.same({ "a", "a", " a", "" }, data "data:a\n\ndata: a\n\ndata:  a\n\ndata\n\n")
  end)

  it("leaves out comments, unknown fields and what has no data", function()
    assert.same({ "x" }, data ": hello\n\nother: y\n\nevent: none\n\n:\ndata: x\n\n")
  end)

  it("drops an event that has not ended", function()
    assert.same({ "a" }, data("data: a\n\n", "data: b\n"))
  end)

  it("gives the event's name once, and the id until there is another", function()
    local events, reader = read "event: one\nid: 1\ndata\n\ndata\n\nid\ndata\n\nid: x\0\ndata\n\n"
    assert.same({ { event = "one", id = "1", data = "" },
      { event = "message", id = "1", data = "" },
      { event = "message", data = "" }, { event = "message", data = "" } }, events)
    assert.equal("", reader.last_id)
  end)

  it("knows retry in milliseconds, and nothing else for a number", function()
    local _, reader = read "retry: 250\nretry: soon\n"
    assert.equal(0.25, reader.retry)
  end)

  it("skips the mark at the beginning only", function()
    assert.same({ "a" }, data("\xEF", "\xBB", "\xBFdata: a\n\n"))
    assert.same({}, data "\n\xEF\xBB\xBFdata: a\n\n")
    assert.same({ "b" }, data("da", "ta: b\n\n"))
  end)

  it("stops at an event that is too large", function()
    for _, line in ipairs { "data: xxxx\n", "xxxxxxxxxxx" } do
      local reader = new_events(100)
      for _ = 1, 100 do
        reader:add(line)
        assert.is_nil(reader:next())
      end
      assert.is_true(reader.too_large)
    end
  end)

  it("reads the same however the stream is cut", function()
    local chance = helper.generator(42)
    local words = { "data", "event", "id", "retry", ":", " ", "x", "é", "\n", "\r", "\r\n",
      "\n\n", "\xEF\xBB\xBF", "data: y\n\n", "1" }
    for _ = 1, 3000 do
      local parts = {}
      for i = 1, chance(40) do parts[i] = words[chance(#words)] end
      local whole = table.concat(parts)
      local pieces, at = {}, 1
      while at <= #whole do
        local size = chance(4)
        pieces[#pieces + 1] = whole:sub(at, at + size - 1)
        at = at + size
      end
      assert.same((read(whole)), (read(table.unpack(pieces))))
    end
  end)
end)
