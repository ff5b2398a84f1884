--- The program's command line: what to do, and the exit status of having done it.

local core = require "railtracks.core"
local host = require "railtracks.host"

local OK, FAILED, USAGE = 0, 1, 2
local NOBODY_READS = 128 + 13 -- as a shell tells of who dies of SIGPIPE

local help = require "railtracks.help"

local function complain(format, ...)
  io.stderr:write("railtracks: ", format:format(...), "\n")
  return USAGE
end

-- Options -------------------------------------------------------------------------------

local units = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 }

local function size(text)
  local number, unit = text:upper():match("^(%d+)([KMGT]?)I?B?$")
  number = math.tointeger(tonumber(number))
  if not number or number > math.maxinteger // units[unit] then return nil end
  return number * units[unit]
end

local function count(text)
  local number = text:match("^%d+$") and math.tointeger(tonumber(text))
  return number
end

local ages = { s = 1, m = 60, h = 3600, d = 86400, w = 7 * 86400 }

local function age(given)
  local number, unit = given:match "^(%d+)([smhdw])$"
  number = math.tointeger(tonumber(number))
  return number and number < 1000000000 and number * ages[unit] or nil
end

--- More than nothing of what `read` reads.
local function positive(read)
  return function(given)
    local number = read(given)
    return number and number > 0 and number or nil
  end
end

local function decimal(text)
  return (text:match("^%d+%.?%d*$") or text:match("^%.%d+$")) and tonumber(text)
end

local function text(value) return value end

local levels = { debug = true, info = true, warning = true, error = true, none = true }

--- How an option's value is read, and what is said when it cannot be.
local kinds = {
  flag = {},
  text = { read = text },
  count = { read = count, wants = "a whole number" },
  threads = {
    read = function(given)
      local number = count(given)
      return number and number > 0 and number <= 1024 and number or nil
    end,
    wants = "a whole number of threads from 1 to 1024",
  },
  port = {
    read = function(given)
      local number = count(given)
      return number and number <= 65535 and number or nil
    end,
    wants = "a number up to 65535",
  },
  size = { read = size, wants = "a size such as 65536, 64K or 2G" },
  some = { read = positive(size), wants = "a size such as 65536, 64K or 2G, not 0" },
  grace = { read = decimal, wants = "a number of seconds such as 5 or 0.5" },
  level = {
    read = function(given) return levels[given] and given or nil end,
    wants = "debug, info, warning, error or none",
  },
  format = {
    read = function(given) return (given == "text" or given == "json") and given or nil end,
    wants = "text or json",
  },
  number = { read = positive(count), wants = "a whole number, not 0" },
  age = { read = age, wants = "an age such as 90s, 15m, 12h, 30d or 8w" },
  exported = {
    read = function(given) return require "railtracks.export".formats[given] and given end,
    wants = "otlp, perfetto, mermaid, json or csv",
  },
  seconds = { read = positive(decimal), wants = "a number of seconds such as 5 or 0.5, not 0" },
}

local log_options = {
  ["--log-level"] = "level", ["--log-file"] = "text", ["--log-format"] = "format",
  ["--log-max"] = "size",
}

local function with_log_options(options)
  for name, kind in pairs(log_options) do options[name] = kind end
  return options
end

local options_of = {
  attach = { ["--no-history"] = "flag" },
  repl = with_log_options {
    ["--no-history"] = "flag", ["--journal"] = "text", ["--journal-max"] = "size",
    ["--record-limit"] = "size", ["--grace"] = "grace", ["--memory-limit"] = "some",
    ["--workers"] = "threads",
  },
  run = with_log_options {
    ["-e"] = "text", ["--journal"] = "text", ["--journal-max"] = "size",
    ["--record-limit"] = "size", ["--timeout"] = "seconds", ["--grace"] = "grace",
    ["--slice-limit"] = "seconds", ["--memory-limit"] = "some", ["--workers"] = "threads",
    ["--console"] = "text", ["--progress"] = "flag", ["--metrics"] = "port",
  },
  export = {
    ["--format"] = "exported", ["--to"] = "text", ["--live"] = "flag", ["--journal"] = "text",
  },
  runs = {
    ["--json"] = "flag", ["--all"] = "flag", ["--limit"] = "count", ["--journal"] = "text",
  },
  stats = { ["--json"] = "flag", ["--runs"] = "number", ["--journal"] = "text" },
  diff = { ["--all"] = "flag", ["--limit"] = "count", ["--journal"] = "text" },
  prune = { ["--older"] = "age", ["--keep"] = "count", ["--journal"] = "text" },
  show = {
    ["--follow"] = "flag", ["--failed"] = "flag", ["--node"] = "text", ["--slowest"] = "number",
    ["--depth"] = "count",
    ["--json"] = "flag", ["--all"] = "flag", ["--limit"] = "count", ["--journal"] = "text",
  },
  top = { ["--journal"] = "text" },
  view = {
    ["--port"] = "port", ["--host"] = "text", ["--open"] = "flag", ["--journal"] = "text",
  },
}

