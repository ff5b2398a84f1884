--- What is said of lines that go on behind the prompt: when the session is left, and when one
--- of them has failed.

local printer = require "railtracks.repl.printer"
local rt = require "railtracks"
local text = require "railtracks.show".text

local farewell = {}

local MOST = 5

local function line_text(session, line, room)
  return ("%s  %s"):format(line.id, text.fit(line.source, math.max(session.width() - room, 20)))
end

--- Tells what still runs when the session is left.
function farewell.tell_cancelled(session, lines)
  local shown = {}
  for i = 1, math.min(#lines, MOST) do
    shown[i] = ("  %s  (%s)\n"):format(line_text(session, lines[i], 30),
      text.duration_of { started_at = lines[i].started, ended_at = rt.now() })
  end
  if #lines > MOST then shown[#shown + 1] = ("  and %d more\n"):format(#lines - MOST) end
  session.complain(("cancelling what still runs:\n%s"):format(table.concat(shown)))
end

--- Tells of lines that have failed after they had returned, to whom the engine's own warning
--- does not reach.
function farewell.tell_failed(session)
  session:still_running()
  for _, line in ipairs(session.failures or {}) do
    local _, problem = pcall(line.task.await, line.task)
    local message = type(problem) == "string" and problem
      or printer.brief(problem, session.width())
    session.complain(("%s has failed: %s\n"):format(line_text(session, line, 40), message))
  end
  session.failures = nil
end

return farewell
