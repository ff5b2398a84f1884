local cjson = require "cjson.safe"
local helper = require "spec.helper"
local rt = require "railtracks"

describe("railtracks export", function()
  local place

  setup(function()
    place = helper.workplace()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local leaf = rt.function_node("le\"af <b>`x`\n", function(x) rt.sleep(0.002) return x end)
      local map = rt.function_node("map", function(n)
        local items = {}
        for i = 1, n do items[i] = i end
        return #rt.map(leaf, items, { limit = 3 })
      end)
      rt.call(map, tonumber((...)))
      pcall(rt.call, rt.function_node("bad", function() error("boom, \"x\"\n", 0) end))
      local task = rt.spawn(rt.sleep, 5)
      rt.sleep(0.001)
      task:cancel()
      pcall(task.await, task)
    ]])
    assert.equal(0, (select(3, place:run { "run", "flow.lua", "200" })))
    assert.equal(0, (select(3, place:run { "run", "flow.lua", "8" })))
  end)
  teardown(function() place:remove() end)

  local function export(format, run)
    local output, said, status = place:run { "export", run or "@1", "--format", format }
    assert.same({ "", 0 }, { said, status })
    return output
  end

  --- What JSON's null is to others.
  local function text_of(value) return type(value) == "string" and value or "" end

  --- The recorded calls of @1, by id, and how many.
  local function recorded()
    local found = helper.recorded(place.journal, "@1")
    return found.by_id, #found.calls
  end

  it("writes JSON as show does", function()
    local shown = place:run { "show", "@1", "--json" }
    assert.equal(shown, export "json")
  end)

  describe("as CSV", function()
    --- The records of RFC 4180.
    local function read(text)
      local rows, row, at = {}, {}, 1
      while at <= #text do
        local field
        if text:sub(at, at) == '"' then
          local from = at + 1
          repeat
            at = assert(text:find('"', at + 1, true))
            local double = text:sub(at + 1, at + 1) == '"'
            if double then at = at + 1 end
          until not double
          field, at = text:sub(from, at - 1):gsub('""', '"'), at + 1
        else
          local _, last = text:find('^[^",\r\n]*', at)
          field, at = text:sub(at, last), last + 1
        end
        row[#row + 1] = field
        if text:sub(at, at + 1) == "\r\n" then
          rows[#rows + 1], row, at = row, {}, at + 2
        else
          assert.equal(",", text:sub(at, at))
          at = at + 1
        end
      end
      return rows
    end

    it("has a line for each call, under the names of its columns", function()
      local by_id, count = recorded()
      local rows = read(export "csv")
      assert.equal(count + 1, #rows)
      for i = 2, #rows do
        local row = {}
        for column, name in ipairs(rows[1]) do row[name] = rows[i][column] end
        assert.equal(#rows[1], #rows[i])
        local call = by_id[row.id]
        assert.equal(call.node, row.node)
        assert.equal(call.status, row.status)
        assert.equal(text_of(call.parent), row.parent)
      end
      assert.equal("boom, \"x\"\n", rows[#rows - 1][14])
    end)
  end)

  describe("as a flow chart", function()
    --- Every line is one that Mermaid's grammar has, and no text ends its quotes.
    local function check(text)
      local boxes, arrows = {}, {}
      for line in text:gmatch "[^\n]+" do
        local name, label = line:match '^  (%a%d+)%["([^"]*)"%]:::%a+$'
        local from, to = line:match "^  (%a%d+) %-%->|?%d*|? ?(%a%d+)$"
        if name then
          assert.is_nil(label:gsub("<br/>", ""):gsub("#%d+;", ""):find "[<>&\"`#;{}]")
          boxes[name] = label
          boxes[#boxes + 1] = name
        elseif from then
          assert.is_truthy(boxes[from] and boxes[to])
          arrows[#arrows + 1] = { from, to }
        else
          assert.is_truthy(line == "flowchart TD" or line:find "^  classDef %a+ fill:#%x+,"
            or line:find "^  %%%% ", line)
        end
      end
      return boxes, arrows
    end

    it("has a box for each call, below its caller", function()
      local _, count = recorded()
      local boxes, arrows = check(export "mermaid")
      assert.same({ count, count - 1 }, { #boxes, #arrows })
      assert.matches("^le#34;af #60;b#62;", boxes.c3)
    end)

    it("has a box for each node, with counts, where there are many calls", function()
      local boxes, arrows = check(export("mermaid", "@2"))
      assert.same({ 5, 4 }, { #boxes, #arrows })
      assert.matches("^le#34;af .*<br/>200 calls, ", boxes.n3)
      assert.matches("^bad<br/>1 call, 1 failed, ", boxes.n4)
      assert.matches("\n  n2 %-%->|200| n3\n", export("mermaid", "@2"))
    end)
  end)

  describe("as a trace of events", function()
    local function read(run)
      local found = assert(cjson.decode(export("perfetto", run)))
      local slices, flows, tracks = {}, {}, {}
      for _, event in ipairs(found.traceEvents) do
        if event.ph == "X" then
          slices[#slices + 1] = event
          tracks[event.tid] = tracks[event.tid] or {}
          table.insert(tracks[event.tid], event)
        elseif event.ph == "s" or event.ph == "f" then
          flows[event.id] = flows[event.id] or {}
          flows[event.id][event.ph] = event
        else
          assert.equal("M", event.ph)
        end
      end
      return slices, flows, tracks
    end

    for _, run in ipairs { "@1", "@2" } do
      it("has tracks on which slices stand in one another or apart: " .. run, function()
        local slices, _, tracks = read(run)
        assert.equal(#helper.recorded(place.journal, run).calls, #slices)
        for _, track in pairs(tracks) do
          table.sort(track, function(a, b)
            if a.ts ~= b.ts then return a.ts < b.ts end
            return #a.args.id < #b.args.id
          end)
          local open = {}
          for _, slice in ipairs(track) do
            while open[1] and open[#open].ts + open[#open].dur <= slice.ts
              and slice.args.id:sub(1, #open[#open].args.id) ~= open[#open].args.id do
              table.remove(open)
            end
            local outer = open[#open]
            assert.is_truthy(not outer or slice.ts + slice.dur <= outer.ts + outer.dur)
            open[#open + 1] = slice
          end
        end
        assert.is_true(#tracks <= 5, #tracks)
      end)
    end

    it("leads from where a call was started to another track", function()
      local _, flows = read "@1"
      local count = 0
      for _, flow in pairs(flows) do
        count = count + 1
        assert.is_true(flow.s.tid ~= flow.f.tid and flow.s.ts <= flow.f.ts)
        assert.equal("e", flow.f.bp)
      end
      assert.is_true(count >= 2)
    end)
  end)

  describe("as OpenTelemetry's traces", function()
    --- What the encoding asks for, of each span of a request; returns them by their ids.
    local function check(text, spans)
      local request = assert(cjson.decode(text))
      assert.equal(1, #request.resourceSpans)
      local scope = request.resourceSpans[1].scopeSpans[1]
      assert.equal("railtracks", scope.scope.name)
      for _, span in ipairs(scope.spans) do
        assert.matches("^%x+$", span.traceId)
        assert.same({ 32, 16 }, { #span.traceId, #span.spanId })
        assert.matches("^%d+$", span.startTimeUnixNano)
        assert.is_true(math.tointeger(span.startTimeUnixNano)
          <= math.tointeger(span.endTimeUnixNano))
        assert.is_true(span.kind == 1 or span.kind == 3)
        assert.is_truthy(({ [0] = true, true, true })[span.status.code or 0])
        assert.is_nil(spans[span.spanId])
        spans[span.spanId] = span
        spans[#spans + 1] = span
      end
      return spans
    end

    it("has a span for each call, whose parent is its caller's", function()
      local by_id, count = recorded()
      local spans = check(export "otlp", {})
      assert.equal(count, #spans)
      local function id_of(span)
        for _, attribute in ipairs(span.attributes) do
          if attribute.key == "railtracks.call" then return attribute.value.stringValue end
        end
      end
      for _, span in ipairs(spans) do
        local call = by_id[id_of(span)]
        assert.equal(call.node, span.name)
        assert.equal(text_of(call.parent),
          span.parentSpanId and id_of(spans[span.parentSpanId]) or "")
        assert.equal(call.status == "failed" and 2 or call.status == "done" and 1 or nil,
          span.status.code)
        if call.status == "failed" then
          assert.equal("boom, \"x\"\n", span.status.message)
          assert.equal("exception", span.events[1].name)
        end
      end
    end)

    it("is posted to a collector, which may be busy first", helper.in_run(function()
      local bodies, answers = {}, { "503 Busy", "200 OK" }
      local server <close> = rt.net.listen("127.0.0.1", 0, function(connection)
        for line in connection:lines() do
          local size
          for header in connection:lines() do
            if header == "" then break end
            size = tonumber(header:lower():match "^content%-length: (%d+)") or size
          end
          bodies[#bodies + 1] = { line = line, body = connection:read(size) }
          connection:write(("HTTP/1.1 %s\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}")
            :format(table.remove(answers, 1) or "200 OK"))
        end
      end)
      local done = rt.process.run { helper.program, "export", "@1", "--format", "otlp", "--to",
        ("http://127.0.0.1:%d"):format(server.port),
        env = { RAILTRACKS_JOURNAL = place.journal } }
      assert.same({ 0, "", "" }, { done.code, done.stdout, done.stderr })
      assert.equal(2, #bodies)
      assert.equal("POST /v1/traces HTTP/1.1", bodies[1].line)
      assert.equal(bodies[1].body, bodies[2].body)
      assert.equal(select(2, recorded()), #check(bodies[2].body, {}))
    end))

    it("says why it cannot be posted", function()
      local _, said, status = place:run { "export", "@1", "--format", "otlp", "--to", "host" }
      assert.same({ "railtracks: export: --to: expected a URL that begins with http:// or "
        .. "https://, got 'host'\n", 1 }, { said, status })
    end)
  end)

  for words, message in pairs {
    [{ "@1" }] = "export: which format%?",
    [{ "--format", "json" }] = "export: which run%?",
    [{ "@1", "--format", "xml" }] = "export: %-%-format wants otlp, perfetto, "
      .. "mermaid, json or csv, got 'xml'",
    [{ "@1", "--format", "csv", "--to", "http://x" }] = "export: %-%-to is for %-%-format otlp",
  } do
    it("refuses: " .. table.concat(words, " "), function()
      local output, said, status = place:run { "export", table.unpack(words) }
      assert.same({ "", 2 }, { output, status })
      assert.matches("^railtracks: " .. message .. "; see 'railtracks help export'\n$", said)
    end)
  end

  it("says which run there is not", function()
    local output, said, status = place:run { "export", "@99", "--format", "json" }
    assert.same({ "", 1 }, { output, status })
    assert.matches("@99", said)
  end)
end)
