local helper = require "spec.helper"
local terminal = require "spec.terminal"

--- Runs `use(pane)` with the program at its prompt.
local function at_prompt(use, words, options)
  return function()
    local pane <close> = terminal.open(words, options)
    pane:prompt()
    use(pane)
  end
end

describe("a line", function()
  it("is edited with the usual keys", at_prompt(function(pane)
    pane:type "1 + 1"
    pane:press("Left", "BSpace")
    pane:send "- "
    pane:press("C-a")
    pane:send "7 * "
    pane:press "Enter"
    assert.matches("rt> 7 %* 1 %+%- 1\n6\nrt>$", pane:prompt())
  end))

  it("has characters of any width, which are deleted whole", at_prompt(function(pane)
    pane:type "'é日本🚀x'"
    pane:press("Left", "BSpace", "BSpace", "BSpace")
    pane:send "!"
    pane:press "Enter"
    assert.matches("\n\"é日!\"\nrt>$", pane:prompt())
  end))

  it("is UTF-8 where no locale is set", at_prompt(function(pane)
    pane:type "'é日'"
    pane:press("Left", "BSpace", "Enter")
    assert.matches("\n\"é\"\nrt>$", pane:prompt())
  end, {}, { env = "env -u LANG" }))

  it("that is incomplete goes on in the next row", at_prompt(function(pane)
    pane:type "for i = 1, 2 do"
    pane:press "Enter"
    pane:type "print(i)"
    pane:press "Enter"
    pane:type "end"
    pane:press "Enter"
    assert.matches("rt> for i = 1, 2 do\nprint%(i%)\nend\n1\n2\nrt>$", pane:prompt())
  end))

  it("of several rows is edited in all of them", at_prompt(function(pane)
    pane:type "f = function(x)"
    pane:press "Enter"
    pane:type "  return x"
    pane:press "Enter"
    pane:type "end"
    pane:press("Up", "End")
    pane:press("Up", "C-e", "Down")
    pane:press("Up", "Up", "Home")
    pane:press("C-c")
    pane:prompt()
    pane:type "f = function(x)"
    pane:press "Enter"
    pane:type "  return x"
    pane:press "Enter"
    pane:type "  end"
    pane:press "Up"
    for _ = 1, 5 do pane:press "Right" end
    pane:send " * 3"
    pane:press "Enter"
    pane:prompt()
    assert.equal("12", pane:run "f(4)")
  end))

  it("gets another row from Alt-Enter, and an indent from Tab there", at_prompt(function(pane)
    pane:type "x = 1"
    pane:press "M-Enter"
    pane:press "Tab"
    pane:type "y = 2"
    pane:wait("the second row", function(screen) return screen:find("x = 1\n  y = 2$") end)
    pane:press "Enter"
    pane:prompt()
    assert.matches("^1 +2$", pane:run "x, y")
  end))

  it("is wrong where it can never be right, and does not wait for more", at_prompt(function(pane)
    assert.matches("^error: line 1:1: syntax error near 'x'", pane:run "x x")
    assert.matches("^error: line 2:1: unfinished string", pane:run "x = 'abc")
  end))

  it("is drawn anew when the window has another size", at_prompt(function(pane)
    local text = "x = '" .. ("long "):rep(15) .. "'"
    pane:type(text)
    pane:resize(50, 20)
    pane:type " .. 'more'"
    pane:wait("all of it", function(screen)
      return screen:gsub("\n", ""):find(text .. " .. 'more'", 1, true)
    end)
    pane:press "Enter"
    pane:prompt()
    assert.equal("79", pane:run "#x")
    pane:run "t = {} for i = 1, 20 do t[i] = 1000 + i end"
    for line in pane:run("t"):gmatch("[^\n]+") do assert.is_true(#line <= 50, line) end
  end))

  it("stands there once, whatever the sizes the window has had", at_prompt(function(pane)
    local rows = { "x = '短い'", "x = '" .. ("long"):rep(30), "x = [[a\nb\n" .. ("c"):rep(70) }
    for _, text in ipairs(rows) do
      pane:resize(80, 24)
      if text:find "\n" then pane:paste(text) else pane:type(text) end
      for _, size in ipairs { { 50, 24 }, { 70, 24 }, { 40, 24 } } do
        pane:resize(size[1], size[2])
        pane:wait("the text, and nothing of it twice", function(screen)
          local drawn = screen:gsub("[\n ]", ""):match "rt>x=.*$"
          return drawn == "rt>" .. text:gsub("[\n ]", "")
        end)
      end
      pane:press "C-c"
      pane:prompt()
      pane:press "C-l"
    end
  end))
end)

describe("pasted text", function()
  local body = {}
  for i = 1, 298 do body[i] = ("\tx = x + %d"):format(i) end
  local long = "function sum(x)\n" .. table.concat(body, "\n") .. "\n\treturn x\nend"

  it("is a whole function of 300 lines, run by Enter", at_prompt(function(pane)
    pane:paste(long)
    pane:see "return x\nend"
    pane:press "Enter"
    pane:prompt()
    assert.equal(tostring(298 * 299 // 2), pane:run "sum(0)")
  end))

  it("is the same where the terminal sends it as keys", at_prompt(function(pane)
    pane:paste(long .. "\n", true)
    pane:prompt()
    assert.equal(tostring(298 * 299 // 2), pane:run "sum(0)")
  end))

  it("may be many lines, each with its result", at_prompt(function(pane)
    local lines = {}
    for i = 1, 300, 2 do
      lines[i], lines[i + 1] = ("v%d = %d"):format(i, i), ("v%d"):format(i)
    end
    pane:paste(table.concat(lines, "\n"))
    pane:see "v299"
    pane:press "Enter"
    assert.matches("\n295\n297\n299\nrt>$", pane:prompt())
  end))

  it("may be statements with an expression at the end", at_prompt(function(pane)
    pane:paste "local a = 20\nlocal b = 1\n(a + b)\n  * 2"
    pane:press "Enter"
    assert.matches("\n42\nrt>$", pane:prompt())
  end))

  it("stops at the first error, and says that it does", at_prompt(function(pane)
    pane:paste "1\nerror 'here'\nprint 'never'\nx x"
    pane:press "Enter"
    local screen = pane:prompt()
    assert.matches("\n1\nerror: line 2:1: here\n", screen)
    assert.matches("\nthe rest of it %(2 of 4%) was not run\nrt>$", screen)
    assert.is_nil(screen:find("\nnever"))
  end))
end)

describe("the history", function()
  local folder
  before_each(function() folder = helper.folder() end)
  after_each(function() helper.remove(folder) end)

  local function session(use, words, env)
    local pane <close> = terminal.open(words, { folder = folder, env = env })
    pane:prompt()
    use(pane)
    pane:press "C-d"
    assert.equal(0, (pane:wait_for_end()))
  end

  it("is there in the next session, entries of several rows whole", function()
    session(function(pane)
      pane:run "one = 1"
      pane:type "for i = 1, 2 do"
      pane:press "Enter"
      pane:type "  x = 'a\\n'"
      pane:press "Enter"
      pane:type "end"
      pane:press "Enter"
      pane:prompt()
    end)
    session(function(pane)
      pane:press "Up"
      pane:wait("the last entry", function(screen)
        return screen:find("rt> for i = 1, 2 do\n  x = 'a\\n'\nend$")
      end)
      pane:press("Up", "Up", "Up")
      pane:prompt "one = 1"
      pane:press "C-c"
      pane:prompt()
    end)
  end)

  it("is a file that only its user can read", function()
    session(function(pane) pane:run "secret = 1" end)
    assert.equal("secret = 1\n", helper.read(folder .. "/railtracks/history"))
    assert.equal("600 700\n", (helper.shell(("stat -c %%a %s/railtracks/history %s/railtracks")
      :format(folder, folder)):gsub("\n(.)", " %1")))
  end)

  it("leaves out what begins with a blank, and what is typed twice", function()
    session(function(pane)
      pane:run "one = 1"
      pane:run "one = 1"
      pane:run " two = 2"
    end)
    assert.equal("one = 1\n", helper.read(folder .. "/railtracks/history"))
  end)

  it("is searched as one types", function()
    session(function(pane)
      pane:run "needle = 1"
      pane:run "hay = 2"
      pane:press "C-r"
      pane:send "need"
      pane:see "`need': needle = 1"
      pane:press "Enter"
      pane:prompt()
    end)
  end)

  it("is neither read nor written with --no-history", function()
    session(function(pane) pane:run "one = 1" end)
    session(function(pane)
      pane:press "Up"
      pane:run "two = 2"
    end, { "repl", "--no-history" })
    assert.equal("one = 1\n", helper.read(folder .. "/railtracks/history"))
  end)

  it("is done without where its file is a folder, and that is told", function()
    helper.shell("mkdir -p " .. folder .. "/railtracks/history")
    session(function(pane)
      assert.matches("no history: .*[Dd]irectory", pane:screen())
      assert.equal("2", pane:run "1 + 1")
      pane:press "Up"
      pane:prompt "1 + 1"
      pane:press "C-c"
      pane:prompt()
    end)
  end)

  it("is done without where its folder cannot be made, and that is told once", function()
    session(function(pane)
      assert.matches("\nno history: ", pane:screen())
      assert.equal("2", pane:run "1 + 1")
      assert.equal("4", pane:run "2 + 2")
    end, {}, "XDG_STATE_HOME=/dev/null/nowhere")
  end)
end)

describe("Tab", function()
  local function completes(typed, wanted)
    return function(pane)
      pane:type(typed)
      pane:press "Tab"
      pane:prompt(wanted)
      pane:press "C-c"
      pane:prompt()
    end
  end

  it("completes globals, fields, methods, nodes and keywords", at_prompt(function(pane)
    pane:run "settings = { colour = 'red', size = 4 }"
    pane:run "local inner_value = { 1 }"
    pane:run "object = setmetatable({}, { __index = { method_one = function() end } })"
    pane:run "n = rt.function_node('split_words', function(text) return text end)"
    pane:run "task = rt.spawn(rt.sleep, 60)"
    completes("str", "string.")(pane)
    completes("string.fo", "string.format(")(pane)
    completes("x = settings.co", "x = settings.colour")(pane)
    completes("inner_v", "inner_value")(pane)
    completes("object:me", "object:method_one(")(pane)
    completes("split_w", "split_words(")(pane)
    completes("rt.nodes.spl", "rt.nodes.split_words(")(pane)
    completes("rt.nodes['spl", "rt.nodes['split_words'")(pane)
    completes("task:aw", "task:await(")(pane)
    completes("rt.as_", "rt.as_completed(")(pane)
    completes("('x'):upp", "('x'):upper(")(pane)
    completes("retu", "return")(pane)
  end, {}, { height = 50 }))

  it("completes commands, and what they want", at_prompt(function(pane)
    completes(":no", ":nodes")(pane)
    completes(":help prof", ":help profile")(pane)
    completes(":doc string.fo", ":doc string.format(")(pane)
  end))

  it("completes names of files in strings and behind :load", function()
    local folder = helper.folder()
    helper.write(folder .. "/a flow.lua", "x = 1")
    helper.shell("mkdir " .. folder .. "/folder")
    local pane <close> = terminal.open({}, { folder = folder })
    pane:prompt()
    completes("io.open('a f", "io.open('a flow.lua'")(pane)
    completes("io.open('fol", "io.open('folder/")(pane)
    completes(":load a", ":load a flow.lua")(pane)
    pane:close()
    helper.remove(folder)
  end)

  it("lists, pressed twice, what there is, with parameters", at_prompt(function(pane)
    pane:run "function my_one(a, b) end function my_two(...) end"
    pane:type "my_"
    pane:press("Tab", "Tab")
    pane:see "my_one(a, b)  my_two(...)"
    pane:prompt "my_"
    pane:press("C-u")
    pane:type "rt.ga"
    pane:press "Tab"
    pane:prompt "rt.gather("
  end))

  it("tells the parameters of the call that is being typed", at_prompt(function(pane)
    pane:run("n = rt.function_node { name = 'load_page', run = print, description = 'Loads it', "
      .. "params = { { name = 'url', type = 'string' } } }")
    pane:type "load_page("
    pane:press "Tab"
    pane:see "load_page(url: string)  Loads it"
    pane:prompt "load_page("
    pane:press "C-u"
    pane:type "rt.call(load_page, "
    pane:press "Tab"
    pane:wait("it twice", function(screen)
      return select(2, screen:gsub("load_page%(url: string%)  Loads it", "")) == 2
    end)
    pane:press "C-u"
    pane:type "rt.map("
    pane:press "Tab"
    pane:see "rt.map(node, list, options)"
  end))

  it("runs nothing of the user's", at_prompt(function(pane)
    pane:run("trap = setmetatable({}, { __index = function() print 'sprung' end, "
      .. "__pairs = function() print 'sprung' end })")
    pane:type "trap.x.y"
    pane:press("Tab", "Tab")
    pane:type "z"
    assert.is_nil(pane:prompt("trap.x.yz"):find("\nsprung"))
  end))
end)

describe("a terminal", function()
  it("has colours, and none with NO_COLOR", function()
    local pane <close> = terminal.open()
    pane:prompt()
    pane:run "'text'"
    assert.matches('\27%[32m"text"', pane:coloured())
    local plain <close> = terminal.open({}, { env = "NO_COLOR=1" })
    plain:prompt()
    plain:run "'text'"
    assert.is_nil(plain:coloured():find("\27[", 1, true))
  end)

  it("that is dumb gets plain lines, and nothing it does not understand", function()
    local pane <close> = terminal.open({}, { env = "TERM=dumb" })
    pane:prompt()
    assert.equal("2", pane:run "1 + 1")
    pane:type "for i = 1, 2 do"
    pane:press "Enter"
    pane:see "..>"
    pane:type "print(i) end"
    pane:press "Enter"
    assert.matches("\n1\n2\nrt>$", pane:prompt())
    pane:type "t = rt.spawn(function() rt.sleep(0.1) print 'from behind' end)"
    pane:press "Enter"
    pane:see "\nfrom behind\n"
    pane:prompt()
    pane:type "half"
    pane:press "C-c"
    pane:prompt()
    pane:type "print 'it runs' rt.sleep(60)"
    pane:press "Enter"
    pane:see "\nit runs"
    pane:press "C-c"
    assert.matches("cancelled: Ctrl%-C", pane:prompt())
    assert.is_nil(pane:coloured():find("\27[", 1, true))
    pane:press "C-d"
    assert.equal(0, (pane:wait_for_end()))
  end)

  it("does without Readline where that is missing", function()
    local folder = helper.folder()
    helper.shell(("cp %s %s/railtracks"):format(helper.quote(helper.program), folder))
    local pane <close> = terminal.open({}, { program = folder .. "/railtracks",
      env = "LUA_CPATH=" .. folder .. "/?.so" })
    pane:prompt()
    assert.equal("2", pane:run "1 + 1")
    helper.remove(folder)
  end)

  it("is given back while the program is stopped, and taken again", function()
    local pane <close> = terminal.open({}, { command = "env PS1='$ ' sh" })
    pane:see "$"
    pane:type(helper.quote(helper.program))
    pane:press "Enter"
    pane:prompt()
    pane:type "1 + "
    pane:press "C-z"
    pane:see "Stopped"
    pane:type "stty -a | grep -o -e ' -icanon' -e ' icanon'"
    pane:press "Enter"
    pane:see "\n icanon"
    pane:type "fg"
    pane:press "Enter"
    pane:prompt "1 +"
    pane:type "1"
    pane:press "Enter"
    assert.matches("\n2\nrt>$", pane:prompt())
  end)
end)

describe(":edit", function()
  it("opens the last line in the editor, and runs what was written", function()
    local folder = helper.folder()
    local editor = helper.write(folder .. "/editor",
      "#!/bin/sh\nsed -i 's/20/21/' \"$1\"\necho edited\n")
    helper.shell("chmod +x " .. editor)
    local pane <close> = terminal.open({}, { env = "EDITOR=" .. editor })
    pane:prompt()
    pane:run "2 * 20"
    assert.matches("edited\n2 %* 21\n42$", pane:run ":edit")
    helper.remove(folder)
  end)

  it("lets others go on meanwhile, and shows afterwards what they print", function()
    local folder = helper.folder()
    local editor = helper.write(folder .. "/editor",
      ("#!/bin/sh\nuntil [ -e %s/printed ]; do sleep 0.02; done\necho closed\n"):format(folder))
    helper.shell("chmod +x " .. editor)
    local pane <close> = terminal.open({}, { env = "EDITOR=" .. editor })
    pane:prompt()
    pane:run(("t = rt.spawn(function() rt.sleep(0.2) print 'meanwhile' io.open('%s/printed', "
      .. "'w'):close() end)"):format(folder))
    assert.matches("closed\nmeanwhile", pane:run ":edit")
    helper.remove(folder)
  end)

  it("tells where the editor cannot be run", function()
    local pane <close> = terminal.open({}, { env = "VISUAL=/nowhere/editor" })
    pane:prompt()
    assert.matches("error: edit: /nowhere/editor ended with status 127", pane:run ":edit")
  end)
end)
