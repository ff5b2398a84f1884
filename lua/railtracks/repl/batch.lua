--- Lines that come out of a pipe or a file: only results are printed, and the first error
--- ends it.

local console = require "railtracks.console"
local reader = require "railtracks.repl.reader"

local INPUT = 0

--- `for line in lines()`: the lines of standard input. While none is there others run.
local function lines()
  local poll = console.poll(INPUT)  -- nothing for a plain file, which never lets us wait
  local rest, ended = "", false
  local function fill()
    if poll then console.wait(nil, poll) end
    local more, problem = console.read(INPUT)
    if not more and problem then error("cannot read standard input: " .. problem, 0) end
    ended = more == ""
    rest = rest .. (more or "")
  end
  return function()
    local from = 1
    while true do
      local at = rest:find("\n", from, true)
      if at then
        local line = rest:sub(1, at - 1)
        rest = rest:sub(at + 1)
        return (line:gsub("\r$", ""))
      end
      if ended then
        local line = rest
        rest = ""
        return line ~= "" and line or nil
      end
      from = #rest + 1
      fill()
    end
  end
end

return function(session)
  session.place = "stdin"
  local collector = reader.collector "=stdin"
  local number, first = 0, 1
  for line in lines() do
    number = number + 1
    if collector.is_empty() then first = number end
    if number == 1 and line:find("^#!") then line = "" end
    local source = collector.feed(line)
    if source and not session:run_piece(reader.piece(source, "=stdin"), first) then
      return false, session.problem
    end
    if session.left then return true end
  end
  local rest = collector.rest()
  if rest and not session:run_piece(reader.piece(rest, "=stdin"), first) then
    return false, session.problem
  end
  return session:finish(), "a line has failed after it had returned"
end
