--- Lines that come out of a pipe or a file: only results are printed, and the first error
--- ends it.

local console = require "railtracks.console"
local reader = require "railtracks.repl.reader"

local INPUT = 0

--- `for line in lines(failed)`: the lines of standard input. While none is there others run. What
--- is wrong with it is told to `failed`, and ends them.
local function lines(failed)
  local poll = console.poll(INPUT)  -- nothing for a plain file, which never lets us wait
  local rest, ended = "", false
  local function fill()
    if poll then console.wait(nil, poll) end
    local more, problem = console.read(INPUT)
    if not more and problem then failed("cannot read standard input: " .. problem) end
    ended = more == "" or problem ~= nil
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

local batch = {}

--- Calls `use(source, first)` with each piece that can be run and the number of its first
--- line, until it returns false. Returns what is wrong with the input, or nil.
function batch.each(use)
  local wrong
  local collector = reader.collector "=stdin"
  local number, first = 0, 1
  for line in lines(function(problem) wrong = problem end) do
    number = number + 1
    if collector.is_empty() then first = number end
    if number == 1 then line = line:gsub("^\u{FEFF}", ""):gsub("^#!.*", "") end
    local source, kind = collector.feed(line)
    if source and kind ~= "nothing" and not use(source, first) then return end
  end
  local rest = collector.rest()
  if rest and not wrong then use(rest, first) end
  return wrong
end

--- Runs all of it in the session. Returns whether all went well, else what was wrong.
function batch.run(session)
  session.place = "stdin"
  local ok = true
  local wrong = batch.each(function(source, first)
    ok = session:run_piece(reader.piece(source, "=stdin"), first)
    return ok and not session.left
  end)
  if wrong then
    io.stderr:write("railtracks: ", wrong, "\n")
    return false, wrong
  end
  if not ok then return false, session.problem end
  if session.left then return true end
  return session:finish(), "a line has failed after it had returned"
end

return batch
