--- rt.process: programs, run to their end or talked to meanwhile.
---
--- Each is a call, named "process git log", and the leader of a process group of its own: when
--- the call is cancelled, or left by an error, the whole group is ended.

local check = require "railtracks.check"
local core = require "railtracks.core"
local stream = require "railtracks.stream"
local system = require "railtracks.system"
local uv = require "railtracks.uv"

local MAX_OUTPUT = 64 << 20 -- bytes that rt.process.run keeps, unless said otherwise
local PATIENCE = 2          -- seconds between SIGTERM and SIGKILL; less than the usual grace
local LOOK = 0.01           -- seconds until the first look whether the group is gone

local process = {}

-- Signals -------------------------------------------------------------------------------

local signal_names

local function signal_name(number)
  if not signal_names then
    signal_names = {}
    for name, value in pairs(uv.constants) do
      -- Of several names for one number the usual one.
      if name:find "^SIG" and name ~= "SIGIOT" and name ~= "SIGPOLL" then
        signal_names[value] = name
      end
    end
  end
  return signal_names[number] or "signal " .. number
end

local function signal_number(what, signal)
  local number = math.tointeger(signal)
  if type(signal) == "string" then
    local name = signal:upper()
    number = uv.constants[name:find "^SIG" and name or "SIG" .. name]
  end
  if not number or number < 0 or number > 64 then
    check.usage("%s: argument 1: expected a signal such as 'TERM', got %s", what,
      check.shown(signal))
  end
  return number
end

-- What is given -------------------------------------------------------------------------

local known = {
  cwd = true, env = true, input = true, max_output = true, record = true, shell = true,
  stderr = true, stdin = true, stdout = true, timeout = true,
}
local only_run = { input = true, max_output = true, timeout = true }
local ways = { inherit = true, null = true, pipe = true }

local function words_of(what, options)
  local words = {}
  for i, word in ipairs(options) do
    if type(word) == "number" then word = tostring(word) end
    words[i] = system.check_text(what, "word " .. i, word)
  end
  if not words[1] or words[1] == "" then
    check.usage("%s: expected a program and its arguments, as in { 'git', 'log' }", what)
  end
  if options.shell then
    return { "/bin/sh", "-c", words[1], "sh", table.unpack(words, 2) }
  end
  return words
end

