--- The commands: what begins with a colon.

local near = require "railtracks.repl.near"

local commands = {}

--- By name: what follows it, what it does in a few words, how that is to be used, what Tab
--- completes behind it, and the module that does it.
local list = {
  nodes = { "", "the nodes there are", "Lists the nodes with their parameters.", nil, "live" },
  doc = { "NAME", "what is known of a function or node",
    "Tells the parameters of a function or node, what its author says of it, and where it was\n"
    .. "defined. NAME may be a path: rt.call, string.format, Task:await.", "names", "live" },
  tasks = { "", "what runs, for how long, and what it waits for",
    "Shows every call that has not ended, each below its caller: id, node, age, and what it\n"
    .. "waits for.", nil, "live" },
  cancel = { "ID [REASON]", "cancels a call and all below it",
    "Cancels the call with that id, as :tasks shows it, and all below it. It cleans up first.\n"
    .. "Where two runs have a call of that id, RUN/ID says which: the end of the run's id.",
    "calls", "live" },
  tree = { "[RUN|CALL]", "the calls of the last line, or of any run",
    "Shows the calls of the last line as a tree, with ids and times. CALL is the id of a call\n"
    .. "of this session (1.3), RUN a run: @2, the end of its id. RUN/CALL is a part of that.",
    nil, "past" },
  show = { "CALL", "arguments, result and error of a call",
    "Shows all that was recorded of a call: 1.3.1, or @2/1.3.1 of another run.", "calls", "past" },
  again = { "CALL [CHANGES]", "calls a recorded node again",
    "Calls the node of that call again, with the arguments that were recorded. CHANGES are\n"
    .. "written as in a table: \"other\" (the first argument), [2] = 5, or a parameter's name:\n"
    .. ":again 1.3.1 limit = 10", "calls", "past" },
  runs = { "[N]", "the recorded runs, newest first", "Lists the newest 20 recorded runs, or N.",
    nil, "past" },
  time = { "EXPR", "how long it takes: many runs, the median",
    "Runs what follows again and again for about half a second, and tells the median.",
    "names", "measure" },
  profile = { "EXPR", "where the time of its calls went",
    "Runs what follows once, and tells for each node how often it was called, how long its\n"
    .. "calls took, and how much of that was their own: not spent in calls below them.",
    "names", "measure" },
  edit = { "", "writes the next line in $EDITOR",
    "Opens the last line in $VISUAL or $EDITOR, and runs what was written there.", nil, "files" },
  save = { "FILE", "the lines that worked, as a script",
    "Writes the lines that worked into a script that runs. :save! overwrites a file.",
    "files", "files" },
  load = { "FILE", "runs a script here",
    "Runs a script as a line of this session: its globals and nodes are there.", "files",
    "files" },
  reload = { "", "runs the loaded scripts again",
    "Runs the scripts again that were loaded, and the modules of theirs whose files have\n"
    .. "changed. Variables keep their values.", nil, "files" },
  help = { "[COMMAND]", "how a command is used", "Says how a command is used.", "commands" },
  quit = { "", "leaves, as Ctrl-D does",
    "Leaves. What still runs is cancelled, and told of.", nil },
}

local order = { "nodes", "doc", "tasks", "cancel", "tree", "show", "again", "runs", "time",
  "profile", "edit", "save", "load", "reload", "help", "quit" }

commands.list = {}
for name, entry in pairs(list) do
  commands.list[name] = { name = name, usage = entry[1], brief = entry[2], text = entry[3],
    completes = entry[4], module = entry[5] }
end

--- What `help` prints: ten lines.
local WELCOME = [[
Type Lua: an expression shows its value, a statement runs. Every line may wait.
  rt.call(node, ...)      calls a node or function, and waits; rt.spawn does not
  task:await()            waits for what was spawned; rt.gather, rt.map for many
  rt.function_node(n, f)  makes a node; :load FILE brings those of a script
_ is the last value, _1 _2 ... are earlier ones, _err is the last error.
Tab completes, Ctrl-R searches, Alt-Enter adds a row, Ctrl-C stops a line.
:nodes  :doc NAME         what there is, and how it is called
:tasks  :cancel ID        what runs behind the prompt
:tree  :show  :again      what the last line has called: all of it is recorded
:help lists all commands, :help COMMAND explains one; :quit or Ctrl-D leaves
]]

local function usage_of(command)
  return (":%s %s"):format(command.name, command.usage):gsub("%s+$", "")
end

local function help(session, rest)
  local name = rest:match("^:?(%a+)%s*$")
  if rest == "" then
    for _, each in ipairs(order) do
      session.out(("%-24s %s\n"):format(usage_of(commands.list[each]), commands.list[each].brief))
    end
    return true
  end
  local command = name and commands.list[name]
  if not command then return commands.unknown(session, name or rest) end
  session.out(usage_of(command) .. "\n" .. command.text .. "\n")
  return true
end

--- Tells that there is no such command.
function commands.unknown(session, name)
  local nearest = near.nearest(name, commands.list)
  session:show_problem(("there is no command :%s"):format(name), "",
    nearest and ("did you mean :%s?"):format(nearest) or ":help lists them")
  session.problem = "there is no command :" .. name
  return false
end

--- Says what a command wants, and returns false.
function commands.complain(session, format, ...)
  local message = format:format(...)
  session.problem = message
  session:show_problem(message, "")
  return false
end

--- Does what a line that begins with a colon says. Returns whether it went well.
function commands.run(session, source)
  local name, bang, rest = source:match("^%s*:(%a+)(!?)%s*(.-)%s*$")
  if name == "help" then return help(session, rest) end
  if name == "quit" then
    session.left = true
    return true
  end
  local command = commands.list[name]
  if not command then return commands.unknown(session, name) end
  local module = require("railtracks.repl." .. command.module)
  return module[name](session, rest, bang == "!")
end

--- A word that stands alone and is no variable: help, quit, exit.
function commands.word(session, word)
  if word == "help" then
    session.out(WELCOME)
    return true
  end
  session.left = true
  return true
end

return commands
