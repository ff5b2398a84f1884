--- The REPL: a session, and somebody or something that types.

local console = require "railtracks.console"
local core = require "railtracks.core"
local host = require "railtracks.host"

--- What a session is made of that talks to this program's own standard streams.
local function session_options()
  local function width() return host.terminal(1) or 80 end
  return {
    env = _G,
    width = width,
    out = function(text) io.stdout:write(text) end,
    complain = function(text)
      io.stdout:flush()
      io.stderr:write(text)
    end,
    wait = function(_, task) console.wait(task) end,
  }
end

--- Lines out of a pipe. Returns whether all went well.
local function run_batch(options)
  local given = session_options()
  given.error_head = "railtracks: "
  local session = require "railtracks.repl.session".new(given)
  if options.script
    and not require "railtracks.repl.files".run_script(session, options.script) then
    return false, session.problem
  end
  return require "railtracks.repl.batch".run(session)
end

local function run_terminal(options)
  return require "railtracks.repl.interactive"(session_options(), options)
end

--- Opens the REPL. `options`: script {path=, chunk=, args=}, history (whether to keep one),
--- terminal (whether somebody types). Returns how it went, as core.run_script does, or "told".
return function(options)
  console.open()
  local ok
  local status, trace, problem = core.run_script("repl", options.script and options.script.path,
    function()
      local why
      ok, why = (options.terminal and run_terminal or run_batch)(options)
      if not ok then error(why, 0) end
    end)
  if ok == nil then return status, trace, problem end
  return ok and "done" or "told"
end
