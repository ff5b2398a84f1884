local helper = require "spec.helper"

describe("the program", function()
  local place, folder, journal

  before_each(function()
    place = helper.workplace()
    folder, journal = place.folder, place.journal
  end)
  after_each(function() place:remove() end)

  local function write(name, text) return place:write(name, text) end

  local napping = [[
    local rt = require "railtracks"
    local closing <close> = setmetatable({}, { __close = function() print "cleaned" end })
    local nap = rt.function_node("nap", function() rt.sleep(60) end)
    rt.map(function(n) return n end, { 1, 2, 3 })
    rt.spawn(nap)
    rt.sleep(0)
    io.write "ready\n"
    io.stdout:flush()
    io.write "buffered\n"
    rt.sleep(60)
  ]]

  for name, status in pairs { INT = 130, TERM = 143, HUP = 129 } do
    describe("on SIG" .. name, function()
      it(("cancels the run, cleans up and exits with %d"):format(status), function()
        local running <close> = helper.start({ "run", "--journal", journal, "-e", napping })
        running:wait_for_output "ready"
        running:kill(name)
        local output, _, got = running:wait()
        assert.equal("ready\nbuffered\ncleaned\n", output)
        assert.equal(status, got)
      end)

      it("records the run as cancelled and every call with it", function()
        local running <close> = helper.start({ "run", "--journal", journal, "-e", napping })
        running:wait_for_output "ready"
        running:kill(name)
        running:wait()
        local found = helper.recorded(journal, "@1")
        assert.equal("cancelled", found.run.status)
        assert.equal(5, found.run.calls)
        local statuses = {}
        for i, call in ipairs(found.calls) do statuses[i] = call.status end
        assert.same({ "cancelled", "done", "done", "done", "cancelled" }, statuses)
        assert.is_number(found.run.ended_at)
      end)
    end)
  end

  it("ends a run that is stuck in C when Ctrl-C is pressed three times", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      io.write "ready\n"
      io.stdout:flush()
      string.find(("a"):rep(40), ("a?"):rep(40) .. ("a"):rep(40)) -- takes for ever
    ]] })
    running:wait_for_output "ready"
    helper.wait_for("the process to end", function()
      running:kill "INT"
      return running:over()
    end)
    assert.equal(130, (select(3, running:wait())))
    assert.equal("interrupted", helper.recorded(journal, "@1").run.status)
  end)

  it("hears SIGTERM in a row of sleeps of no length", function()
    local running <close> = helper.start({ "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      while true do rt.sleep(0) end
    ]] })
    running:wait_for_output "ready"
    running:kill "TERM"
    assert.equal(143, (select(3, running:wait())))
  end)

  it("stops a run that computes without waiting on the second Ctrl-C", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      rt.call(function() while true do pcall(function() while true do end end) end end)
    ]] })
    running:wait_for_output "ready"
    assert.equal(130, (select(3, running:kill_twice())))
    local found = helper.recorded(journal, "@1")
    assert.equal("cancelled", found.run.status)
    assert.equal("cancelled", found.calls[2].status)
  end)

  it("stops one that computes in coroutines of its own, behind Lua's own pcall", function()
    local running <close> = helper.start({ "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      while true do rt.raw.pcall(coroutine.wrap(function() while true do end end)) end
    ]] })
    running:wait_for_output "ready"
    assert.equal(130, (select(3, running:kill_twice())))
  end)

  it("leaves SIGHUP ignored where nohup started it", function()
    local running <close> = helper.start({ "run", "--journal", journal, "-e", [[
      local rt = require "railtracks"
      io.write "ready\n"
      io.stdout:flush()
      local file
      repeat
        rt.sleep(0.005)
        file = io.open(...)
      until file
      print "went on"
    ]], folder .. "/go" }, { env = "nohup" })
    running:wait_for_output "ready"
    running:kill "HUP"
    write("go", "")
    local output, _, status = running:wait()
    assert.equal("ready\nwent on\n", output)
    assert.equal(0, status)
  end)

  it("leaves SIGINT ignored where a shell's background started it", function()
    local output, _, status = helper.shell(([[
      cd %s
      %s run --journal none -e '
        local rt = require "railtracks"
        io.write "ready\n" io.stdout:flush()
        local file
        repeat rt.sleep(0.005) file = io.open "go" until file
        print "went on"' >out &
      until grep -q ready out 2>/dev/null; do sleep 0.02; done
      kill -INT $!
      touch go
      wait $!; status=$?
      cat out
      exit $status
    ]]):format(folder, helper.quote(helper.program)))
    assert.equal("ready\nwent on\n", output)
    assert.equal(0, status)
  end)
end)

describe("Ctrl-C while files, processes, connections and transfers are open", function()
  it("closes all of them, cleans up, and leaves nothing behind", function()
    local running <close> = helper.start { "run", "--journal", "none", "-e", [[
      local rt = require "railtracks"
      local server = rt.net.listen("127.0.0.1", 0, function(connection)
        connection:read_line()
        connection:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        connection:read "a"
      end)
      local url = "http://127.0.0.1:" .. server.port
      local _ <close> = setmetatable({}, { __close = function()
        print(rt.fs.stat("/tmp").type)
      end })
      rt.spawn(function() rt.http.get(url) end)
      rt.spawn(function() rt.process.run { "sleep", "4242" } end)
      rt.spawn(function() for _ in rt.fs.watch("/tmp") do end end)
      for _ in rt.http.stream(url) do
        rt.sleep(0.05)
        print "ready"
        io.stdout:flush()
      end
    ]] }
    running:wait_for_output "ready"
    running:kill "INT"
    local output, said, status = running:wait()
    assert.equal("ready\ndirectory\n", output, said)
    assert.equal(130, status)
    assert.equal("", (helper.shell "pgrep -f '^sleep 4242$' || true"))
  end)
end)
