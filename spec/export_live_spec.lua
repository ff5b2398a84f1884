local cjson = require "cjson.safe"
local helper = require "spec.helper"
local rt = require "railtracks"

local in_run = helper.in_run

describe("railtracks export --live", function()
  local place

  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  --- The spans of a request, added to `spans`: a list, and by their ids.
  local function take(text, spans)
    local request = assert(cjson.decode(text))
    for _, span in ipairs(request.resourceSpans[1].scopeSpans[1].spans) do
      assert.is_nil(spans[span.spanId], span.name)
      spans[span.spanId] = span
      spans[#spans + 1] = span
    end
    return spans
  end

  --- The spans of requests, one a line, by their ids, and how many requests.
  local function lines(text)
    local spans, count = {}, 0
    for line in text:gmatch "([^\n]*)\n" do
      take(line, spans)
      count = count + 1
    end
    return spans, count
  end

  local function by_id(spans)
    local found = {}
    for _, span in ipairs(spans) do found[span.spanId] = span end
    return found
  end

  local function names(spans)
    local list = {}
    for i, span in ipairs(spans) do list[i] = span.name end
    return table.concat(list, " ")
  end

  --- The same run, exported when it is over.
  local function exported()
    local output, said, status = place:run { "export", "@1", "--format", "otlp" }
    assert.same({ "", 0 }, { said, status })
    return by_id(take(output, {}))
  end

  --- A collector: takes what is posted and gives these answers, and then success, each a table
  --- of `status`, `headers` (lines) and `body`, or a function that is called in place of an
  --- answer. What comes is in `bodies`.
  local function collect(answers)
    local self = { bodies = {} }
    local server = rt.net.listen("127.0.0.1", 0, function(connection)
      for line in connection:lines() do
        assert.equal("POST /v1/traces HTTP/1.1", line)
        local size
        for header in connection:lines() do
          if header == "" then break end
          size = tonumber(header:lower():match "^content%-length: (%d+)") or size
        end
        self.bodies[#self.bodies + 1] = connection:read(size)
        local answer = table.remove(answers, 1) or {}
        if type(answer) == "function" then return answer(connection) end
        local body = answer.body or "{}"
        connection:write(("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(
          answer.status or "200 OK", answer.headers or "", #body, body))
      end
    end)
    self.url = ("http://127.0.0.1:%d"):format(server.port)
    return setmetatable(self, { __close = function() server:close() end })
  end

  --- The words that post the newest run to the collector, as it goes on.
  local function words(collector)
    return { "export", "@1", "--format", "otlp", "--live", "--to", collector.url }
  end

  local function post(collector)
    local command = { helper.program, env = { RAILTRACKS_JOURNAL = place.journal } }
    table.move(words(collector), 1, 7, 2, command)
    local done = rt.process.run(command)
    return done.stdout, done.stderr, done.code
  end

  local function posted(collector)
    local spans = {}
    for _, body in ipairs(collector.bodies) do take(body, spans) end
    return spans
  end

  --- Starts a run that works until the file "go" is there.
  local function begin()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local first = rt.function_node("first", function() return "x" end)
      local second = rt.function_node("second", function() error("no", 0) end)
      local outer = rt.function_node("outer", function()
        first(1)
        print "begun"
        io.stdout:flush()
        repeat rt.sleep(0.01) until io.open "go"
        pcall(second)
      end)
      outer()
    ]])
    local running = place:start { "run", "flow.lua" }
    running:wait_for_output "begun"
    return running
  end

  local function wait_until(condition)
    while not condition() do rt.sleep(0.01) end
  end

  --- A run that has ended, with so many calls.
  local function record(count)
    local _, said, status = place:run { "run", "-e", ([[
      local rt = require "railtracks"
      local leaf = rt.function_node("leaf", function(x) return x end)
      for i = 1, %d do leaf(i) end
    ]]):format(count) }
    assert.same({ "", 0 }, { said, status })
  end

  it("posts calls that have ended while others run, and ends with the run", in_run(function()
    local running <close> = begin()
    local collector <close> = collect {}
    local exporting <close> = place:start(words(collector))
    wait_until(function() return collector.bodies[1] end)
    assert.equal("first", names(posted(collector)))
    assert.is_false(exporting:over())
    place:write("go", "")
    wait_until(function() return exporting:over() end)
    assert.same({ "", "", 0 }, { exporting:wait() })
    assert.equal(0, (select(3, running:wait())))
    local spans = posted(collector)
    assert.equal(4, #spans)
    assert.same(exported(), by_id(spans))
  end))

  it("writes a request a line where no collector is named", function()
    local running <close> = begin()
    local exporting <close> = place:start { "export", "@1", "--format", "otlp", "--live" }
    exporting:wait_for_output '"name":"first"'
    assert.is_false(exporting:over())
    place:write("go", "")
    local output, said, status = exporting:wait()
    assert.same({ "", 0 }, { said, status })
    running:wait()
    assert.same(exported(), by_id((lines(output))))
  end)

  it("sends all of a run that is over, in requests that are not too large", function()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local leaf = rt.function_node("leaf", function(x) return #tostring(x) end)
      local items = {}
      for i = 1, 6000 do items[i] = i end
      rt.map(leaf, items)
      for i = 1, 100 do leaf(("x"):rep(60000)) end
      local task = rt.spawn(rt.sleep, 3600)
      rt.sleep(0.001)
      task:cancel()
    ]])
    assert.equal(0, (select(3, place:run { "run", "flow.lua" })))
    local output, said, status = place:run { "export", "@1", "--format", "otlp", "--live" }
    assert.same({ "", 0 }, { said, status })
    local spans, count = lines(output)
    assert.equal(6102, #spans)
    assert.same(exported(), by_id(spans))
    assert.equal(5, count)
    for line in output:gmatch "[^\n]+" do
      assert.is_true(#line <= (4 << 20) + 10000)
      assert.is_true(#take(line, {}) <= 2000)
    end
  end)

  it("sends what was cut short when the process of the run is killed", in_run(function()
    local running <close> = begin()
    local collector <close> = collect {}
    local exporting <close> = place:start(words(collector))
    -- Its rows are there once it has run for half a second.
    wait_until(function()
      return collector.bodies[1]
        and helper.sql(place.journal, "SELECT count(*) FROM calls") == "3"
    end)
    running:kill "KILL"
    wait_until(function() return exporting:over() end)
    assert.same({ "", "", 0 }, { exporting:wait() })
    local spans = posted(collector)
    assert.equal("first flow.lua outer", names(spans))
    assert.same({ code = 2, message = "interrupted" }, spans[3].status)
    assert.same(exported(), by_id(spans))
    assert.same(exported(), exported())
  end))

  it("waits for a collector that is busy or goes away, and posts the same again", in_run(function()
    record(1)
    local collector <close> = collect {
      { status = "503 Busy", headers = "Retry-After: 0\r\n" }, { status = "502 Bad Gateway" },
      function() end,
    }
    local output, said, status = post(collector)
    assert.same({ "", 0 }, { output, status })
    assert.matches("^railtracks: export: [^\n]*502[^\n]*; trying again for up to 300 s\n$", said)
    assert.equal(4, #collector.bodies)
    for i = 1, 3 do assert.equal(collector.bodies[4], collector.bodies[i]) end
    assert.equal(2, #take(collector.bodies[4], {}))
  end))

  for name, answer in pairs {
    ["that is told it is wrong"] = { status = "400 Bad", says = "400" },
    ["that is to wait too long"] = { status = "429 Slow", headers = "Retry-After: 3600\r\n",
      says = "429" },
    ["that has moved"] = { status = "302 Found", headers = "Location: /other\r\n",
      says = "it answered 302: it has moved to /other" },
  } do
    it("gives up " .. name .. ", and says how far it came", in_run(function()
      record(2500)
      local collector <close> = collect { {}, answer }
      local output, said, status = post(collector)
      assert.same({ "", 1 }, { output, status })
      assert.matches("^railtracks: export: the collector does not take the spans: [^\n]*"
        .. answer.says .. "[^\n]*; it has taken 2000 before\n$", said)
      assert.equal(2, #collector.bodies)
    end))
  end

  it("tells what the collector rejects, once, and fails", in_run(function()
    record(4000)
    local part = { body = '{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too \\u001b"}}' }
    local collector <close> = collect { part, part }
    local output, said, status = post(collector)
    assert.same({ "", 1 }, { output, status })
    assert.equal([[
railtracks: export: the collector has rejected 3 of 2000 spans: too \x1b
railtracks: export: 6 spans were rejected, 3995 taken
]], said)
    assert.equal(3, #collector.bodies)
    local again <close> = collect { part }
    local plain = rt.process.run { helper.program, "export", "@1", "--format", "otlp", "--to",
      again.url, env = { RAILTRACKS_JOURNAL = place.journal } }
    assert.equal(1, plain.code)
    assert.matches("3 spans were rejected, 3998 taken\n$", plain.stderr)
  end))

  it("tells what the collector only warns of", in_run(function()
    record(1)
    local collector <close> = collect { { body = '{"partialSuccess":{"errorMessage":"old"}}' } }
    assert.same({ "", "railtracks: export: the collector says: old\n", 0 }, { post(collector) })
  end))

  it("takes an answer that is no JSON, or other JSON, for success", in_run(function()
    record(1)
    for _, body in ipairs { "", "ok", "[]", "1", '{"partialSuccess":7}', '{"partialSuccess":null}',
      '{"partialSuccess":{"rejectedSpans":[],"errorMessage":{}}}' } do
      local collector <close> = collect { { body = body } }
      assert.same({ "", "", 0 }, { post(collector) }, body)
    end
  end))

  it("ends at Ctrl-C, and the run goes on", in_run(function()
    local running <close> = begin()
    local collector <close> = collect {}
    local exporting <close> = place:start(words(collector))
    wait_until(function() return collector.bodies[1] end)
    exporting:kill "INT"
    wait_until(function() return exporting:over() end)
    assert.same({ "", "", 130 }, { exporting:wait() })
    place:write("go", "")
    assert.equal(0, (select(3, running:wait())))
  end))

  it("ends at Ctrl-C though the collector does not answer", in_run(function()
    record(1)
    local collector <close> = collect { function(connection) connection:read(1) end }
    local exporting <close> = place:start(words(collector))
    wait_until(function() return collector.bodies[1] end)
    exporting:kill "INT"
    wait_until(function() return exporting:over() end)
    assert.same({ "", "", 130 }, { exporting:wait() })
  end))

  it("says that the run has been removed", function()
    local running <close> = begin()
    local exporting <close> = place:start { "export", "@1", "--format", "otlp", "--live" }
    exporting:wait_for_output "first"
    helper.sql(place.journal, "DELETE FROM calls; DELETE FROM runs")
    local _, said, status = exporting:wait()
    assert.matches("^railtracks: run number 1 has been removed from journal [^\n]+; what was sent "
      .. "is not all of it\n$", said)
    assert.equal(1, status)
    running:kill "KILL"
  end)

  it("ends when nobody reads on, though nothing happens", function()
    local running <close> = begin()
    local output, said, status = helper.shell(("bash -c 'RAILTRACKS_JOURNAL=%s timeout 60 %s "
      .. "export @1 --format otlp --live | head -n 1; exit ${PIPESTATUS[0]}'"):format(
      place.journal, helper.quote(helper.program):gsub("'", "'\\''")))
    assert.equal("first", names((lines(output))))
    assert.same({ "", 141 }, { said, status })
    running:kill "KILL"
  end)

  it("says what cannot be", function()
    record(1)
    local function refused(...)
      local output, said, status = place:run { "export", ... }
      assert.equal("", output)
      return said, status
    end
    assert.same({ "railtracks: export: --live is for --format otlp; see 'railtracks help export'\n",
      2 }, { refused("@1", "--format", "csv", "--live") })
    assert.same({ "railtracks: export: there is nothing to read in the journal 'none'\n", 2 },
      { refused("@1", "--format", "otlp", "--live", "--journal", "none") })
    assert.same({ "railtracks: export: --to: expected a URL that begins with http:// or https://, "
      .. "got 'host'\n", 1 }, { refused("@1", "--format", "otlp", "--live", "--to", "host") })
    local said, status = refused("@9", "--format", "otlp", "--live")
    assert.matches("@9", said)
    assert.equal(1, status)
    local missing = place.folder .. "/missing.db"
    said, status = refused("@1", "--format", "otlp", "--live", "--journal", missing)
    assert.matches("missing.db", said)
    assert.equal(1, status)
    assert.is_false(helper.exists(missing))
  end)
end)

describe("a collector that is not there", function()
  it("is tried again for as long as it is waited for, and given up", function()
    local output, said = helper.stock { "-e", [[
      local rt = require "railtracks"
      local collector = require "railtracks.export.collector"
      require "railtracks.testing".run(function()
        local ok, problem = pcall(function()
          collector.new("http://127.0.0.1:1", 300):post("{}", 1)
        end)
        assert(not ok)
        print(rt.kind(problem), problem.message, rt.now() // 1)
      end, { clock = "virtual", timeout = 400 })
    ]] }
    -- After 0.5, 1, 2, 4, 8, 16 and eight times 30 seconds.
    assert.matches("^http\texport: the collector does not take the spans: [^\n]*connect[^\n]*; "
      .. "it has taken 0 before\t271.0\n$", output)
    assert.matches("^railtracks: export: [^\n]*connect[^\n]*; trying again for up to 300 s\n$",
      said)
  end)
end)
