--- rt.fs: files, read and written by libuv's threads while other tasks go on.
---
--- What is done as a whole is a call, named "fs.read", with the path as its argument; of
--- contents the journal has the size. rt.fs.lines and rt.fs.watch go on for many waits and are
--- none.

local check = require "railtracks.check"
local core = require "railtracks.core"
local new_buffer = require "railtracks.buffer"
local stream = require "railtracks.stream"
local system = require "railtracks.system"
local uv = require "railtracks.uv"

local PIECE = 64 * 1024       -- bytes read at once where nobody knows how many there are,
local LARGEST_PIECE = 4 << 20 -- and at most
local LOOK = 0.02             -- seconds between two looks for a reader of a FIFO

local constants, request = uv.constants, system.request
local fs = {}

local function fail(what, err, path)
  system.fail("fs", what, err, path, { path = path })
end

local function check_path(what, path)
  if system.check_text(what, "path", path) == "" then
    check.usage("%s: path: expected a path, got an empty string", what)
  end
  return path
end

--- The options of `what`, an empty table if there are none.
local function options_of(what, options, known)
  if options == nil then return {} end
  check.options(what, options, known)
  return options
end

--- fn() in a call named `what`, which is recorded with the arguments and with what fn returns
--- first; returns what it returns behind that.
local function call(what, fn, ...)
  local outcome
  core.call(core.node(what, function()
    outcome = table.pack(fn())
    return outcome[1]
  end), ...)
  return table.unpack(outcome, 2, outcome.n)
end

--- What luv's function gives for the path, in the words of `what` if it fails.
local function ask(what, path, fn, ...)
  local err, value = request(nil, fn, ...)
  if err then fail(what, err, path) end
  return value
end

-- Open files ----------------------------------------------------------------------------

local File = {}
File.__index = File

local function close_now(fd) uv.fs_close(fd) end

--- FIFOs are opened without waiting for the other end: a thread that waits for it could not be
--- called back. `shown` is the path that errors name, if it is another one.
local function open(what, path, flags, mode, shown)
  local err, fd
  repeat
    err, fd = request(close_now, uv.fs_open, path, flags | constants.O_NONBLOCK,
      mode or 438) -- 0666
    local nobody_reads = err and err:find "^ENXIO" and uv.fs_stat(path)
    if not nobody_reads or nobody_reads.type ~= "fifo" then break end
    core.sleep(LOOK)
  until false
  shown = shown or path
  if err then fail(what, err, shown) end
  local file = setmetatable({ what = what, path = shown, fd = fd }, File)
  local kind = uv.guess_handle(fd)
  local handle = kind == "pipe" and uv.new_pipe(false)
    or kind == "tty" and uv.new_tty(fd, flags & constants.O_WRONLY == 0)
  if handle then
    if kind == "pipe" then handle:open(fd) end
    file.stream = stream.new(handle, "fs", shown)
  end
  return file
end

--- A thread may still use the descriptor, if there was no time to wait for it.
function File:__close()
  if self.stream then return self.stream:close() end
  if self.busy then self.close_later = true
  else uv.fs_close(self.fd) end
end

--- request(nil, fn, fd, ...), during which the descriptor is in use.
function File:request(fn, ...)
  local err, value = request(nil, function(...)
    local args = table.pack(...)
    local callback = args[args.n]
    args[args.n] = function(...)
      self.busy = false
      if self.close_later then uv.fs_close(self.fd) end
      callback(...)
    end
    local handle, problem = fn(table.unpack(args, 1, args.n))
    self.busy = handle ~= nil
    return handle, problem
  end, self.fd, ...)
  if err then fail(self.what, err, self.path) end
  return value
end

--- What comes next, at most `size` bytes; nil at the end.
function File:read(size)
  if self.stream then return self.stream:read() end
  local data = self:request(uv.fs_read, size, -1)
  return data ~= "" and data or nil
end

function File:write(data)
  if self.stream then return self.stream:write(data) end
  while data ~= "" do
    local written = self:request(uv.fs_write, data, -1)
    data = written < #data and data:sub(written + 1) or ""
  end
end

-- Reading -------------------------------------------------------------------------------

