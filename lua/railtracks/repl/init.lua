--- The REPL: a session, and somebody or something that types.

local console = require "railtracks.console"
local core = require "railtracks.core"

--- Runs the script as a line of the session.
local function load_script(session, script)
  return session:call_line(":load " .. script.path, function()
    script.chunk(table.unpack(script.args, 1, script.args.n))
  end, { silent = true })
end

--- What a session is made of that talks to this program's own standard streams.
local function session_options()
  return {
    env = _G,
    width = function() return 80 end,
    out = function(text) io.stdout:write(text) end,
    error_head = "railtracks: ",
    complain = function(text) io.stderr:write(text) end,
    wait = function(_, task) console.wait(task) end,
  }
end

--- The session as the root call of a run. Returns whether it went well.
local function run(options)
  local session = require "railtracks.repl.session".new(session_options())
  local front = require "railtracks.repl.batch"
  if options.script and not load_script(session, options.script) then
    return false, session.problem
  end
  return front(session, options)
end

--- Opens the REPL, `options` as the command line has them: width (a function), script
--- {path=, chunk=, args=}. Returns whether all went well.
return function(options)
  console.open()
  local ok
  local status, trace, problem = core.run_script("repl", options.script and options.script.path,
    function()
      local why
      ok, why = run(options)
      if not ok then error(why, 0) end
    end)
  if ok == nil then return status, trace, problem end
  return ok and "done" or "told"
end
