local helper = require "spec.helper"

describe("the command", function()
  local place

  before_each(function()
    place = helper.workplace()
    place:write("flow.lua", [[
      local rt = require "railtracks"
      local words = require "words"
      -- Makes words of a text,
      -- one after the other.
      local split = rt.function_node("split_text", function(text)
        rt.sleep(0.002)
        return words.of(text)
      end)
      local upper = rt.function_node { name = "upper", description = "Makes it loud",
        params = { { name = "word", type = "string", description = "what to make loud" },
          { name = "mark", type = "string", optional = true } },
        run = function(word, mark) return word:upper() .. (mark or "") end }
      rt.function_node("loud", function(text)
        return table.concat(rt.map(upper, rt.call(split, text)), " ")
      end)
      rt.function_node("fails", function(what) error(what .. " failed") end)
      loads = (loads or 0) + 1
    ]])
    place:write("words.lua", [[
      return { of = function(text)
        local list = {}
        for word in text:gmatch "%S+" do list[#list + 1] = word end
        return list
      end }
    ]])
  end)
  after_each(function() place:remove() end)

  --- What the lines print after flow.lua was loaded. All must go well.
  local function typed(lines, options)
    options = options or {}
    options.input = lines
    local output, said, status = place:run({ "repl", "flow.lua" }, options)
    assert.equal("", said)
    assert.equal(0, status)
    return output
  end

  --- What is said of lines of which the last one fails.
  local function refused(lines)
    local _, said, status = place:run({ "repl", "flow.lua" }, { input = lines })
    assert.equal(1, status)
    return (said:gsub("^railtracks: ", ""))
  end

  it("help is a word, too, and tells in ten lines how to begin", function()
    local text = typed "help"
    assert.equal(10, select(2, text:gsub("\n", "\n")))
    for line in text:gmatch("[^\n]+") do assert.is_true(#line <= 80, line) end
    assert.matches("rt%.call%(node", text)
    assert.equal("5\n", typed "help = 5\nhelp")
  end)

  it(":help lists all commands, and explains each", function()
    local text = typed ":help"
    for command in ([[nodes doc tasks cancel tree show again runs time profile edit save load
      reload help quit]]):gmatch "%a+" do
      assert.matches("\n:" .. command, "\n" .. text)
      assert.matches("^:" .. command .. "[^\n]*\n.+\n", typed(":help " .. command))
      assert.matches("^:" .. command, typed(":help :" .. command))
    end
  end)

  it("that does not exist is told, with the nearest", function()
    assert.equal("there is no command :taks\nhint: did you mean :tasks?\n", refused ":taks")
    assert.equal("there is no command :xyzzy\nhint: :help lists them\n", refused ":xyzzy")
    assert.matches("did you mean :profile%?", refused ":help profil")
  end)

  it(":nodes lists the nodes with their parameters", function()
    assert.equal([[
fails(what)
loud(text)
split_text(text)
upper(word: string, mark: string?)  Makes it loud
]], typed ":nodes")
    local output = place:run({}, { input = ":nodes" })
    assert.matches("^no nodes: ", output)
  end)

  describe(":doc", function()
    it("tells of a node its parameters, what it does, and where it is", function()
      assert.equal([[
Node upper(word: string, mark: string?)
Makes it loud
  word  what to make loud
defined at flow.lua:12
]], typed ":doc upper")
      assert.equal([[
Node split_text(text)
Makes words of a text,
one after the other.
defined at flow.lua:5
]], typed ":doc split_text")
    end)

    it("tells of rt's functions, of methods, of Lua's own", function()
      local text = typed ":doc rt.gather"
      assert.matches("^rt%.gather%(tasks%)\nWaits for all tasks%.", text)
      assert.matches("\n  returns table results", text)
      assert.matches("^rt%.fs%.read%(path%)\n", typed ":doc rt.fs.read")
      assert.matches("^Task:await%(%)\nWaits for the call to end%.", typed ":doc Task:await")
      assert.equal("string.format(formatstring, ...)\n", typed ":doc string.format")
      assert.matches("^rt%.call%(node, %.%.%.%)", typed "local c = rt.call\n:doc c")
    end)

    it("tells of a function of one's own what stands above it", function()
      assert.equal("twice(n)\nTwo times n.\ndefined at stdin:2\n",
        (typed("-- Two times n.\nfunction twice(n) return 2 * n end\n:doc twice")
          :gsub("\ndefined", "\nTwo times n.\ndefined", 1)))
      assert.matches("^words_of%(text%)\ndefined at ./words.lua:1\n$",
        typed "words_of = require('words').of\n:doc words_of")
    end)

    it("tells of another value what it is", function()
      assert.equal("loads is a number: 1\n", typed ":doc loads")
    end)

    it("has a guess where nothing is known", function()
      assert.equal("nothing is known of uper\nhint: did you mean upper?\n", refused ":doc uper")
      assert.equal("nothing is known of rt.gahter\nhint: did you mean rt.gather?\n",
        refused ":doc rt.gahter")
      assert.matches("^doc: of what", refused ":doc")
    end)
  end)

  describe(":tasks", function()
    it("shows what runs, below its caller, how long and waiting for what", function()
      local text = typed [[
ch = rt.channel()
job = rt.spawn(function() rt.call(function() ch:receive() end) end)
:tasks
ch:send(1)]]
      assert.matches("^1%.3  line  .-  waits for its children  job = rt%.spawn", text)
      assert.matches("\n  1%.3%.1  stdin:2  .-  waits for its turn\n", text)
      text = typed [[
ch = rt.channel()
job = rt.spawn(function() rt.call(function() ch:receive() end) end)
rt.sleep(0.001)
:tasks
ch:send(1)]]
      assert.matches("\n  1%.3%.1  stdin:2  %d[%d.]* %S+  waits for call 1%.3%.1%.1 ", text)
      assert.matches("\n    1%.3%.1%.1  stdin:2  .-  waits for channel:receive on channel 1", text)
    end)

    it("says so when nothing runs", function()
      assert.equal("nothing runs\n", typed ":tasks")
    end)

    it("shows the runs that are awaited, and what awaits them", function()
      local text = typed [[
job = rt.spawn(function() rt.run(function() rt.sleep(0.05) end) end)
rt.sleep(0.001)
:tasks]]
      assert.matches("\nrun %x+ %(stdin:1, awaited by 1%.2%.1%)\n1  stdin:1  .-  waits for sleep",
        text)
    end)

    it("is not swamped by very many", function()
      local text = typed [[
ch, jobs = rt.channel(), {}
for i = 1, 5000 do jobs[i] = rt.spawn(ch.receive, ch) end
:tasks
ch:close()]]
      assert.matches("\n… 4,802 more\n$", text)
    end)
  end)

  describe(":cancel", function()
    it("cancels a call and what is below it", function()
      local text = typed [[
job = rt.spawn(function() local c <close> = setmetatable({}, { __close = print }) rt.sleep(9) end)
rt.sleep(0.001)
:cancel 1.2.1 no more
pcall(job.await, job)
job:status()]]
      assert.matches("\ncancelled 1%.2%.1 %(stdin:1%)\n", "\n" .. text)
      assert.matches("no more", text)
      assert.matches('\n"cancelled"\n$', text)
    end)

    it("tells that there is no such call, or that it has to say which", function()
      assert.equal("cancel: no call 1.99 runs; :tasks shows those that do\n",
        refused ":cancel 1.99")
      assert.matches("^cancel: which call", refused ":cancel")
      assert.matches("^cancel: that is this session", refused ":cancel 1")
      local said = refused [[
job = rt.spawn(function() rt.run(function() rt.call(rt.sleep, 1) end) end)
rt.call(function() rt.sleep(0.001) end)
other = rt.spawn(function() rt.run(function() rt.call(rt.sleep, 1) end) end)
rt.sleep(0.001)
:cancel 1.1]]
      assert.matches("^cancel: which of them%? %x+/1%.1, %x+/1%.1\n", said)
    end)
  end)

  describe(":tree", function()
    it("shows the calls of the last line, with ids and times", function()
      local text = typed "loud 'a b'\n:tree"
      assert.matches("\n *[%d.]+ %S+  ✓ 1%.2 line%(\"loud 'a b'\"%) → \"A B\"\n", text)
      assert.matches("\n[^\n]*ms    ✓ 1%.2%.1 loud%(\"a b\"%) → \"A B\"\n", text)
      assert.matches("✓ 1%.2%.1%.1 split_text%(\"a b\"%) → %[\"a\",\"b\"%]\n", text)
      assert.matches("✓ 1%.2%.1%.3 upper%(\"b\"%) → \"B\"\n$", text)
    end)

    it("shows a part, and other runs", function()
      typed "loud 'x'"
      assert.matches("^ *[%d.]+ %S+  ✓ 1%.2%.1%.1 split_text[^\n]*\n$",
        (typed("loud 'a'\n:tree 1.2.1.1"):gsub('^"A"\n', "")))
      assert.matches("\n[^\n]*✓ 1%.2 line%(\"loud 'x'\"%)", typed ":tree @3" )
      assert.matches("^[^\n]*✓ 1%.2%.1 loud%(\"x\"%)", typed ":tree @4/1.2.1")
    end)

    it("shows what still runs as running, and what has failed", function()
      local text = typed "job = rt.spawn(rt.sleep, 0.3)\nrt.sleep(0.01)\n:tree 1.2"
      assert.matches("▸ 1%.2 line.*▸ 1%.2%.1 railtracks%.sleep%(0%.3%)", text)
      text = typed "pcall(rt.nodes.fails, 'it')\n:tree"
      assert.matches("✗ 1%.2%.1 fails%(\"it\"%)\n *flow.lua:%d+: it failed\n", text)
    end)

    it("is the same where nothing is written to a file", function()
      local text = typed("loud 'a b'\n:tree\n:tree @1\n:show 1.2.1",
        { env = "RAILTRACKS_JOURNAL=none" })
      assert.matches("✓ 1%.2%.1%.3 upper%(\"b\"%) → \"B\"\n", text)
      assert.matches("▸ 1 repl%(%)\n", text)
      assert.matches("\narguments:\n  \"a b\"\n", text)
    end)

    it("says what it does not find", function()
      assert.equal("tree: no call 1.7 is recorded\n", refused ":tree 1.7")
      assert.matches("^tree: .*@99", refused ":tree @99")
    end)
  end)

  describe(":show", function()
    it("shows arguments and results, to be read", function()
      local text = typed [[
rt.call(rt.function_node("swap", function(a, b) return b, a end), { 1, 2.0 }, "x")
:show 1.2.1]]
      assert.matches("\n1%.2%.1  swap  done  .-  called at stdin:1\n", text)
      assert.matches("\narguments:\n  {1, 2.0}\n  \"x\"\nresults:\n  \"x\"\n  {1, 2.0}\n$", text)
    end)

    it("shows an error with its traceback", function()
      local text = typed "pcall(rt.nodes.fails, 'it')\n:show 1.2.1"
      assert.matches("\n1%.2%.1  fails  failed", text)
      assert.matches("\nerror: flow.lua:%d+: it failed\nstack traceback:\n", text)
    end)

    it("refuses what is no call", function()
      assert.matches("^show: which call", refused ":show")
      assert.matches("^show: loud is no id", refused ":show loud")
      assert.equal("show: no call 1.9 is recorded\n", refused ":show 1.9")
    end)
  end)

  describe(":again", function()
    it("calls the node again with the arguments that were recorded", function()
      assert.equal('"A B"\n"A B"\n', typed "loud 'a b'\n:again 1.2.1")
      assert.equal('"A!"\n"A!"\n', typed "upper('a', '!')\n:again 1.2.1")
    end)

    it("with changes, by place and by name", function()
      assert.equal('"A!"\n"B!"\n', typed "upper('a', '!')\n:again 1.2.1 'b'")
      assert.equal('"A!"\n"A?"\n', typed "upper('a', '!')\n:again 1.2.1 [2] = '?'")
      assert.equal('"A!"\n"A?"\n', typed "upper('a', '!')\n:again 1.2.1 mark = '?'")
      assert.equal('"A"\n"A*"\n', typed "upper('a')\nlocal m = '*'\n:again 1.2.1 mark = m"
        :gsub("\n\n", "\n"))
    end)

    it("with a call of another run, in another session", function()
      typed "upper('from before')"
      assert.equal('"FROM BEFORE"\n', typed ":again @2/1.2.1")
    end)

    it("has integers, floats, bytes and nils as they were", function()
      assert.equal("integer\tfloat\t2\tnil\t3\n", (typed([[
n = rt.function_node("kinds", function(...)
  local a, b, c, d = ...
  print(math.type(a), math.type(b), #c, d, select("#", ...) - 1)
end)
pcall(n, 1, 1.0, "\xff\0", nil)
:again 1.3.1]]):match("\n(.*)$") or ""):gsub("true\n", ""))
    end)

    it("refuses what cannot be called again, and says why", function()
      assert.matches("^again: there is no node gone here", refused [[
n = rt.function_node("gone", function() end)
n()
rt.nodes.gone = nil
:again 1.3.1]])
      assert.matches("plain functions cannot be found again",
        refused "rt.call(function() end)\n:again 1.2.1")
      assert.matches("^again: argument 1 was recorded as <function>: give another",
        refused "pcall(rt.nodes.upper, print)\n:again 1.2.1")
      assert.matches("^again: upper has no parameter 'loudness'",
        refused "upper 'a'\n:again 1.2.1 loudness = 1")
      assert.matches("^again: its arguments are not recorded", refused [[
n = rt.function_node("secret", function() end, { record = "none" })
n(1)
:again 1.3.1]])
    end)

    it("fails as the call does", function()
      assert.matches("^flow.lua:%d+: it failed\n",
        refused "pcall(rt.nodes.fails, 'it')\n:again 1.2.1")
    end)
  end)

  it(":runs lists the recorded runs", function()
    typed "1"
    local text = typed ":runs"
    assert.matches("^RUN .*\n%x+ +running .* repl\n%x+ +done .* repl\n$", text)
    assert.equal(2, select(2, typed(":runs 1"):gsub("\n%x+ ", "\n")) + 1)
    assert.matches("^runs: how many", refused ":runs many")
  end)

  describe(":time", function()
    it("runs it many times, and tells the median", function()
      assert.matches("^[%d.]+ %S+, the median of %d+ times [%d,]+ runs %(fastest [%d.]+ %S+, "
        .. "slowest [%d.]+ %S+%)\n$", typed ":time 1 + 1")
      assert.matches("^%d+[%d.]* ms, the median of %d+ runs", typed ":time rt.sleep(0.05)")
      assert.matches("^[%d.]+ %S+, the median", typed ":time for i = 1, 10 do end")
      assert.matches("^[%d.]+ %S+, the median", typed "local x = 5\n:time x * 2")
    end)

    it("refuses what is no Lua, and shows what fails", function()
      assert.matches("^time: stdin:1: syntax error near 'x'", refused ":time x x")
      assert.matches("^time: of what", refused ":time")
      assert.matches("boom", refused ":time error 'boom'")
    end)
  end)

  it(":profile tells where the time of the calls went", function()
    local text = typed [[
rt.function_node("naps", function() rt.sleep(0.02) end)
rt.function_node("outer", function() rt.call(rt.nodes.naps) rt.call(rt.nodes.naps) return 7 end)
:profile outer()]]
    assert.matches("\n7\n +OWN  SHARE +TOTAL +CALLS  NODE\n", "\n" .. text)
    assert.matches("CALLS  NODE\n +[%d.]+ %S+ +%d+%% +[%d.]+ %S+ +2  naps\n", text)
    assert.matches("\n +[%d.]+ %S+ +%d+%% +[%d.]+ %S+ +1  outer\n", text)
  end)

  describe(":save", function()
    it("writes the lines that worked, as a script that runs", function()
      typed([[
local x = 20
local function add(n) x = x + n return x end
add(1)
_ * 2
_1 + _
result = loud("it runs")
n = rt.function_node("later", function() return add(5) end)
later()
print(_, result)
:save saved.lua]] .. "\n")
      local output, said, status = place:run { "run", "saved.lua" }
      assert.equal("", said)
      assert.equal("26\tIT RUNS\n", output)
      assert.equal(0, status)
    end)

    it("leaves out what has failed, and commands", function()
      local text = typed [[
pcall(error)
x = 1
:nodes
:save saved.lua]]
      assert.matches("wrote 3 lines to saved.lua\n$", text)
      assert.is_nil(helper.read(place.folder .. "/saved.lua"):find(":nodes", 1, true))
    end)

    it("does not overwrite a file, unless told to", function()
      place:write("there.lua", "-- mine")
      assert.equal("save: there.lua is there already; :save! overwrites it\n",
        refused "x = 1\n:save there.lua")
      assert.matches("wrote 2 lines", typed "x = 1\n:save! there.lua")
      assert.matches("^save: .*[Nn]o such file", refused ":save nowhere/x.lua")
      assert.matches("^save: to which file", refused ":save")
    end)

    it("knows what to do with more locals than a function can have", function()
      local lines = {}
      for i = 1, 250 do lines[i] = ("local v%d = %d"):format(i, i) end
      typed(table.concat(lines, "\n") .. "\nprint(v1 + v250)\n:save saved.lua")
      assert.equal("251\n", (place:run { "run", "saved.lua" }))
    end)
  end)

  describe(":load", function()
    it("brings the globals and the nodes of a script", function()
      place:write("more.lua", "more = 'globals' require('railtracks').function_node('extra', "
        .. "function() return 'a node' end)")
      assert.equal('"globals"\n"a node"\n', typed ":load more.lua\nmore\nextra()")
    end)

    it("lets it wait", function()
      place:write("slow.lua", "require('railtracks').sleep(0.001) slow = true")
      assert.equal("true\n", typed ":load slow.lua\nslow")
    end)

    it("tells what is wrong with it", function()
      assert.matches("^load: cannot open nowhere.lua", refused ":load nowhere.lua")
      place:write("broken.lua", "x x")
      assert.matches("^load: broken.lua:1: syntax error", refused ":load broken.lua")
      place:write("fails.lua", "error 'early'")
      assert.matches("^fails.lua:1: early", refused ":load fails.lua")
      assert.matches("^load: which file", refused ":load")
    end)
  end)

  describe(":reload", function()
    it("runs the scripts again, and keeps variables", function()
      local text = typed [[
mine = "kept"
local also = 5
file = io.open("flow.lua", "a")
file:write("\nrt.nodes.upper = nil function fresh() return 'new' end")
file:close()
:reload
fresh(), mine, also, loads]]
      assert.matches('\n"new"\t"kept"\t5\t2\n$', text)
      assert.matches("loaded flow.lua\n", text)
    end)

    it("has modules whose files have changed anew, others as they are", function()
      local text = typed [[
loud "a b"
changed = "return { of = function() return { 'changed' } end }"
file = io.open("words.lua", "w") file:write(changed)
file:close()
:reload
loud "a b"]]
      assert.matches('^"A B"\n', text)
      assert.matches("loaded flow.lua, with words\n\"CHANGED\"\n$", text)
    end)

    it("says that there is nothing to load", function()
      local _, said = place:run({}, { input = ":reload" })
      assert.matches("no script was loaded", said)
    end)
  end)

  it(":quit leaves, and what follows is not run", function()
    assert.equal("1\n", typed "print(1)\n:quit\nprint(2)")
    assert.equal("1\n", typed "print(1)\nquit\nprint(2)")
  end)
end)

describe("a mistake", function()
  --- What is hinted at.
  local function hint(line, before)
    local _, said, status = helper.run({}, { env = "RAILTRACKS_JOURNAL=none",
      input = (before and before .. "\n" or "") .. line .. "\n" })
    assert.equal(1, status)
    return said:match("\nhint: (.*)\n$") or said
  end

  local nodes = "n = rt.function_node('load_page', function(url) return url end)"

  it("such as await x gets the answer what to type", function()
    assert.matches("rt%.call%(node, %.%.%.%) calls and waits", hint "await x")
    assert.matches("task:await%(%)", hint "local x = await f()")
    assert.matches("task:await%(%)", hint "await(f)")
  end)

  it('such as rt.call("name") does, too', function()
    assert.equal('a node is called by the node itself: rt.call(rt.nodes["load_page"], ...)',
      hint("rt.call('load_page', 1)", nodes))
    assert.equal('a node is called by the node itself: rt.spawn(rt.nodes["load_page"], ...)',
      hint("rt.spawn('load_pgae')", nodes))
    assert.matches('none is named "other"; where a script defines it, :load SCRIPT comes first$',
      hint("rt.call('other')", nodes))
  end)

  it("such as rt:call(node) does", function()
    assert.equal("write rt.call with a dot: rt.call(node, ...)", hint("rt:call(n)", nodes))
    assert.equal("write rt.spawn with a dot: rt.spawn(node, ...)", hint("rt:spawn(n)", nodes))
  end)

  it("such as a node whose file is not loaded does", function()
    assert.matches("there is no summarize; where a script defines it, :load SCRIPT comes first",
      hint "summarize('x')")
    assert.matches(":load SCRIPT", hint "rt.call(summarize, 'x')")
  end)

  it("in a name is told with the nearest one", function()
    assert.equal("there is no load_pgae; did you mean load_page?", hint("load_pgae()", nodes))
    assert.equal("did you mean rt.sleep?", hint "rt.slep(1)")
    assert.equal("did you mean string.format?", hint "string.fromat('x')")
    assert.equal("write rt.spawn", hint "spawn(print)")
    assert.equal("a command begins with a colon: :tasks", hint "tasks()")
    assert.matches("a task has been started already: task:await", hint "rt.call(rt.spawn(print))")
  end)

  for typed, wanted in pairs {
    ["x += 1"] = "write x = x %+ 1", ["x++"] = "write x = x %+ 1", ["if x != 1 then end"] = "~=",
    ["x = a && b"] = "'and'", ["x = a || b"] = "'or'", ["x = !a"] = "'not'",
    ["let x = 1"] = "'local'", ["const x = 1"] = "'local'", ["var x = 1"] = "'local'",
    ["import json"] = "require \"json\"", ["def f(x):"] = "function f", ["print x"] = "print%(x%)",
    ["f = (x) => x"] = "function%(%.%.%.%)", ["if x = 1 then end"] = "==",
    ["for (i = 0; i < 3; i++)"] = "for i = 1, n do", ["elif x then"] = "elseif",
    ["load flow.lua"] = ":load flow.lua", ["doc rt.call"] = ":doc rt.call",
    ["help rt.call"] = ":doc rt.call", [".help"] = ":help", ["/quit"] = ":quit",
  } do
    it(("such as %s gets an answer"):format(typed), function()
      assert.matches(wanted, hint(typed))
    end)
  end
end)