--- Reads the options from `args[at]` on. Returns them by name without dashes, and the
--- place of the first word that is none; or nil and what is wrong.
local function read_options(command, args, at)
  local known, found = options_of[command], {}
  while args[at] and args[at]:sub(1, 1) == "-" and args[at] ~= "-" do
    local word = args[at]
    at = at + 1
    if word == "--" then break end
    local name, value = word:match("^(%-%-[^=]+)=(.*)$")
    name = name or word
    if name == "--help" or name == "-h" then return { help = true }, at end
    local kind = known[name]
    if not kind then return nil, ("%s: there is no option %s"):format(command, name) end
    if kind == "flag" then
      if value then return nil, ("%s: %s takes no value"):format(command, name) end
      value = true
    else
      if not value then
        value, at = args[at], at + 1
        if not value then return nil, ("%s: %s wants a value"):format(command, name) end
      end
      local given = value
      value = kinds[kind].read(given)
      if value == nil then
        return nil, ("%s: %s wants %s, got '%s'"):format(command, name, kinds[kind].wants, given)
      end
    end
    found[name:gsub("^%-+", ""):gsub("-", "_")] = value
    if name == "-e" then break end -- as in lua: what follows the code are its arguments
  end
  return found, at
end

--- The same where options may also stand behind words. Returns the options and the list
--- of words, at most `most` of them.
local function read_options_and_words(command, args, at, most)
  local options, words = {}, {}
  repeat
    local found, next_at = read_options(command, args, at)
    if not found then return nil, next_at end
    for name, value in pairs(found) do options[name] = value end
    words[#words + 1] = args[next_at]
    at = next_at + 1
  until at > #args
  if #words > most then
    return nil, ("%s: what is '%s' to mean?"):format(command, words[most + 1])
  end
  return options, words
end

-- run -----------------------------------------------------------------------------------

local function see_help(command) return ("see 'railtracks help %s'"):format(command) end

--- The chunk to run, its name and its path; or nil and what is wrong.
local function load_script(file)
  if file == "-" then
    local source = io.read("a")
    local chunk, problem = load((source:gsub("^#[^\n]*", "")), "=stdin")
    return chunk, chunk and "stdin" or problem
  end
  local handle, problem = io.open(file, "rb")
  if not handle then return nil, "cannot open " .. problem end
  local source, why = handle:read("a") -- once: it may be a pipe
  handle:close()
  if not source then return nil, ("cannot read %s: %s"):format(file, why) end
  local chunk
  chunk, problem = load((source:gsub("^#[^\n]*", "")), "@" .. file)
  return chunk, chunk and file:match("[^/]+$") or problem, file
end

--- `arg` as lua sets it: the script at 0, its arguments from 1 on, what stood before at
--- negative places.
local function set_arg(args, script_at)
  arg = {} -- luacheck: ignore 121
  for i = 0, #args do arg[i - script_at] = args[i] end
end

--- What `require` finds in the script's folder.
local function lead_package_path(path)
  local folder = path:match("^(.*/)[^/]*$") or "./"
  package.path = folder .. "?.lua;" .. folder .. "?/init.lua;" .. package.path
end

--- Returns what is wrong, or nil.
local function configure(options)
  core.configure {
    journal = options.journal, journal_max = options.journal_max,
    record_limit = options.record_limit, timeout = options.timeout, grace = options.grace,
    slice_limit = options.slice_limit, memory_limit = options.memory_limit,
    workers = options.workers,
  }
  return core.set_log(options.log_level, options.log_format, options.log_file, options.log_max)
end

local function report_failure(problem, trace)
  local ok, message = pcall(tostring, problem)
  if not ok then message = "the run failed with an error that cannot be shown" end
  io.stderr:write("railtracks: ", message, "\n", trace, trace ~= "" and "\n" or "")
  local seed = core.seed()
  if seed then io.stderr:write(("railtracks: seed %d\n"):format(seed)) end
end

--- The exit status of the program whose run has ended so: "told" is a failure that has been
--- reported.
local function exit_status(status, trace, problem)
  host.flush()
  local lost, why = core.lost()
  if lost > 0 then
    io.stderr:write(("railtracks: error: %d calls were not recorded: %s\n"):format(lost, why))
  end
  if core.exit_code() then return core.exit_code() end
  local signal = host.signal()
  if status == "cancelled" and signal then return 128 + signal end
  if status == "told" then return FAILED end
  if status ~= "done" then
    report_failure(problem, trace)
    return FAILED
  end
  return lost > 0 and FAILED or OK
end

--- Reports what went wrong, and returns the status of that.
local function tell(message)
  io.stderr:write("railtracks: ", message, "\n")
  return FAILED
end

--- Lets others of the same user attach at the socket. Returns what is wrong, or nil.
local function open_console(path)
  local ok, problem = pcall(require "railtracks.console".listen, path, function(fd)
    return require "railtracks.repl.serve"(fd)
  end)
  if not ok then return type(problem) == "table" and problem.message or problem end
end

--- Answers at the port, where one is given, until it is closed. Returns the server, or nil;
--- and what is wrong, or nil.
local function open_metrics(port)
  if not port then return nil end
  local ok, server = pcall(host.metrics, port)
  if not ok then return nil, server end
  if port == 0 then io.stderr:write("railtracks: metrics: ", server:address(), "metrics\n") end
  return server
end

local commands = {}

function commands.run(args, at)
  local options, first = read_options("run", args, at)
  if not options then return complain("%s; %s", first, see_help "run") end
  if options.help then return commands.help({ "help", "run" }, 2) end
  local chunk, name, path
  if options.e then
    set_arg(args, first - 1)
    local problem
    chunk, problem = load(options.e, "=(command line)")
    if not chunk then return complain("%s", problem) end
    name = "(command line)"
  else
    if not args[first] then return complain("run: which script? %s", see_help "run") end
    chunk, name, path = load_script(args[first])
    if not chunk then return complain("%s", name) end
    set_arg(args, first)
    if path then lead_package_path(path) end
    first = first + 1
  end

  local wrong = configure(options)
  if wrong then return tell("run: " .. wrong) end
  host.catch_signals()
  if options.console then
    local problem = open_console(options.console)
    if problem then return tell("run: --console: " .. problem) end
  end
  local metrics <close>, refused = open_metrics(options.metrics)
  if refused then return tell("run: --metrics: " .. refused) end
  local progress = options.progress and require "railtracks.progress"()
  local status, trace, problem = core.run_script(name, path, chunk, table.unpack(args, first))
  if progress then progress:finish() end
  if metrics then metrics:close() end
  if options.console then require "railtracks.console".unlisten() end
  return exit_status(status, trace, problem)
end

-- attach --------------------------------------------------------------------------------

function commands.attach(args, at)
  local options, words = read_options_and_words("attach", args, at, 1)
  if not options then return complain("%s; %s", words, see_help "attach") end
  if options.help then return commands.help({ "help", "attach" }, 2) end
  if not words[1] then return complain("attach: to which socket? %s", see_help "attach") end
  core.configure { journal = "none" }
  local terminal = host.terminal(0) ~= nil
  host.catch_signals(terminal)
  return exit_status(require "railtracks.repl.attach" {
    path = words[1], history = not options.no_history, terminal = terminal,
  })
end

-- repl ----------------------------------------------------------------------------------

function commands.repl(args, at)
  local options, first = read_options("repl", args, at)
  if not options then return complain("%s; %s", first, see_help "repl") end
  if options.help then return commands.help({ "help", "repl" }, 2) end
  local script
  if args[first] then
    local chunk, name, path = load_script(args[first])
    if not chunk then return complain("%s", name) end
    set_arg(args, first)
    if path then lead_package_path(path) end
    script = { path = args[first], chunk = chunk, args = table.pack(table.unpack(args, first + 1)) }
  end
  local wrong = configure(options)
  if wrong then return tell("repl: " .. wrong) end
  local terminal = host.terminal(0) ~= nil
  host.catch_signals(terminal)
  return exit_status(require "railtracks.repl" {
    script = script, history = not options.no_history, terminal = terminal,
  })
end

-- runs, show ----------------------------------------------------------------------------

local function nothing_to_read(command)
  return complain("%s: there is nothing to read in the journal 'none'", command)
end

--- Sets what the terminal is like.
local function dress(options)
  local width = host.terminal(1)
  options.width = width
  options.colour = width and os.getenv "TERM" ~= "dumb" and (os.getenv "NO_COLOR" or "") == ""
end

--- Calls `use(reader, options, words)`; `most` is how many words there may be.
local function with_journal(command, args, at, most, use)
  local options, words = read_options_and_words(command, args, at, most)
  if not options then return complain("%s; %s", words, see_help(command)) end
  if options.help then return commands.help({ "help", command }, 2) end
  if options.journal == "none" then
    return nothing_to_read(command)
  end
  core.configure { journal = options.journal }
  host.die_of_pipe()
  dress(options)
  if options.all then options.limit = math.maxinteger end
  local path = core.journal_path()
  if not path then return nothing_to_read(command) end

  local journal = require "railtracks.journal"
  local ok, problem = pcall(function()
    local reader <close> = journal.open(path)
    use(reader, options, words)
  end)
  if not ok then
    io.stdout:flush()
    local message = type(problem) == "table" and problem.message or tostring(problem)
    io.stderr:write("railtracks: ", message, "\n")
    return FAILED
  end
  return OK
end

local function out(piece) io.stdout:write(piece) end

function commands.runs(args, at)
  return with_journal("runs", args, at, 0, function(reader, options)
    if not options.json then options.limit = options.limit or 50 end
    require("railtracks.show").runs(reader, options, out)
  end)
end

--- Calls `use(path, name, options)` where what another process records is followed: it may
--- wait, and returns how that has ended, and whether because nobody reads on.
local function while_it_comes(command, options, name, use)
  if options.journal == "none" then return nothing_to_read(command) end
  core.configure { journal = options.journal }
  local path = core.journal_path()
  if not path then return nothing_to_read(command) end
  core.configure { journal = "none" } -- for what is done here
  dress(options)
  host.catch_signals()
  local ok, status, trace, problem, nobody_reads = pcall(use, path, name, options)
  if ok and nobody_reads then return NOBODY_READS end
  if ok then return exit_status(status, trace, problem) end
  return tell(type(status) == "table" and status.message or tostring(status))
end

function commands.show(args, at)
  local given = read_options_and_words("show", args, at, 1)
  local unfit = given and given.follow and (given.slowest and "--slowest"
    or given.limit and "--limit")
  if unfit then
    return complain("show: --follow and %s do not go together; %s", unfit, see_help "show")
  end
  local nobody_reads
  local status = with_journal("show", args, at, 1, function(reader, options, words)
    local run = words[1] or "@1"
    if not options.follow then return require "railtracks.show".run(reader, run, options, out) end
    nobody_reads = require "railtracks.follow"(reader, run, options, out)
  end)
  return nobody_reads and NOBODY_READS or status
end

function commands.top(args, at)
  local options, words = read_options_and_words("top", args, at, 1)
  if not options then return complain("%s; %s", words, see_help "top") end
  if options.help then return commands.help({ "help", "top" }, 2) end
  return while_it_comes("top", options, words[1], require "railtracks.top")
end

function commands.stats(args, at)
  local given, names = read_options_and_words("stats", args, at, math.maxinteger)
  if given and given.runs and names[1] then
    return complain("stats: --runs or names of runs, not both; %s", see_help "stats")
  end
  return with_journal("stats", args, at, math.maxinteger, function(reader, options, words)
    require "railtracks.stats"(reader, words, options, out)
  end)
end

function commands.diff(args, at)
  local given, names = read_options_and_words("diff", args, at, 2)
  if given and not given.help and not names[2] then
    return complain("diff: which two runs? %s", see_help "diff")
  end
  local differs
  local status = with_journal("diff", args, at, 2, function(reader, options, words)
    differs = require "railtracks.diff"(reader, words, options, out)
  end)
  return differs and FAILED or status
end

function commands.prune(args, at)
  local given = read_options_and_words("prune", args, at, 0)
  if given and not (given.help or given.older or given.keep) then
    return complain("prune: --older or --keep is needed; %s", see_help "prune")
  end
  return with_journal("prune", args, at, 0, function(reader, options)
    reader:close()
    require "railtracks.prune"(core.journal_path(), options, out)
  end)
end

function commands.export(args, at)
  local options, words = read_options_and_words("export", args, at, 1)
  local wrong = not options and words
    or not options.help and (not options.format and "export: which format?"
      or not words[1] and "export: which run?"
      or options.to and options.format ~= "otlp" and "export: --to is for --format otlp"
      or options.live and options.format ~= "otlp" and "export: --live is for --format otlp")
  if wrong then return complain("%s; %s", wrong, see_help "export") end
  if options.live and not options.help then
    return while_it_comes("export", options, words[1], require "railtracks.export.live")
  end
  local rejected
  local status = with_journal("export", args, at, 1, function(reader)
    local export = require "railtracks.export"
    local source = export.source(reader, words[1])
    if not options.to then return export.formats[options.format](source, out) end
    rejected = require "railtracks.export.post"(source, options.to)
  end)
  return rejected and FAILED or status
end

function commands.view(args, at)
  local options, words = read_options_and_words("view", args, at, 0)
  if not options then return complain("%s; %s", words, see_help "view") end
  if options.help then return commands.help({ "help", "view" }, 2) end
  core.configure { journal = options.journal }
  local path = options.journal ~= "none" and core.journal_path()
  if not path then return nothing_to_read "view" end
  return require "railtracks.view"(path, options)
end

-- version, help -------------------------------------------------------------------------

commands["new-plugin"] = function(args, at)
  if args[at] == "--help" or args[at] == "-h" then
    return commands.help({ "help", "new-plugin" }, 2)
  end
  if not args[at] or args[at]:sub(1, 1) == "-" then
    return complain("new-plugin: which folder? %s", see_help "new-plugin")
  elseif args[at + 1] then
    return complain("new-plugin: what is '%s' to mean?", args[at + 1])
  end
  local paths, problem = require "railtracks.new_plugin"(args[at])
  if not paths then
    io.stderr:write("railtracks: new-plugin: ", problem, "\n")
    return FAILED
  end
  for _, path in ipairs(paths) do io.write(path, "\n") end
  return OK
end

function commands.version(args, at)
  if args[at] == "--help" or args[at] == "-h" then
    return commands.help({ "help", "version" }, 2)
  end
  if args[at] then return complain("version: what is '%s' to mean?", args[at]) end
  io.write(("railtracks %s (%s)\n"):format(core.version, _VERSION))
  return OK
end

function commands.help(args, at)
  local command = args[at]
  if command and not help[command] then
    return complain("help: there is no command %s", command)
  elseif args[at + 1] then
    return complain("help: what is '%s' to mean?", args[at + 1])
  end
  io.write(command and help[command] or help[""])
  return OK
end

--- Does what the arguments say, and returns the exit status.
local function obey(args)
  local command = args[1]
  if command == nil then
    return commands.repl(args, 1)
  elseif command == "-h" or command == "--help" then
    return commands.help(args, 2)
  elseif command == "-v" or command == "--version" then
    return commands.version(args, 2)
  elseif commands[command] then
    return commands[command](args, 2)
  elseif command:find("%.lua$") or command == "-" or options_of.run[command:match("^[^=]+")] then
    return commands.run(args, 1)
  end
  return complain("there is no command %s; see 'railtracks help'", command)
end

--- The program, as `args` say (`args[0]` is its name). Returns the exit status: no success
--- where what was written did not arrive.
return function(args)
  local status = obey(args)
  local problem, nobody_reads = host.flush()
  if not problem then return status end
  if nobody_reads then return status == OK and NOBODY_READS or status end
  io.stderr:write("railtracks: cannot write to standard output: ", problem, "\n")
  return status == OK and FAILED or status
end