--- The environment with what is given put in, and taken out where that is false.
local function environment(what, given)
  if given == nil then return nil end
  if type(given) ~= "table" then
    check.usage("%s: env: expected a table, got %s", what, check.shown(given))
  end
  local all = uv.os_environ()
  for name, value in pairs(given) do
    if system.check_text(what, "env", name) == "" or name:find("=", 1, true) then
      check.usage("%s: env: expected the name of a variable, got '%s'", what, name)
    end
    if type(value) == "number" then value = tostring(value) end
    if value ~= false then system.check_text(what, "env: " .. name, value) end
    all[name] = value or nil
  end
  local list = {}
  for name, value in pairs(all) do list[#list + 1] = name .. "=" .. value end
  return list
end

--- "process git log": with what looks like a command of the program's.
local function name_of(words, record)
  local name, command = "process " .. (words[1]:match "[^/]+$" or words[1]), words[2]
  if record == "none" or not command or not command:find "^%l[%l-]*$" or #command > 16 then
    return name
  end
  return name .. " " .. command
end

local function check_way(what, options, field, default)
  local way = options[field]
  if way == nil then return default end
  if not (ways[way] or field == "stderr" and way == "stdout") then
    check.usage("%s: %s: expected 'pipe', 'inherit'%s 'null', got %s", what, field,
      field == "stderr" and ", 'stdout' or" or " or", check.shown(way))
  end
  return way
end

local function definition(what, options)
  if type(options) ~= "table" then
    check.usage("%s: expected a table such as { 'git', 'log' }, got %s", what, type(options))
  end
  local run = what == "process.run"
  for key in pairs(options) do
    if math.type(key) ~= "integer" and (not known[key] or only_run[key] and not run) then
      check.usage("%s: there is no option '%s'", what, tostring(key))
    end
  end
  local words = words_of(what, options)
  local d = {
    what = what, words = words, shown = options.shell and options[1] or words[1],
    env = environment(what, options.env),
    cwd = options.cwd and system.check_text(what, "cwd", options.cwd),
    stdout = check_way(what, options, "stdout", "pipe"),
    stderr = check_way(what, options, "stderr", "pipe"),
    max_output = options.max_output or MAX_OUTPUT, input = options.input,
  }
  d.stdin = check_way(what, options, "stdin", (d.input or not run) and "pipe" or "null")
  if d.input ~= nil and type(d.input) ~= "string" then
    check.usage("%s: input: expected a string, got %s", what, check.shown(d.input))
  end
  if d.input and d.stdin ~= "pipe" then check.usage("%s: input wants stdin = 'pipe'", what) end
  if math.type(d.max_output) ~= "integer" and d.max_output ~= math.huge or d.max_output < 0 then
    check.usage("%s: max_output: expected a number of bytes, got %s", what,
      check.shown(d.max_output))
  end
  if options.timeout ~= nil then check.timeout(what, options.timeout) end
  local record = options.record
  if record ~= nil and record ~= "none" and record ~= "all" then
    check.usage("%s: record must be 'all' or 'none', got %s", what, check.shown(record))
  end
  d.node = function(body)
    return core.node(name_of(words, record), body, nil, nil, record == "none")
  end
  return d
end

-- A child -------------------------------------------------------------------------------

local Child = {}
Child.__index = Child

--- Descriptors that the child is given, and we need no more once it has them.
local function close_all(fds)
  for _, fd in ipairs(fds) do uv.fs_close(fd) end
end

local function fail(d, err)
  system.fail("process", d.what, err, d.shown, { path = d.shown })
end

--- A pipe between us and descriptor `number` of the child: our end, as a handle, and its own.
local function open_pipe(d, given, number)
  local writes = number == 0
  local flags = { nonblock = true }
  local fds, err = uv.pipe(not writes and flags or nil, writes and flags or nil)
  if not fds then fail(d, err) end
  local ours, theirs = writes and fds.write or fds.read, writes and fds.read or fds.write
  given[#given + 1] = theirs
  local handle = uv.new_pipe(false)
  local ok, problem = handle:open(ours)
  if not ok then
    uv.fs_close(ours)
    handle:close()
    fail(d, problem)
  end
  return handle, theirs
end

--- What the child has as its descriptor `number`.
local function open_way(d, child, given, number, way)
  if way == "inherit" then return number end
  if way == "stdout" then return child.fds[1] end
  if way == "null" then
    local fd, err = uv.fs_open("/dev/null", "r+", 0)
    if not fd then fail(d, err) end
    given[#given + 1] = fd
    return fd
  end
  local handle, theirs = open_pipe(d, given, number)
  child.pipes[number] = handle
  return theirs
end

local function fail_start(d, err)
  local path = d.words[1]
  local _, _, no_folder = uv.fs_stat((d.cwd or "") .. "/.")
  if no_folder then path, err = d.cwd, no_folder end -- what has failed is chdir
  system.fail("process", d.what, err, path, { path = path })
end

--- Starts it; it is to be closed.
local function start(d)
  local child = setmetatable({ d = d, pipes = {}, fds = {}, waiting = {} }, Child)
  local started = false
  local given = system.closing { close = function(fds)
    close_all(fds)
    if not started then child:close_pipes() end
  end }
  local _ <close> = given
  for number, way in ipairs { d.stdout, d.stderr } do
    child.fds[number] = open_way(d, child, given, number, way)
  end
  child.fds[0] = open_way(d, child, given, 0, d.stdin)
  local pid, ended = core.start_process(d.words, d.env, d.cwd, child.fds[0], child.fds[1],
    child.fds[2])
  if not pid then fail_start(d, ended) end
  started = true
  child.pid = pid
  child:watch(ended)
  return child
end

--- Takes note of its end, which makes the descriptor readable.
function Child:watch(ended)
  local poll = uv.new_poll(ended)
  poll:start("r", function()
    local over, code, signal = core.end_of(self.pid)
    if not over then return end
    poll:close()
    uv.fs_close(ended)
    self.exited, self.code, self.signal = true, code, signal and signal_name(signal)
    for wake in pairs(self.waiting) do wake() end
  end)
end

--- Each is a handle, or a stream that has it.
function Child:close_pipes()
  for _, pipe in pairs(self.pipes) do
    if not (pipe.is_closing and pipe:is_closing()) then pipe:close() end
  end
  self.pipes = {}
end

--- Waits until it has exited, at most so many seconds if any are given.
function Child:wait(seconds)
  if self.exited then return end
  core.await(function(resume)
    self.waiting[resume] = true
    local timer
    local function forget()
      self.waiting[resume] = nil
      if timer then timer:close() end
    end
    if seconds then
      timer = uv.new_timer()
      timer:start(math.ceil(seconds * 1000), 0, resume)
    end
    self.forget = forget
    return forget
  end)
  self.forget()
end

function Child:signal_group(signal)
  return uv.kill(-self.pid, signal) == 0
end

--- Whether anybody of the group still runs. The dead ones of whom nobody has taken note (init
--- should) count as members for `kill`.
function Child:group_runs()
  if not self:signal_group(0) then return false end
  local all = uv.fs_scandir "/proc"
  local name = all and uv.fs_scandir_next(all)
  if not name then return true end
  for entry in function() return uv.fs_scandir_next(all) end do
    local stat = entry:find "^%d+$" and io.open("/proc/" .. entry .. "/stat")
    if stat then
      local state, group = (stat:read "a" or ""):match "%) (%a) %d+ (%d+) "
      stat:close()
      if group == tostring(self.pid) and state ~= "Z" and state ~= "X" then return true end
    end
  end
  return false
end

--- Waits until nobody of it runs any more, so many seconds at most. Then its number may be
--- another group's.
function Child:wait_for_group(seconds)
  local pause = LOOK
  while seconds > 0 and not self.gone do
    if self:group_runs() then
      core.sleep(pause)
      seconds, pause = seconds - pause, pause * 2
    else
      self.gone = true
    end
  end
end

--- Ends the whole group: first asks, then insists, also if there is no time to wait.
function Child:end_group()
  do
    local _ <close> = system.closing { close = function()
      if not self.gone then self:signal_group(uv.constants.SIGKILL) end
    end }
    local left = PATIENCE
    if not self:signal_group(uv.constants.SIGTERM) then left = 0 end
    while left > 0 and not self.exited do
      local before = core.now()
      self:wait(left)
      left = left - (core.now() - before)
    end
    self:wait_for_group(left)
  end
  self:wait()
  self:wait_for_group(PATIENCE)
end

--- What has not come to its end is ended. The pipes of one that has been spawned are the
--- user's, who may still read what it has left.
function Child:__close()
  local _ <close> = system.closing { close = function()
    if not (self.over and self.spawned) then self:close_pipes() end
  end }
  if not self.over then self:end_group() end
end

-- rt.process.run ------------------------------------------------------------------------

--- Writes its input and reads what it writes, until it has exited and its output has ended.
--- Returns the pieces of each output, and whether they are too many.
local function collect(child, d)
  local output, size = { {}, {} }, 0
  local too_large, err = core.await(function(resume)
    local open = child.exited and 0 or 1
    local function one_less()
      open = open - 1
      if open == 0 then resume() end
    end
    for number = 1, 2 do
      local pipe, pieces = child.pipes[number], output[number]
      if pipe then
        open = open + 1
        pipe:read_start(function(problem, data)
          if problem then return resume(false, problem) end
          if not data then return one_less() end
          size = size + #data
          if size > d.max_output then return resume(true) end
          pieces[#pieces + 1] = data
        end)
      end
    end
    child.waiting[one_less] = true
    local stdin = child.pipes[0]
    if stdin then
      -- It may exit without having read all of it.
      stdin:write(d.input or "", function() if not stdin:is_closing() then stdin:close() end end)
    end
    if open == 0 then resume() end
  end)
  for number = 1, 2 do
    if child.pipes[number] then child.pipes[number]:read_stop() end
  end
  if too_large then
    core.fail("process", ("%s: more than %s bytes of output: %s"):format(d.what, d.max_output,
      d.shown), { code = "too_large", path = d.shown })
  end
  if err then fail(d, err) end
  child.over = true
  return output
end

--- Runs a program to its end: { code =, signal =, stdout =, stderr = }.
function process.run(options)
  local d = definition("process.run", options)
  local node = d.node(function()
    local child <close> = start(d)
    local output = collect(child, d)
    return {
      code = child.code, signal = child.signal,
      stdout = d.stdout == "pipe" and table.concat(output[1]) or nil,
      stderr = d.stderr == "pipe" and table.concat(output[2]) or nil,
    }
  end)
  if options.timeout then
    return core.timeout(options.timeout, node, table.unpack(d.words))
  end
  return core.call(node, table.unpack(d.words))
end

-- rt.process.spawn ----------------------------------------------------------------------

local Process = {}
Process.__index = Process
Process.__name = "railtracks.Process"

--- Waits until it has exited: { code =, signal = }.
function Process:wait() return self.task:await() end

--- Sends a signal to its group.
function Process:kill(signal)
  local number = signal_number("process:kill", signal == nil and "TERM" or signal)
  if self.child.exited then return false end
  return self.child:signal_group(number)
end

--- Ends it and all of its group, if it has not exited, and closes what leads to it.
function Process:close()
  for _, name in ipairs { "stdin", "stdout", "stderr" } do
    if self[name] then self[name]:close() end
  end
  if not self.child.exited then
    self.task:cancel "process:close()"
    core.settle(self.task)
  end
end

Process.__close = Process.close

--- Nobody has it any more: what leads to it would stay open.
function Process:__gc()
  for _, name in ipairs { "stdin", "stdout", "stderr" } do
    if self[name] then self[name]:close() end
  end
end

function Process:__tostring()
  local child = self.child
  return ("Process %d (%s, %s)"):format(self.pid, self.task.node, not child.exited and "running"
    or child.signal or "exit " .. child.code)
end

--- Starts a program, as a task of the current call, which ends when it has exited.
function process.spawn(options)
  local d = definition("process.spawn", options)
  core.may_wait "process.spawn"
  local ok, child = pcall(start, d)
  if not ok then -- as a call that fails
    core.call(d.node(function() error(child, 0) end), table.unpack(d.words))
  end
  local taken, wake
  -- Cancelled before it has begun, the task would not end it.
  local _ <close> = system.closing { close = function()
    if not taken then child:__close() end
  end }
  local task = core.spawn(d.node(function()
    taken = true
    local own <close> = child
    if wake then wake() end
    own:wait()
    own.over, own.spawned = true, true
    return { code = own.code, signal = own.signal }
  end), table.unpack(d.words))
  core.await(function(resume) wake = resume end)

  local self = setmetatable({ task = task, child = child, pid = child.pid }, Process)
  for number, name in pairs { [0] = "stdin", "stdout", "stderr" } do
    local pipe = child.pipes[number]
    if pipe then
      self[name] = stream.new(pipe, "process", ("%s of %s"):format(name, d.shown))
      self[name].one_way, self[name].owner = number > 0, self
      child.pipes[number] = self[name]
    end
  end
  return self
end

return process
