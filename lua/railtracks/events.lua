--- Reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

local Reader = {}
Reader.__index = Reader

local MOST = 16 << 20 -- bytes of one event

local find, sub, byte = string.find, string.sub, string.byte

--- A reader: reader:add(bytes) as they come, cut anywhere; reader:next() gives the next event,
--- nil if there is none yet.
local function new(most)
  return setmetatable({ rest = "", at = 1, size = 0, most = most or MOST, last_id = "" }, Reader)
end

function Reader:add(piece)
  self.rest = self.at > #self.rest and piece or sub(self.rest, self.at) .. piece
  self.at = 1
  if not self.begun then -- a mark of the byte order at the beginning is none of it
    if #self.rest < 3 and sub("\xEF\xBB\xBF", 1, #self.rest) == self.rest then return end
    self.begun = true
    if sub(self.rest, 1, 3) == "\xEF\xBB\xBF" then self.at = 4 end
  end
end

--- The next line; nil if it has not come whole.
function Reader:line()
  if not self.begun then return nil end
  local rest, at = self.rest, self.at
  if self.after_return and at <= #rest then -- the second half of a CR LF
    self.after_return = false
    if byte(rest, at) == 10 then at = at + 1 end
    self.at = at
  end
  local stop = find(rest, "[\r\n]", math.max(at, self.looked or at))
  if not stop then
    self.looked = #rest - at + 2
    if at > 1 then
      self.rest, self.at = sub(rest, at), 1
    end
    if #self.rest + self.size > self.most then self.too_large = true end
    return nil
  end
  self.looked = nil
  self.at = stop + 1
  if byte(rest, stop) == 13 then self.after_return = true end
  return sub(rest, at, stop - 1)
end

local function field(self, name, value)
  if name == "data" then
    self.data = self.data or {}
    self.data[#self.data + 1] = value
    self.size = self.size + #value
    if self.size > self.most then self.too_large = true end
  elseif name == "event" then self.event = value
  elseif name == "id" then
    if not find(value, "\0", 1, true) then self.last_id = value end
  elseif name == "retry" then
    if find(value, "^%d+$") then self.retry = tonumber(value) / 1000 end
  end
end

function Reader:next()
  while not self.too_large do
    local line = self:line()
    if not line then return nil end
    if line == "" then
      local data, event = self.data, self.event
      self.data, self.event, self.size = nil, nil, 0
      if data then
        return { event = event and event ~= "" and event or "message",
          data = table.concat(data, "\n"), id = self.last_id ~= "" and self.last_id or nil }
      end
    else
      local colon = find(line, ":", 1, true)
      if not colon then field(self, line, "")
      elseif colon > 1 then
        local from = byte(line, colon + 1) == 32 and colon + 2 or colon + 1
        field(self, sub(line, 1, colon - 1), sub(line, from))
      end
    end
  end
end

return new
