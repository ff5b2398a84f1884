--- A terminal for specs: the program in a pane of tmux, keys typed into it, its screen read.

local helper = require "spec.helper"

local Terminal = {}
Terminal.__index = Terminal

local made = 0

--- Runs the program (or `options.command`) with these words on a terminal of its own, its
--- history and journal in a new folder. `options.env` stands in front of it, `options.width`
--- and `options.height` are the size. To be closed.
local function open(words, options)
  options = options or {}
  made = made + 1
  local folder = options.folder or helper.folder()
  local self = setmetatable({
    folder = folder, own_folder = not options.folder,
    name = ("railtracks-%s-%d"):format(folder:match("[^/]+$"), made),
  }, Terminal)
  local conf = helper.write(folder .. "/tmux.conf", [[
    set -g remain-on-exit on
    set -g status off
    set -g escape-time 0
    set -g history-limit 5000
  ]])
  local line = {
    "env -u NO_COLOR -u LC_ALL LANG=C.UTF-8 TERM=screen",
    "RAILTRACKS_JOURNAL=" .. (options.journal or "none"), "XDG_STATE_HOME=" .. folder,
    options.env or "",
  }
  line[#line + 1] = options.command or helper.quote(options.program or helper.program)
  for _, word in ipairs(words or {}) do line[#line + 1] = helper.quote(word) end
  self.tmux_command = ("tmux -u -L %s -f %s"):format(self.name, conf)
  -- tmux itself may forget how a pane has ended.
  self.status = folder .. "/status" .. made
  self:tmux(("new-session -d -x %d -y %d -c %s sh %s"):format(options.width or 80,
    options.height or 24, helper.quote(options.cd or folder),
    helper.quote(helper.write(folder .. "/pane",
      "trap : INT\n" .. table.concat(line, " ") .. "\necho $? >" .. self.status .. "\n"))))
  return self
end

function Terminal:tmux(words)
  local output, said, status = helper.shell(self.tmux_command .. " " .. words)
  if status ~= 0 then error(("tmux %s: %s"):format(words, said), 2) end
  return output
end

--- What is on the screen, without the blanks at the ends of lines and of all.
function Terminal:screen()
  return (self:tmux("capture-pane -p"):gsub("[ \t]+\n", "\n"):gsub("%s+$", ""))
end

--- The same with what has left it at its top, and with colours as they were written.
function Terminal:everything()
  return (self:tmux("capture-pane -p -S -"):gsub("[ \t]+\n", "\n"):gsub("%s+$", ""))
end
function Terminal:coloured() return self:tmux("capture-pane -p -e") end

local function last_line(screen) return screen:match("[^\n]*$") end

--- Waits until `condition(screen)` is true, and returns what it returned.
function Terminal:wait(what, condition)
  local screen
  local ok, result = pcall(helper.wait_for, what, function()
    screen = self:screen()
    return condition(screen)
  end)
  if not ok then error(("%s; the screen is\n%s"):format(result, screen), 2) end
  return result
end

--- Waits until the text is on the screen.
function Terminal:see(text)
  return self:wait("'" .. text .. "' on the screen", function(screen)
    return screen:find(text, 1, true) and screen
  end)
end

--- Waits until the prompt stands there with `typed` behind it (nothing, unless given).
function Terminal:prompt(typed)
  local wanted = "rt> " .. (typed or "")
  return self:wait("the prompt '" .. wanted .. "'", function(screen)
    return last_line(screen) == wanted:gsub("%s+$", "") and screen
  end)
end

--- Types the text, wherever the cursor is.
function Terminal:send(text) self:tmux("send-keys -l -- " .. helper.quote(text)) end

--- Types the text at the end of what stands there, and waits until the screen ends with it.
function Terminal:type(text)
  self:send(text)
  -- Long lines are wrapped, and what is blank at their ends is not seen.
  local tail = text:gsub("%s", ""):sub(-12)
  self:wait("'" .. tail .. "' to be typed", function(screen)
    return screen:gsub("%s", ""):sub(-#tail) == tail
  end)
end

--- Presses keys by tmux's names for them: "Enter", "C-c", "Up".
function Terminal:press(...)
  self:tmux("send-keys " .. table.concat({ ... }, " "))
end

--- Types a line, runs it, waits for the next prompt, and returns what was printed.
function Terminal:run(line)
  self:type(line)
  self:press "Enter"
  local screen = self:prompt()
  local tail = "rt> " .. line
  local at = 0
  repeat
    local found = screen:find(tail, at + 1, true)
    at = found or at
  until not found
  if at == 0 then return screen end
  return (screen:sub(at + #tail + 1):gsub("\n?rt>$", ""))
end

--- Pastes the text as a terminal does: in brackets, or key by key.
function Terminal:paste(text, plain)
  local file = helper.write(self.folder .. "/paste", text)
  self:tmux("load-buffer " .. file)
  self:tmux(plain and "paste-buffer" or "paste-buffer -p")
end

function Terminal:resize(width, height)
  self:tmux(("resize-window -x %d -y %d"):format(width, height))
end

--- Waits for the end of the program and returns its exit status and the last screen.
function Terminal:wait_for_end()
  local status = helper.wait_for("the program to end", function()
    return helper.exists(self.status) and tonumber(helper.read(self.status))
  end)
  return status, self:screen()
end

--- The process that was started there.
function Terminal:pid()
  return tonumber((helper.shell("pgrep -P " .. self:tmux "display-message -p '#{pane_pid}'")))
end

function Terminal:close()
  -- Before its terminal goes: LeakSanitizer, which stops the program at its end to look at it,
  -- may otherwise be met by the SIGHUP, and then waits for ever.
  helper.shell(("pkill -KILL -s $(%s display-message -p '#{pane_pid}')")
    :format(self.tmux_command))
  helper.shell(self.tmux_command .. " kill-server")
  if self.own_folder then helper.remove(self.folder) end
end
Terminal.__close = Terminal.close

return { open = open }