--- All of a file.
function fs.read(path)
  check_path("fs.read", path)
  return call("fs.read", function()
    local file <close> = open("fs.read", path, constants.O_RDONLY)
    local size = PIECE
    if not file.stream then size = math.max(file:request(uv.fs_fstat).size + 1, PIECE) end
    local pieces = {}
    while true do
      local piece = file:read(math.min(size, LARGEST_PIECE))
      if not piece then break end
      pieces[#pieces + 1] = piece
    end
    local text = table.concat(pieces)
    return #text, text
  end, path)
end

--- The lines of a file, without their newlines: `for line in rt.fs.lines(path) do`. It is opened
--- here and closed when the loop is left.
function fs.lines(path)
  check_path("fs.lines", path)
  local file = open("fs.lines", path, constants.O_RDONLY)
  local buffer, over = new_buffer(), false
  local function next_line()
    while true do
      local line = buffer:take_text(math.huge)
      if line then return line end
      if over then
        if buffer.size == 0 then return nil end
        return buffer:take(buffer.size)
      end
      local piece = file:read(PIECE)
      if piece then buffer:add(piece) else over = true end
    end
  end
  return next_line, nil, nil, file
end

-- Writing -------------------------------------------------------------------------------

local WRITE = constants.O_WRONLY | constants.O_CREAT

local function check_data(what, data)
  if type(data) ~= "string" then
    check.usage("%s: argument 2: expected a string, got %s", what, check.shown(data))
  end
end

local function check_mode(what, mode)
  if mode ~= nil and (math.type(mode) ~= "integer" or mode < 0 or mode > 4095) then
    check.usage("%s: mode: expected a number such as tonumber('644', 8), got %s", what,
      check.shown(mode))
  end
  return mode
end

local made = 0 -- temporary files, which gives each a name of its own

local function temporary_name(path)
  local folder, name = path:match "^(.*/)([^/]*)$"
  made = made + 1
  return ("%s.%s.%x-%x-%x"):format(folder or "", (name or path):sub(1, 200), uv.os_getpid(), made,
    uv.hrtime())
end

--- Puts a file with these contents in the place of the one at `path`, whose `old` state is
--- known if there is one.
local function replace(what, path, data, old, mode)
  local target = path
  if old then target = ask(what, path, uv.fs_realpath, path) end
  local temporary = temporary_name(target)
  local unfinished = system.closing { close = function(self)
    if not self.done then uv.fs_unlink(temporary) end
  end }
  local _ <close> = unfinished
  local file <close> = open(what, temporary, WRITE | constants.O_EXCL, mode, path)
  if mode or old then file:request(uv.fs_fchmod, mode or old.mode & 4095) end
  if old and (old.uid ~= uv.getuid() or old.gid ~= uv.getgid()) then
    pcall(file.request, file, uv.fs_fchown, old.uid, old.gid) -- if we may
  end
  file:write(data)
  file:request(uv.fs_fsync)
  ask(what, path, uv.fs_rename, temporary, target)
  unfinished.done = true
end

--- Puts a file with these contents there, whole or not at all: who reads it sees the old ones or
--- the new ones. Its mode stays.
function fs.write(path, data, options)
  check_path("fs.write", path)
  check_data("fs.write", data)
  local mode = check_mode("fs.write", options_of("fs.write", options, { mode = true }).mode)
  call("fs.write", function()
    local err, old = request(nil, uv.fs_stat, path)
    if err and not err:find "^ENOENT" then fail("fs.write", err, path) end
    if old and old.type == "directory" then fail("fs.write", "EISDIR", path) end
    if not old or old.type == "file" then return replace("fs.write", path, data, old, mode) end
    local file <close> = open("fs.write", path, constants.O_WRONLY) -- a FIFO, a device
    file:write(data)
  end, path, #data)
end

--- Adds to the end of a file, which is made if there is none.
function fs.append(path, data)
  check_path("fs.append", path)
  check_data("fs.append", data)
  call("fs.append", function()
    local file <close> = open("fs.append", path, WRITE | constants.O_APPEND)
    file:write(data)
  end, path, #data)
end

-- Folders -------------------------------------------------------------------------------

local function scan(what, path)
  local all, names = ask(what, path, uv.fs_scandir, path), {}
  for name, kind in function() return uv.fs_scandir_next(all) end do
    names[#names + 1] = { name = name, type = kind }
  end
  return names
end

--- The names in a folder, sorted.
function fs.list(path)
  check_path("fs.list", path)
  return call("fs.list", function()
    local names = core.array {}
    for i, entry in ipairs(scan("fs.list", path)) do names[i] = entry.name end
    table.sort(names)
    return #names, names
  end, path)
end

local function seconds(time) return time.sec + time.nsec / 1e9 end

--- What is known of a file: type, size, mode, times in seconds since 1970 and so on; of a link
--- itself with `follow = false`.
function fs.stat(path, options)
  check_path("fs.stat", path)
  local follow = options_of("fs.stat", options, { follow = true }).follow ~= false
  return call("fs.stat", function()
    local got = ask("fs.stat", path, follow and uv.fs_stat or uv.fs_lstat, path)
    local stat = {
      type = got.type, size = got.size, mode = got.mode & 4095, uid = got.uid, gid = got.gid,
      dev = got.dev, ino = got.ino, nlink = got.nlink, accessed = seconds(got.atime),
      modified = seconds(got.mtime), changed = seconds(got.ctime),
    }
    return stat, stat
  end, path)
end

local function make_parents(path, mode)
  local parent = path:match "^(.*[^/])/+[^/]+/*$"
  local err = request(nil, uv.fs_mkdir, path, mode)
  if err and err:find "^ENOENT" and parent then
    make_parents(parent, mode)
    err = request(nil, uv.fs_mkdir, path, mode)
  end
  if not err then return end
  local stat = err:find "^EEXIST" and select(2, request(nil, uv.fs_stat, path))
  if not stat or stat.type ~= "directory" then fail("fs.mkdir", err, path) end
end

--- Makes a folder; with `parents` those above it, too, and it may be there already.
function fs.mkdir(path, options)
  check_path("fs.mkdir", path)
  options = options_of("fs.mkdir", options, { mode = true, parents = true })
  local mode = check_mode("fs.mkdir", options.mode) or 511 -- 0777
  call("fs.mkdir", function()
    if options.parents then make_parents(path, mode)
    else ask("fs.mkdir", path, uv.fs_mkdir, path, mode) end
  end, path)
end

local function remove(path, recursive)
  local stat = ask("fs.remove", path, uv.fs_lstat, path)
  if stat.type ~= "directory" then
    ask("fs.remove", path, uv.fs_unlink, path)
    return
  end
  if recursive then
    for _, entry in ipairs(scan("fs.remove", path)) do remove(path .. "/" .. entry.name, true) end
  end
  ask("fs.remove", path, uv.fs_rmdir, path)
end

--- Removes a file or an empty folder; with `recursive` all that is in it. Links are not followed.
function fs.remove(path, options)
  check_path("fs.remove", path)
  local recursive = options_of("fs.remove", options, { recursive = true }).recursive
  call("fs.remove", function() remove(path, recursive) end, path)
end

function fs.rename(from, to)
  check_path("fs.rename", from)
  check_path("fs.rename", to)
  call("fs.rename", function() ask("fs.rename", from, uv.fs_rename, from, to) end, from, to)
end

local Tempdir = {
  __name = "railtracks.Tempdir",
  __close = function(folder) fs.remove(folder.path, { recursive = true }) end,
  __tostring = function(folder) return folder.path end,
}

--- A new folder for what is not to stay: { path = }. It is removed when it is closed.
function fs.tempdir()
  return call("fs.tempdir", function()
    local template = uv.os_tmpdir() .. "/railtracks-XXXXXX"
    local err, path = request(function(path) uv.fs_rmdir(path) end, uv.fs_mkdtemp, template)
    if err then fail("fs.tempdir", err, template) end
    return path, setmetatable({ path = path }, Tempdir)
  end)
end

-- Watching ------------------------------------------------------------------------------

local Watcher = {}

function Watcher:__close()
  local handle = self.handle
  self.handle = nil
  if handle then handle:close() end
end

--- What happens to a file, or in a folder: `for event in rt.fs.watch(path) do`, each { name =,
--- type = "change" or "rename" }. What happens more than once before it is asked for is one
--- event. Closed when the loop is left.
function fs.watch(path)
  check_path("fs.watch", path)
  core.may_wait "fs.watch"
  local handle = uv.new_fs_event()
  local watcher = setmetatable({ handle = handle }, Watcher)
  local events, seen, wake, problem = {}, {}, nil, nil
  local ok, err = handle:start(path, {}, function(failure, name, how)
    local event = { name = name, type = how and how.rename and "rename" or "change" }
    local key = event.type .. "/" .. tostring(name)
    if failure then problem = failure
    elseif not seen[key] then
      seen[key] = true
      events[#events + 1] = event
    end
    if wake then wake() end
  end)
  if not ok then
    handle:close()
    fail("fs.watch", err, path)
  end
  return function()
    core.may_wait "fs.watch"
    if not events[1] and not problem then
      core.await(function(resume)
        wake = resume
        return function() wake = nil end
      end)
      wake = nil
    end
    if problem then fail("fs.watch", problem, path) end
    local event = table.remove(events, 1)
    seen[event.type .. "/" .. tostring(event.name)] = nil
    return event
  end, nil, nil, watcher
end

return fs
