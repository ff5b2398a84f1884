--- What goes over the socket between `railtracks attach` and the program it looks at: frames
--- of a kind and a text, both ways.
---
--- From the client: hello (version, width, colours, typed), line, interrupt, width, complete, quit.
--- To it: hello (a banner), out, err, ready ("1" or "0": did the line go well?), candidates,
--- bye (why).

local console = require "railtracks.console"
local rt = require "railtracks"

local MOST_TEXT = 64 << 20    -- bytes of one frame
local PIECE = 1 << 16         -- bytes that are gathered before they are sent
local MUCH_UNSENT = 1 << 20   -- that a slow reader may leave unread before writers wait
local TOO_MUCH = 16 << 20     -- before what cannot wait is left out

local wire = {}
wire.__index = wire

--- The end of a connection, for one task that reads from it; others may only put.
function wire.new(fd)
  return setmetatable({
    fd = fd, poll = assert(console.poll(fd)), unsent = {}, unsent_size = 0, unflushed = 0,
    unread = "", at = 1, left_out = 0,
  }, wire)
end

--- Sends what can be sent at once.
function wire:flush()
  if self.unsent_size == 0 or self.gone then return end
  self.unflushed = 0
  local text = table.concat(self.unsent)
  local sent = console.send(self.fd, text)
  if not sent then
    self.gone = true
    self.unsent, self.unsent_size = {}, 0
  else
    self.unsent_size = #text - sent
    self.unsent = self.unsent_size > 0 and { text:sub(sent + 1) } or {}
  end
  if self.gate and self.unsent_size < MUCH_UNSENT // 2 then
    self.gate:close()
    self.gate = nil
  end
end

--- Puts a frame behind the others, and sends what can be sent.
function wire:put(kind, text)
  if self.gone then return end
  local was_empty = self.unsent_size == 0
  local frame = (">s1s4"):pack(kind, text or "")
  self.unsent[#self.unsent + 1] = frame
  self.unsent_size = self.unsent_size + #frame
  self.unflushed = self.unflushed + #frame
  if was_empty or self.unflushed > PIECE then self:flush() end
  if was_empty and self.unsent_size > 0 then self.poll:wake() end
end

--- The same for text that may be much: who writes it waits for a slow reader where it can, and
--- where it cannot, what is too much is left out.
function wire:print(kind, text, may_wait)
  if self.unsent_size > MUCH_UNSENT and may_wait and not self.gone then
    self.gate = self.gate or rt.channel()
    self.gate:receive()
  end
  if self.unsent_size > TOO_MUCH then
    self.left_out = self.left_out + #text
    return
  end
  if self.left_out > 0 then
    self:put("err", ("… %d bytes were left out …\n"):format(self.left_out))
    self.left_out = 0
  end
  self:put(kind, text)
end

--- Takes what has come, or much of it. False at the end of the connection.
function wire:fill()
  local pieces = { self.unread:sub(self.at) }
  self.at = 1
  for _ = 1, 16 do
    local more, problem = console.read(self.fd)
    self.gone = self.gone or more == "" or problem ~= nil
    if self.gone or not more then break end
    pieces[#pieces + 1] = more
  end
  self.unread = table.concat(pieces)
  return not self.gone
end

--- Puts back what was taken too early: frames, as text.
function wire:unread_frames(frames)
  self.unread = frames .. self.unread:sub(self.at)
  self.at = 1
end

--- The next frame that has come: its kind and its text; nil where none has come whole.
function wire:take()
  local unread, at = self.unread, self.at
  local left = #unread - at + 1
  if left < 1 then return nil end
  local kind_size = unread:byte(at)
  if left < kind_size + 5 then return nil end
  local size = (">I4"):unpack(unread, at + kind_size + 1)
  if size > MOST_TEXT then
    self.gone = true
    return nil
  end
  if left < kind_size + 5 + size then return nil end
  local kind, text
  kind, text, self.at = (">s1s4"):unpack(unread, at)
  return kind, text
end

--- Waits until something has come or could be sent, the task has returned or ended. Returns
--- the events of the console.
function wire:wait(task, ...)
  self.poll:want(self.unsent_size > 0 and "rw" or "r")
  local events, ready = console.wait(task, self.poll, ...)
  if ready then
    self:flush()
    self:fill()
  end
  return events
end

--- Waits until all was sent that can be, for a while.
function wire:finish(seconds)
  local till = rt.now() + seconds
  while self.unsent_size > 0 and not self.gone and rt.now() < till do
    self:flush()
    if self.unsent_size > 0 then rt.sleep(0.01) end
  end
end

function wire:close()
  if not self.fd then return end
  self:flush()
  self.poll:close()
  console.close(self.fd)
  self.fd, self.gone = nil, true
end

wire.__close = wire.close

return wire
