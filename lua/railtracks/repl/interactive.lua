--- A session at a terminal: the banner, lines, what is said at the end.

local core = require "railtracks.core"
local farewell = require "railtracks.repl.farewell"
local prompt = require "railtracks.repl.prompt"
local text = require "railtracks.show".text

local BANNER = "Railtracks %s on %s: every line may wait, and what it spawns goes on.\n"
  .. "help says more, Tab completes, Ctrl-C stops a line, Ctrl-D leaves.\n"

--- Runs the session until it is left. Returns true.
return function(options, given)
  local coloured = prompt.has_colours()
  options.interactive, options.coloured, options.edit = true, coloured, prompt.edit
  options.paint = text.painter { colour = coloured }
  options.remark = function(remark) options.complain(options.paint("dim", remark) .. "\n") end
  local session = require "railtracks.repl.session".new(options)
  options.out(BANNER:format(core.version, _VERSION))
  local front = prompt.open {
    history = given.history,
    complete = function(line, from, to)
      return require "railtracks.repl.complete".candidates(session, line, from, to)
    end,
  }
  if given.script then require "railtracks.repl.files".run_script(session, given.script) end

  while not session.left do
    local line = front:read()
    if not line then break end
    if line:find("%S") then
      front:keep(line)
      session:evaluate(line)
    end
  end

  local live = session:still_running()
  if #live > 0 then
    farewell.tell_cancelled(session, live)
    session:cancel_all("the session was left")
  end
  return true
end
