--- A prompt on a terminal that edits lines by itself, or not at all: where it is a dumb one,
--- or GNU Readline is missing.

local console = require "railtracks.console"
local host = require "railtracks.host"
local reader = require "railtracks.repl.reader"

local INPUT = 0
local INTERRUPT, STOP, OUTPUT = 1, 4, 8

local plain = {}
plain.__index = plain

function plain.new(front)
  front.polls = { assert(console.poll(INPUT)), front.link and front.link.poll }
  front.unread = ""
  return setmetatable(front, plain)
end

local function show(text)
  if host.terminal(1) then host.write(text) else io.stderr:write(text) end
end

--- The next line, or nil where input ends; `again` is called where Ctrl-C was pressed.
function plain:next_line(prompt, again)
  show(prompt)
  while true do
    local line, rest = self.unread:match("^([^\n]*)\n(.*)$")
    if line then
      self.unread = rest
      return (line:gsub("\r$", ""))
    end
    local events, ready, come = console.wait(nil, table.unpack(self.polls))
    if come then
      self.link:flush()
      self.link:fill()
      if not self.on_link() then return nil end
    end
    if events & OUTPUT ~= 0 then
      local held = host.held()
      if held ~= "" then show("\n" .. held .. prompt) end
    end
    if events & STOP ~= 0 then
      host.stop()
      show(prompt)
    end
    if events & INTERRUPT ~= 0 then
      self.unread = ""
      again()
      show("\n" .. prompt)
    end
    local more = ready and console.read(INPUT)
    if more == "" then
      line, self.unread = self.unread, ""
      return line ~= "" and line or nil
    end
    self.unread = self.unread .. (more or "")
  end
end

--- What was typed, complete, or nil at the end.
function plain:read()
  host.hold(true)
  local _ <close> = setmetatable({}, { __close = function() host.hold(false) end })
  local collector = reader.collector()
  local prompt = self.prompt
  local function again()
    collector.rest()
    prompt = self.prompt
  end
  while true do
    local line = self:next_line(prompt, again)
    if not line then
      local rest = not (self.link and self.link.gone) and collector.rest() or nil
      show("\n")
      return rest
    end
    local source = collector.feed(line)
    if source then return source end
    prompt = self.continuation
  end
end

function plain.add() end

return plain
