--- The other end of `railtracks attach`: a session inside a running program, for one client.
---
--- It is a run of its own beside the program's. What its lines print goes to the client, what
--- functions of the program print goes where the program prints.

local console = require "railtracks.console"
local core = require "railtracks.core"
local host = require "railtracks.host"
local farewell = require "railtracks.repl.farewell"
local text = require "railtracks.show".text
local wire = require "railtracks.repl.wire"

--- A function that is not for those who have attached.
local function refuse(message)
  return function() error(message, 2) end
end

--- What is global for the lines: the program's globals, but for what reads, prints and ends.
local function environment(out)
  local env = {}
  function env.print(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    out(table.concat(parts, "\t") .. "\n")
  end
  env.io = setmetatable({
    write = function(...)
      for i = 1, select("#", ...) do
        local part = select(i, ...)
        if type(part) ~= "string" and type(part) ~= "number" then
          error(("bad argument #%d to 'write' (string expected, got %s)"):format(i, type(part)), 2)
        end
      end
      out(table.concat({ ... }))
      return io.stdout
    end,
    read = refuse "io.read: nothing can be read by who has attached",
    lines = function(name, ...)
      if name == nil then error("io.lines: nothing can be read by who has attached", 2) end
      return io.lines(name, ...)
    end,
  }, { __index = io })
  env.os = setmetatable({
    exit = refuse "os.exit would end the program itself: :quit leaves it alone",
  }, { __index = os })
  return setmetatable(env, { __index = _G, __newindex = _G })
end

--- What a client says of itself.
local function read_hello(link)
  local kind, hello
  repeat
    kind, hello = link:take()
    if not kind then link:wait() end
  until kind or link.gone
  if kind ~= "hello" then return nil end
  local version, width, coloured, typed = hello:match("^([^\n]*)\n(%d+)\n(%d)\n(%d)$")
  if version ~= core.version then
    link:put("bye", ("the program is of version %s, this is %s"):format(core.version,
      version or "another"))
    link:finish(1)
    return nil
  end
  return { width = tonumber(width), coloured = coloured == "1", typed = typed == "1" }
end

--- Candidates for Tab, as the client wants them.
local function complete(link, session, asked)
  local line, from, to = ("s4I4I4"):unpack(asked)
  local ok, found, follows, listing, instead = pcall(
    require "railtracks.repl.complete".candidates, session, line, from, to)
  if not ok then found, follows, listing, instead = {}, nil, nil, nil end
  local parts = { ("s4s4s4I4"):pack(follows or "", listing or "", instead or "", #(found or {})) }
  for _, word in ipairs(found or {}) do parts[#parts + 1] = ("s4"):pack(word) end
  link:put("candidates", table.concat(parts))
end

--- Acts upon a frame that may come at any time; false if it is not one of those.
local function handle(link, session, kind, content)
  if kind == "complete" then
    complete(link, session, content)
  elseif kind == "width" then
    link.client.width = tonumber(content) or link.client.width
  elseif kind ~= "interrupt" then
    return false
  end
  return true
end

--- While a line runs: takes what comes meanwhile.
local function watch(link, session, task)
  link:wait(task)
  if link.gone then task:cancel("its client has gone") end
  while true do
    local kind, content = link:take()
    if not kind then return end
    if kind == "interrupt" then
      link.interrupts = link.interrupts + 1
      if link.interrupts > 1 then console.cut(task) end
      task:cancel("Ctrl-C")
    elseif not handle(link, session, kind, content) then
      link.waiting[#link.waiting + 1] = { kind, content }
    end
  end
end

local function new_session(link)
  local host_call = core.call_number()
  local function print_as(kind)
    return function(shown)
      if core.call_number() == host_call then
        while link.unsent_size > 1 << 20 and not link.gone do link:wait() end
        link:put(kind, shown)
      else
        link:print(kind, shown, pcall(core.may_wait, "print"))
      end
    end
  end
  local out = print_as "out"
  local paint = text.painter { colour = link.client.coloured }
  return require "railtracks.repl.session".new {
    env = environment(out), out = out, complain = print_as "err",
    remark = function(remark) out(paint("dim", remark) .. "\n") end,
    width = function() return link.client.width end,
    paint = paint, coloured = link.client.coloured, interactive = link.client.typed,
    is_guest = true,
    wait = function(session, task) watch(link, session, task) end,
  }
end

--- The next frame, waited for; nil when the client has gone.
local function next_frame(link)
  while true do
    local waiting = table.remove(link.waiting, 1)
    if waiting then return waiting[1], waiting[2] end
    local kind, content = link:take()
    if kind then return kind, content end
    if link.gone then return nil end
    link:wait()
  end
end

--- The session for the client at the descriptor.
return function(fd)
  local link <close> = wire.new(fd)
  link.waiting, link.interrupts = {}, 0
  link.client = read_hello(link)
  if not link.client then return end
  local session = new_session(link)
  link:put("hello", ("Railtracks %s, attached to process %d: what is typed here runs in it.\n"
    .. "help says more, :tasks shows what runs, Ctrl-D leaves it alone.\n"):format(core.version,
    host.process()))
  local _ <close> = setmetatable({}, { __close = function()
    link:put("bye", session.left and "" or "the program has ended")
  end })
  while not session.left do
    local kind, content = next_frame(link)
    if kind == "line" then
      link.interrupts = 0
      local ok = session:evaluate(content)
      farewell.tell_failed(session)
      if not session.left then link:put("ready", ok and "1" or "0") end
    elseif kind == "quit" then
      session.left = true
    elseif not kind or not handle(link, session, kind, content) then
      break
    end
  end
  local live = session:still_running()
  if #live > 0 and not link.gone then farewell.tell_cancelled(session, live) end
  session:cancel_all(link.gone and "its client has gone" or "the session was left")
  session.left = true
  if not link.gone then link:finish(1) end
end
