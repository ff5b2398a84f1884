--- `railtracks attach`: a prompt here, the session in another process.

local console = require "railtracks.console"
local core = require "railtracks.core"
local host = require "railtracks.host"
local prompt = require "railtracks.repl.prompt"
local wire = require "railtracks.repl.wire"

local INTERRUPT, RESIZE = 1, 2
local PATIENCE = 3  -- seconds that Tab waits for an answer
local ENOUGH = 3    -- times Ctrl-C is pressed before no answer is waited for

local function width() return host.terminal(1) or 80 end

--- Shows what has come. Returns "ready" and whether the line went well, or "bye".
local function show_frames(link)
  while true do
    local kind, content = link:take()
    if kind == "out" then
      io.stdout:write(content)
    elseif kind == "err" then
      io.stdout:flush()
      io.stderr:write(content)
    elseif kind == "ready" then
      return kind, content == "1"
    elseif kind == "bye" then
      link.farewell = content
      return kind
    elseif kind == "hello" then
      return kind, content
    elseif not kind then
      return nil
    end
  end
end

--- Waits for "ready" or "bye". Ctrl-C goes to the line.
local function await(link)
  local pressed = 0
  while true do
    local kind, ok = show_frames(link)
    if kind then return kind, ok end
    if link.gone then return "gone" end
    local events = link:wait()
    if events & RESIZE ~= 0 then link:put("width", tostring(width())) end
    if events & INTERRUPT ~= 0 then
      pressed = pressed + 1
      if link.terminal then host.write("\n") end
      if pressed >= ENOUGH then
        link.gone = true
        return "gone"
      end
      link:put("interrupt")
    end
  end
end

--- Asks for candidates, and waits for them here: Readline cannot.
local function complete(link, line, from, to)
  link:put("complete", ("s4I4I4"):pack(line, from, to))
  link:flush()
  local till = os.time() + PATIENCE + 1
  local later = {}
  local found
  while not found and not link.gone and os.time() < till do
    local kind, content = link:take()
    if kind == "candidates" then
      found = content
    elseif kind then
      later[#later + 1] = (">s1s4"):pack(kind, content)
    else
      local more = console.receive(link.fd, PATIENCE)
      if not more then break end
      if more == "" then link.gone = true end
      link:unread_frames("")
      link.unread = link.unread .. more
    end
  end
  link:unread_frames(table.concat(later))
  if not found then return {} end
  local follows, listing, instead, count, at = ("s4s4s4I4"):unpack(found)
  local words = {}
  for i = 1, count do words[i], at = ("s4"):unpack(found, at) end
  local function given(text) return text ~= "" and text or nil end
  return words, given(follows), given(listing), given(instead)
end

local function greet(link)
  local coloured = prompt.has_colours()
  link:put("hello", ("%s\n%d\n%d\n%d"):format(core.version, width(), coloured and 1 or 0,
    link.terminal and 1 or 0))
  local kind, banner = await(link)
  return kind == "hello" and banner or nil
end

--- Lines that somebody types.
local function run_terminal(link, options)
  local last
  local front = prompt.open {
    history = options.history, link = link,
    complete = function(line, from, to) return complete(link, line, from, to) end,
    on_link = function()
      local kind = show_frames(link)
      return kind ~= "bye" and not link.gone
    end,
  }
  while true do
    local line = front:read()
    link:put("width", tostring(width()))
    if link.farewell or link.gone then return end
    if line and line:find("^%s*:edit%s*$") then
      local written, problem = prompt.edit(last and last .. "\n" or "")
      line = written and written:gsub("%s+$", "")
      if problem and not written then io.stderr:write("error: edit: ", problem, "\n") end
      if line == last then line = "" end
      if line and line:find("%S") then io.stdout:write(line, "\n") end
    end
    if not line then
      link:put("quit")
    elseif line:find("%S") then
      front:keep(line)
      if not line:find("^%s*:") then last = line end
      link:put("line", line)
    end
    if not line or line:find("%S") then
      local kind = await(link)
      if kind ~= "ready" then return end
    end
  end
end

--- Lines out of a pipe. Returns whether all went well.
local function run_batch(link)
  local ok = true
  require "railtracks.repl.batch".each(function(source)
    link:put("line", source)
    local kind, well = await(link)
    ok = kind == "bye" or kind == "ready" and well
    return ok and kind == "ready"
  end)
  if ok and not link.farewell then
    link:put("quit")
    await(link)
  end
  return ok
end

--- Attaches to the program that listens at `options.path`. Returns how it went, as
--- core.run_script does, or "told".
return function(options)
  console.open()
  local ok = false
  local status, trace, problem = core.run_script("attach", nil, function()
    local link <close> = wire.new(console.connect(options.path))
    link.terminal = options.terminal
    local banner = greet(link)
    if banner and options.terminal then
      io.stdout:write(banner)
      run_terminal(link, options)
      ok = true
    elseif banner then
      ok = run_batch(link)
    end
    local why = link.farewell
    if not why and (link.gone or not banner) then
      ok, why = false, "the connection is lost"
    end
    if why and why ~= "" then io.stderr:write("railtracks: ", why, "\n") end
    if not banner then ok = false end
  end)
  if status ~= "done" then
    return status, "", type(problem) == "table" and problem.message or problem, trace
  end
  return ok and "done" or "told"
end
