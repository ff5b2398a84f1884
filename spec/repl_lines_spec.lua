local helper = require "spec.helper"

--- What the program does with lines that come out of a pipe.
local function type_in(lines, options)
  options = options or {}
  options.input = lines
  options.env = options.env or "RAILTRACKS_JOURNAL=none"
  return helper.run(options.words or {}, options)
end

--- The same for lines that must go well: what was printed.
local function results(lines, options)
  local output, said, status = type_in(lines, options)
  assert.equal("", said)
  assert.equal(0, status)
  return output
end

describe("lines without a terminal", function()
  it("are run, and only results are printed", function()
    assert.equal("2\n", results "print(1+1)")
    assert.equal("2\n3\n", results "1+1\n1+2\n")
    assert.equal("2\n", results("1+1", { words = { "repl" } }))
  end)

  it("print the values of an expression, not those of a statement", function()
    assert.equal("1\tnil\t\"a\"\n", results "1, nil, 'a'")
    assert.equal("nil\n", results "nil")
    assert.equal("", results "x = 5\nlocal y = 6\nprint()" :gsub("^\n$", ""))
    assert.equal("5\n", results "return 5")
    assert.equal("5\n", results "= 5")
    assert.equal("", results "(function() end)()")
  end)

  it("may be incomplete: then more lines belong to them", function()
    assert.equal("1\n2\n", results "for i = 1, 2 do\nprint(i)\nend\n")
    assert.equal("3\n", results "1 +\n2")
    assert.equal('"a\\nb"\n', results "[[a\nb]]")
    assert.equal("7\n", results "-- a comment\n\n--[[ one\n that is long ]] 7")
  end)

  it("see the locals of lines before, which functions share", function()
    assert.equal("1\n", results "local x = 1\nx")
    assert.equal("3\n", results [[
local n = 0
local function inc() n = n + 1 end
inc() inc() inc()
n]])
    assert.equal("1\n2\nnil\n", results "local a <const>, b = 1, 2\na\nb\n_G.a")
    assert.equal("3\n", results "local x = 1\nlocal x = x + 2\nx")
    assert.equal("6\n", results [[
local function fac(n) if n == 0 then return 1 end return n * fac(n - 1) end
fac(3)]])
  end)

  it("close what a local of theirs is to close at their end", function()
    assert.equal("in\nclosed\nafter\n", results [[
local t <close> = setmetatable({}, { __close = function() print "closed" end }) print "in"
print "after"]])
  end)

  it("have the last value as _ and earlier ones as _1, _2 ...", function()
    assert.equal("10\n20\n30\n60\n", results "10\n20\n30\n_ + _1 + _2")
    assert.equal("1\t2\n1\n", results "1, 2\n_")
  end)

  it("have the globals that scripts have, and rt", function()
    assert.equal("true\n", results "_ENV == _G")
    assert.equal('"done"\n', results "rt.call(function() rt.sleep(0.001) return 'done' end)")
  end)

  it("may wait, each at its top level", function()
    assert.equal("{1, 4, 9, n = 3}\n", results [[
tasks = {}
for i = 1, 3 do tasks[i] = rt.spawn(function() rt.sleep(0.001 * i) return i * i end) end
rt.gather(tasks)]])
  end)

  it("do not wait for what others have spawned, the program does", function()
    assert.equal("first\nlater\n", results [[
task = rt.spawn(function() rt.sleep(0.05) print "later" end)
print "first"]])
  end)

  it("know a node by its name", function()
    assert.equal('"HI"\n', results [[
local _ = rt.function_node("shout", function(text) return text:upper() end)
shout "hi"]])
  end)

  it("end with status 1 at the first error, which tells the line of the input", function()
    local output, said, status = type_in "print(1)\n\nerror('boom')\nprint(2)"
    assert.equal("1\n", output)
    assert.matches("^railtracks: stdin:3: boom\n", said)
    assert.equal(1, status)
  end)

  it("end with status 1 at a syntax error", function()
    local output, said, status = type_in "print(1)\nx x\nprint(2)"
    assert.equal("1\n", output)
    assert.matches("^railtracks: stdin:2: syntax error near 'x'\n", said)
    assert.equal(1, status)
    output, said, status = type_in "x = 1\nfor i = 1, 2 do\n"
    assert.matches("^railtracks: stdin:2: 'end' expected near <eof>\n",
      said)
    assert.equal("", output)
    assert.equal(1, status)
  end)

  it("end with status 1 where what they have spawned fails behind them", function()
    local output, said, status = type_in [[
task = rt.spawn(function() rt.sleep(0.01) error "late" end)
print "on"]]
    assert.equal("on\n", output)
    assert.matches("late", said)
    assert.equal(1, status)
  end)

  it("show an error with its way through the calls, and nothing of the engine's", function()
    local _, said = type_in [[
function inner() error { code = 5 } end
function outer() rt.call(inner) end
outer()]]
    assert.matches("^railtracks: {code = 5}\nstack traceback:\n", said)
    assert.matches("\n  in call 1%.3%.1 %(stdin:1%), called at stdin:2\n", said)
    assert.matches("in function 'outer'\n", said)
    assert.is_nil(said:find("session", 1, true))
    assert.is_nil(said:find("(line)", 1, true))
    assert.is_nil(said:find("(repl)", 1, true))
  end)

  it("can never end: that is an error of this line", function()
    local _, said, status = type_in "pcall(error)\nrt.channel():receive()"
    assert.matches("^railtracks: deadlock: .*channel:receive", said)
    assert.equal(1, status)
  end)

  it("come as slowly as they want, while others run", function()
    local folder <close> = helper.temporary()
    local done = folder.path .. "/done"
    local output = helper.shell(([[cd /tmp
      { echo 'task = rt.spawn(function() rt.sleep(0.02) io.open(%q, "w"):close() end)'
        until [ -e %s ]; do sleep 0.02; done
        echo 'print "last"'; } | RAILTRACKS_JOURNAL=none %s; rm %s]]):format(
      done, done, helper.quote(helper.program), done))
    assert.equal("last\n", output)
  end)

  it("come from a file, with Windows' line ends, a shebang, no last newline", function()
    assert.equal("1\n2\n", results "#!/usr/bin/env railtracks\r\nprint(1)\r\n2")
    assert.equal("2\n", results "\u{FEFF}1 + 1")
  end)

  it("may be as long as they like", function()
    local body = {}
    for i = 1, 5000 do body[i] = ("  x[%d] = '%s' -- a comment ("):format(i, ("y"):rep(10)) end
    assert.equal("5000\n", results("function fill(x)\n" .. table.concat(body, "\n")
      .. "\nend\nlocal t = {}\nfill(t)\n#t"))
    assert.equal("1000000\n", results("#'" .. ("z"):rep(1000000) .. "'"))
  end)

  it("are none where there is no standard input, which is told", function()
    local output, said, status =
      helper.shell(("RAILTRACKS_JOURNAL=none %s <&-"):format(helper.quote(helper.program)))
    assert.same({ "", "railtracks: cannot read standard input: Bad file descriptor\n", 1 },
      { output, said, status })
  end)

  it("print nothing at all where nothing comes", function()
    assert.equal("", results "")
    assert.equal("", results "\n\n-- nothing\n")
  end)
end)

