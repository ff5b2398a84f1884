--- Where somebody types: the prompt, the history, the editor.

local console = require "railtracks.console"
local history = require "railtracks.repl.history"
local host = require "railtracks.host"
local text = require "railtracks.show".text

local prompt = {}

--- Whether there are colours on the terminal.
function prompt.has_colours()
  return host.terminal(1) ~= nil and os.getenv "TERM" ~= "dumb"
    and (os.getenv "NO_COLOR" or "") == ""
end

--- The prompt in colour; Readline is told what takes no room.
local function prompt_text(coloured, plain)
  if not coloured then return plain end
  return ("\1\27[1m\2%s\1\27[0m\2"):format(plain)
end

--- Opens the prompt. `front`: history (whether to keep one), complete(text, from, to), and for
--- one whose lines run elsewhere the link there, with on_link() to be called when something
--- has come, which returns whether to go on. It gets read() -> what was typed, nil at the end,
--- and keep(text) for the history.
function prompt.open(front)
  local coloured = prompt.has_colours()
  local remark = text.painter { colour = coloured }
  local function complain(why)
    io.stderr:write(remark("dim", "no history: " .. why), "\n")
  end
  local past = history.open(front.history and history.path() or nil)
  front.past, front.prompt, front.continuation = past, prompt_text(coloured, "rt> "), "..> "
  local term = os.getenv "TERM" or "dumb"
  local edits = host.terminal(1) and term ~= "dumb" and term ~= ""
  local opened = edits and require "railtracks.repl.terminal".new(front)
    or require "railtracks.repl.plain".new(front)
  if past.problem then complain(past.problem) end
  function opened.keep(_, entry)
    opened:add(entry)
    local ok, why = past.add(entry)
    if not ok then complain(why) end
  end
  return opened
end

--- Opens an editor on the text. Returns what was written, or nil and what went wrong.
function prompt.edit(content)
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

return prompt
