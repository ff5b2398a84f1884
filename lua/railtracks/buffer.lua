--- Bytes that have come in pieces and go out by number or by line. What a piece costs does not
--- depend on how many there are.

local Buffer = {}
Buffer.__index = Buffer

local byte, find, sub = string.byte, string.find, string.sub

local function new()
  -- `at`: where the first piece begins; `clean`: how many bytes from there have no newline.
  return setmetatable({ size = 0, first = 1, last = 0, at = 1, clean = 0, next = 1 }, Buffer)
end

function Buffer:add(piece)
  if piece == "" then return end
  self.last = self.last + 1
  self[self.last] = piece
  self.size = self.size + #piece
end

--- The first `count` bytes, which must be there.
function Buffer:take(count)
  if count == 0 then return "" end
  local first, at = self.first, self.at
  local piece = self[first]
  self.size, self.clean = self.size - count, 0
  if at + count <= #piece then
    self.at, self.next = at + count, first
    return sub(piece, at, at + count - 1)
  end
  local taken = {}
  repeat
    local left = #piece - at + 1
    if left > count then
      taken[#taken + 1] = sub(piece, at, at + count - 1)
      at, count = at + count, 0
    else
      taken[#taken + 1] = at == 1 and piece or sub(piece, at)
      self[first] = nil
      first, at, count = first + 1, 1, count - left
      piece = self[first]
    end
  until count == 0
  self.first, self.at, self.next = first, at, first
  return taken[2] and table.concat(taken) or taken[1]
end

--- What is left of the first piece; nil if there is nothing.
function Buffer:take_piece()
  if self.size == 0 then return nil end
  return self:take(#self[self.first] - self.at + 1)
end

--- The first line, without its newline or carriage return and newline; nil if it is not there
--- yet; nil and true, with nothing taken, if it has more than `longest` bytes.
function Buffer:take_line(longest)
  local line, too_long = self:take_text(longest)
  if not line then return nil, too_long end
  return byte(line, #line) == 13 and sub(line, 1, -2) or line
end

--- The same, but what stands before the newline is left as it is.
function Buffer:take_text(longest)
  for i = self.next, self.last do
    local from = i == self.first and self.at or 1
    local stop = find(self[i], "\n", from, true)
    if stop then
      local size = self.clean + stop - from
      if size > longest then return nil, true end
      return sub(self:take(size + 1), 1, size)
    end
    self.clean = self.clean + #self[i] - from + 1
    self.next = i + 1
  end
  return nil, self.clean > longest
end

return new