describe("a session", function()
  local place
  before_each(function() place = helper.workplace() end)
  after_each(function() place:remove() end)

  it("is one run, and each line a call with its text", function()
    place:run({}, { input = "1 + 1\nrt.call(function() return 'x' end)\n" })
    local found = helper.recorded(place.journal, "@1")
    assert.equal("repl", found.run.name)
    assert.equal("done", found.run.status)
    assert.same({ "1 + 1" }, found.by_id["1.1"].args)
    assert.equal("line", found.by_id["1.1"].node)
    assert.same({ 2 }, found.by_id["1.1"].results)
    assert.same({ "x" }, found.by_id["1.2.1"].results)
  end)

  it("fails as a run when a line has failed", function()
    place:run({}, { input = "error 'boom'\n" })
    local found = helper.recorded(place.journal, "@1")
    assert.equal("failed", found.run.status)
    assert.equal("failed", found.by_id["1.1"].status)
  end)

  it("runs a script first, whose globals and nodes are there", function()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local helpers = require "helpers"
      local _ = rt.function_node("double", function(n) return helpers.twice(n) end)
      given = ...
    ]])
    place:write("helpers.lua", "return { twice = function(n) return 2 * n end }")
    local output, said, status = place:run({ "repl", "flow.lua", "7" },
      { input = "double(4)\ngiven\narg[0]\nrt.nodes.double(5)" })
    assert.equal("", said)
    assert.equal('8\n"7"\n"flow.lua"\n10\n', output)
    assert.equal(0, status)
  end)

  it("refuses a script that is not there, or is no Lua", function()
    local _, said, status = place:run { "repl", "nowhere.lua" }
    assert.matches("^railtracks: cannot open nowhere.lua", said)
    assert.equal(2, status)
    place:write("broken.lua", "x x")
    _, said, status = place:run { "repl", "broken.lua" }
    assert.matches("^railtracks: broken.lua:1: syntax error", said)
    assert.equal(2, status)
  end)

  it("ends with status 1 when its script fails", function()
    place:write("fails.lua", "local function f() error 'early' end f()")
    local output, said, status = place:run({ "repl", "fails.lua" }, { input = "print 'never'" })
    assert.equal("", output)
    assert.matches("^railtracks: fails.lua:1: early\nstack traceback:", said)
    assert.equal(1, status)
  end)

  it("ends as a script does where a line calls os.exit", function()
    local output, _, status = place:run({}, { input = "print 'a'\nos.exit(7)\nprint 'b'" })
    assert.equal("a\n", output)
    assert.equal(7, status)
  end)
end)
