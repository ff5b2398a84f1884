--- What the specs share: tests inside a run, nodes that many want, temporary folders, running
-- the program, short waits, reading what was recorded.

local busted = require "busted"
local rt = require "railtracks"
local testing = require "railtracks.testing"

local helper = {}

helper.program = os.getenv "RT_PROGRAM" or "build/railtracks"
helper.build = os.getenv "RT_BUILD" or "build"

--- The body of a test as a run, in which every assertion may be made and which must leave
--- nothing behind: `it("...", in_run(function() ... end))`. Options as of testing.run.
helper.in_run = testing.task

--- For what is itself about tasks that run first come, first served.
helper.unshuffled = { seed = false }

--- Gives way once, then returns what it was given.
function helper.sleepy(...)
  rt.sleep(0)
  return ...
end

--- Sleeps until it is cancelled.
function helper.sleeper() rt.sleep(3600) end

--- A function that raises `value`.
function helper.fail_with(value)
  return function() error(value, 0) end
end

--- What is to be closed by calling `fn`: `local guard <close> = closing(fn)`.
function helper.closing(fn) return setmetatable({}, { __close = fn }) end

--- Chance that is the same in every run of the specs: a function of `n` that returns one of
--- 1 .. n.
function helper.generator(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % n + 1
  end
end

--- The error of kind usage that `fn(...)` has to raise, as text.
function helper.refusal(fn, ...)
  local ok, err = pcall(fn, ...)
  busted.assert.is_false(ok)
  busted.assert.equal("usage", rt.kind(err))
  return tostring(err)
end

--- Such a function for errors of another kind: it returns the error.
function helper.failing(kind)
  return function(fn, ...)
    local ok, err = pcall(fn, ...)
    busted.assert.is_false(ok)
    busted.assert.equal(kind, rt.kind(err), tostring(err))
    return err
  end
end

--- How many descriptors this process has open.
function helper.descriptors()
  local count, all = 0, rt.uv.fs_scandir "/proc/self/fd"
  while rt.uv.fs_scandir_next(all) do count = count + 1 end
  return count
end

--- The plugin of nodes that call others, and those: give_back, waits, raises. `passers` names
--- what asks on the loop, by a handle from another thread, and answers from there as well.
function helper.asking()
  rt.load(helper.build .. "/plugins/odd.so")
  rt.function_node("give_back", function(...) return ... end)
  rt.function_node("waits", function(seconds, ...)
    rt.sleep(seconds)
    return ...
  end)
  rt.function_node("raises", function(value) error(value, 0) end)
  return rt.load(helper.build .. "/plugins/asking.so"),
    { "pass", "pass_later", "pass_there", "there_and_back" }
end

--- A text as one word of the shell.
function helper.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local bases = { "/tmp", "/dev/shm", "/var/tmp" }

--- The first place for folders that no journal is found from.
local function base()
  for _, path in ipairs(bases) do
    if os.execute(("test -w %s -a ! -e %s/.railtracks"):format(path, path)) then return path end
  end
  error "there is a .railtracks in each place for temporary folders: remove it"
end

--- A new folder; remove it with `helper.remove`.
function helper.folder()
  local pipe <close> = assert(io.popen("mktemp -d -p " .. base()))
  return pipe:read("l")
end

function helper.remove(folder)
  local path = folder:match "^(.+)/tmp%.%w+$"
  assert(path == bases[1] or path == bases[2] or path == bases[3], folder)
  os.execute("rm -rf " .. helper.quote(folder))
end

--- A new folder that goes when it is closed: `local folder <close> = helper.temporary()`.
function helper.temporary()
  local path = helper.folder()
  return setmetatable({ path = path }, { __close = function() helper.remove(path) end })
end

--- Gives each test of the `describe` it stands in a new folder, which goes when the test is
--- over: `use(folder, journal)` is told its path and that of a journal to be made there.
function helper.each_in_folder(use)
  local folder
  busted.before_each(function()
    folder = helper.folder()
    use(folder, folder .. "/journal.db")
  end)
  busted.after_each(function() helper.remove(folder) end)
end

function helper.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function helper.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

--- Runs a shell command. Returns what it wrote to standard output and standard error, and
--- its exit status (128 + number after a signal).
function helper.shell(command)
  local errors = os.tmpname()
  local pipe = assert(io.popen("( " .. command .. " ) 2>" .. errors, "r"))
  local output = pipe:read("a")
  local _, how, status = pipe:close()
  local said = helper.read(errors)
  os.remove(errors)
  return output, said, how == "signal" and 128 + status or status
end

--- Runs the program with these words as its arguments; `options.input` is its standard
--- input, `options.env` what stands before the command, `options.cd` where it runs.
function helper.run(words, options)
  options = options or {}
  local line = {}
  if options.cd then line[#line + 1] = "cd " .. helper.quote(options.cd) .. " &&" end
  if options.env then line[#line + 1] = options.env end
  line[#line + 1] = helper.quote(options.program or helper.program)
  for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
  local input
  if options.input then
    input = os.tmpname()
    helper.write(input, options.input)
    line[#line + 1] = "<" .. input
  else
    line[#line + 1] = "</dev/null"
  end
  local output, said, status = helper.shell(table.concat(line, " "))
  if input then os.remove(input) end
  return output, said, status
end

--- Runs stock Lua, which finds the built module; words and options as in `helper.run`.
function helper.stock(words, options)
  local given = { program = os.getenv "RT_LUA" or "lua5.4" }
  for key, value in pairs(options or {}) do given[key] = value end
  return helper.run(words, given)
end

--- Looks every 20 ms whether `condition` has come true, and returns what it returned.
function helper.wait_for(what, condition)
  for _ = 1, 3000 do
    local result = condition()
    if result then return result end
    os.execute "sleep 0.02"
  end
  error("waited a minute for " .. what, 2)
end

function helper.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local process = {}
process.__index = process

--- Starts the program and does not wait for it. Words and options as in `helper.run`; of
--- the signals none is ignored, as it would be in a shell's background. What is returned
--- has `pid`, `output`, `errors` and `folder` (the files it writes to and where they are),
--- `kill(signal)`, `wait()` -> output, errors, status, and is to be closed.
function helper.start(words, options)
  options = options or {}
  local folder = helper.folder()
  local self = setmetatable({
    folder = folder, output = folder .. "/output", errors = folder .. "/errors",
  }, process)
  local line = { "env --default-signal=INT,TERM,HUP,PIPE", options.env or "",
    helper.quote(options.program or helper.program) }
  for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
  os.execute(([[cd %s; ( %s </dev/null >%s 2>%s & echo $! >%s/pid.new; mv %s/pid.new %s/pid
    wait $!; echo $? >%s/status.new; mv %s/status.new %s/status ) >/dev/null 2>&1 &]]):format(
    helper.quote(options.cd or "."), table.concat(line, " "), self.output, self.errors,
    folder, folder, folder, folder, folder, folder))
  helper.wait_for("the process to start", function() return helper.exists(folder .. "/pid") end)
  self.pid = tonumber(helper.read(folder .. "/pid"))
  return self
end

function process:kill(signal) os.execute(("kill -%s %d 2>/dev/null"):format(signal, self.pid)) end

--- Presses Ctrl-C twice, each time it was waited for in vain, and waits for the end.
function process:kill_twice()
  local pressed = 0
  helper.wait_for("the process to end", function()
    if pressed < 2 then self:kill "INT" end
    pressed = pressed + 1
    return self:over()
  end)
  return self:wait()
end

function process:over() return helper.exists(self.folder .. "/status") end

function process:wait()
  helper.wait_for("process " .. self.pid, function() return self:over() end)
  return helper.read(self.output), helper.read(self.errors),
    tonumber(helper.read(self.folder .. "/status"))
end

local function wait_for_text(self, file, text)
  helper.wait_for(text, function()
    if self:over() then return true end
    return helper.exists(file) and helper.read(file):find(text, 1, true)
  end)
  assert(helper.read(file):find(text, 1, true), helper.read(self.errors))
end

--- Waits until the process has written `text` to its standard output.
function process:wait_for_output(text) wait_for_text(self, self.output, text) end

--- Waits until it has written `text` to its standard error.
function process:wait_for_errors(text) wait_for_text(self, self.errors, text) end

function process:__close()
  if not self:over() then
    self:kill "KILL"
    self:wait()
  end
  helper.remove(self.folder)
end

local workplace = {}
workplace.__index = workplace

--- A new folder to run the program in, with a journal of its own there: `folder`, `journal`,
--- `write(name, text)`, `run(words, options)` and `start(words, options)` as in `helper`,
--- `remove()`.
function helper.workplace()
  local folder = helper.folder()
  return setmetatable({ folder = folder, journal = folder .. "/journal.db" }, workplace)
end

function workplace:write(name, text) return helper.write(self.folder .. "/" .. name, text) end

local function there(self, options)
  local given = { cd = self.folder, env = "RAILTRACKS_JOURNAL=" .. self.journal }
  for key, value in pairs(options or {}) do given[key] = value end
  return given
end

function workplace:run(words, options) return helper.run(words, there(self, options)) end

function workplace:start(words, options) return helper.start(words, there(self, options)) end

function workplace:remove() helper.remove(self.folder) end

--- What an SQL query finds in a journal, as text: columns divided by '|'.
function helper.sql(journal, query)
  local output, said, status = helper.shell(
    ("sqlite3 -cmd '.timeout 10000' %s %s"):format(helper.quote(journal), helper.quote(query)))
  if status ~= 0 then error(said, 2) end
  return (output:gsub("\n$", ""))
end

--- Locks a journal as another program does that writes it; returns what unlocks it.
function helper.hold(journal)
  local folder = journal:match "^(.*)/"
  os.execute("mkfifo " .. folder .. "/fifo")
  os.execute(("( sqlite3 %s <%s/fifo >%s/held 2>&1 ) &"):format(journal, folder, folder))
  local pipe = assert(io.open(folder .. "/fifo", "w"))
  pipe:write(".timeout 10000\nBEGIN IMMEDIATE;\nSELECT 'held';\n")
  pipe:flush()
  helper.wait_for("the lock", function()
    return helper.exists(folder .. "/held") and helper.read(folder .. "/held") ~= ""
  end)
  return function()
    pipe:write("COMMIT;\n")
    pipe:close()
  end
end

--- A recorded run as `railtracks show RUN --json` tells it, with its calls by id in `by_id`
--- and the text itself in `text`.
function helper.recorded(journal, run)
  local words = { "show", "--json", "--journal", journal, run }
  local text, said, status = helper.run(words)
  if status ~= 0 then error(said, 2) end
  local json = require("cjson").new()
  json.decode_max_depth(100000)
  local found = json.decode(text)
  found.text, found.by_id = text, {}
  for _, call in ipairs(found.calls) do found.by_id[call.id] = call end
  return found
end

--- Runs a text as `script.lua` in a folder, with its journal there, and returns what was
--- recorded of it, as `helper.recorded` does, with what it wrote in `output` and `said`.
--- `options` are further words for `railtracks run`; `options.status` is the exit status
--- that it must have, 0 unless given; `options.env` is as in `helper.run`.
function helper.record(folder, text, options)
  options = options or {}
  local journal = folder .. "/journal.db"
  helper.write(folder .. "/script.lua", "local rt = require 'railtracks'; " .. text)
  local words = { "run", "--journal", journal }
  table.move(options, 1, #options, #words + 1, words)
  words[#words + 1] = "script.lua"
  local output, said, status = helper.run(words, { cd = folder, env = options.env })
  busted.assert.equal(options.status or 0, status, said)
  local found = helper.recorded(journal, "@1")
  found.output, found.said = output, said
  return found
end

return helper
