--- A session at a terminal: the banner, the prompt, the history, what is said at the end.

local console = require "railtracks.console"
local core = require "railtracks.core"
local history = require "railtracks.repl.history"
local host = require "railtracks.host"
local rt = require "railtracks"
local text = require "railtracks.show".text

local BANNER = "Railtracks %s on %s: every line may wait, and what it spawns goes on.\n"
  .. "help says more, Tab completes, Ctrl-C stops a line, Ctrl-D leaves.\n"

--- Whether there are colours on the terminal.
local function has_colours()
  return host.terminal(1) and os.getenv "TERM" ~= "dumb" and (os.getenv "NO_COLOR" or "") == ""
end

--- The prompt in colour; Readline is told what takes no room.
local function prompt_of(coloured, plain)
  if not coloured then return plain end
  return ("\1\27[1m\2%s\1\27[0m\2"):format(plain)
end

local function open_front(front)
  local term = os.getenv "TERM" or "dumb"
  local edits = host.terminal(1) and term ~= "dumb" and term ~= ""
  return edits and require "railtracks.repl.terminal".new(front)
    or require "railtracks.repl.plain".new(front)
end

--- Opens an editor on the text. Returns what was written, or nil and what went wrong.
local function edit(content)
  local pipe <close> = assert(io.popen "mktemp -t railtracks-XXXXXX.lua")
  local path = pipe:read("l")
  if not path then return nil, "cannot make a file to edit" end
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  local editor = os.getenv "VISUAL" or os.getenv "EDITOR" or "editor"
  host.hold(true)
  local status, problem = console.execute("sh", "-c", editor .. ' "$1"', "sh", path)
  host.hold(false)
  local written
  file = io.open(path, "rb")
  if file then
    written = file:read("a")
    file:close()
  end
  os.remove(path)
  if status == 0 then return written, "the file has gone" end
  return nil, problem or ("%s ended with status %d"):format(editor, status)
end

--- Tells what still runs when the session is left.
local function tell_cancelled(session, lines)
  local shown = {}
  for i, line in ipairs(lines) do
    if i > 5 then break end
    shown[i] = ("  %s  %s  (%s)\n"):format(line.id, text.fit(line.source, session.width() - 30),
      text.duration_of { started_at = line.started, ended_at = rt.now() })
  end
  if #lines > 5 then shown[6] = ("  and %d more\n"):format(#lines - 5) end
  session.complain(("cancelling what still runs:\n%s"):format(table.concat(shown)))
end

--- Runs the session until it is left. Returns true.
return function(options, given)
  local coloured = has_colours()
  options.interactive, options.coloured, options.edit = true, coloured, edit
  options.paint = text.painter { colour = coloured }
  options.remark = function(remark) options.complain(options.paint("dim", remark) .. "\n") end
  local session = require "railtracks.repl.session".new(options)

  local past = history.open(given.history and history.path() or nil)
  local front = open_front {
    prompt = prompt_of(coloured, "rt> "), continuation = "..> ", history = past,
    complete = function(line, from, to)
      return require "railtracks.repl.complete".candidates(session, line, from, to)
    end,
  }
  options.out(BANNER:format(core.version, _VERSION))
  if past.problem then session.remark("no history: " .. past.problem) end
  if given.script then require "railtracks.repl.files".run_script(session, given.script) end

  while not session.left do
    local line = front:read()
    if not line then break end
    if line:find("%S") then
      front:add(line)
      local ok, why = past.add(line)
      if not ok then session.remark("no history: " .. why) end
      session:evaluate(line)
    end
  end

  local live = session:still_running()
  if #live > 0 then
    tell_cancelled(session, live)
    session:cancel_all("the session was left")
  end
  return true
end
