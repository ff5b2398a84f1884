--- A prompt on a terminal, edited by GNU Readline. While it stands, the loop goes on: keys are
--- taken as they come, and what others write is put above it.

local console = require "railtracks.console"
local host = require "railtracks.host"
local reader = require "railtracks.repl.reader"

local INPUT = 0
local INTERRUPT, RESIZE, STOP, OUTPUT = 1, 2, 4, 8

--- The module of Readline: beside the program where that was built, where it was installed,
--- or where Lua looks.
local function load_readline()
  local folder = (host.program() or ""):match("^(.*/)") or "./"
  local places = ("%slua/?.so;%s%s/?.so;%s"):format(folder, folder, host.modules, package.cpath)
  local file, problem = package.searchpath("railtracks.readline", places)
  if not file then return nil, problem end
  local open, why = package.loadlib(file, "luaopen_railtracks_readline")
  if not open then return nil, why end
  return open()
end

local terminal = {}
terminal.__index = terminal

--- `front` has prompt, past (the history), complete(text, from, to), perhaps a link (see
--- prompt.lua); nil without Readline.
function terminal.new(front)
  local readline = load_readline()
  if not readline then return nil end
  front.readline = readline
  front.polls = { assert(console.poll(INPUT)), front.link and front.link.poll }
  readline.open(reader.is_complete, front.complete)
  for _, entry in ipairs(front.past.entries) do readline.add(entry) end
  return setmetatable(front, terminal)
end

--- What others have written meanwhile, whole lines of it, goes above the prompt.
function terminal:show_held()
  local text = host.held()
  self.readline.hide()
  host.write(text)
  self.readline.show()
end

--- What was typed, complete, or nil at the end.
function terminal:read()
  local readline = self.readline
  local begun = host.at_line_start()
  host.hold(true)
  local _ <close> = setmetatable({}, { __close = function()
    readline.stop()
    host.hold(false)
  end })
  if not begun then host.write("\n") end
  readline.start(self.prompt)
  while true do
    local events, ready, come = console.wait(nil, table.unpack(self.polls))
    if come and not self:take_link() then return nil end
    if events & OUTPUT ~= 0 then self:show_held() end
    if events & RESIZE ~= 0 then readline.resize() end
    if events & INTERRUPT ~= 0 then readline.clear() end
    if events & STOP ~= 0 then
      readline.pause()
      host.stop()
      readline.resume()
    end
    local line = nil
    if ready then line = readline.read() end
    if line ~= nil then return line or nil end
  end
end

--- Something has come from where the lines run. False if nothing more will.
function terminal:take_link()
  self.link:flush()
  self.link:fill()
  return self.on_link()
end

function terminal:add(entry) self.readline.add(entry) end

return terminal
