--- Names that somebody may have meant.

local near = {}

--- How many letters must be changed, added, dropped or exchanged with their neighbour to make
--- one word of the other; more than `most` is `most + 1`.
local function distance(a, b, most)
  if math.abs(#a - #b) > most then return most + 1 end
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local older
    older, before, row = before, row, {}
    row[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], older[j - 2] + 1)
      end
    end
  end
  return row[#b]
end

--- The name nearest to `word` among the keys of `names`; nil where none is near.
function near.nearest(word, names)
  local most = #word <= 2 and 0 or #word <= 5 and 1 or #word <= 8 and 2 or 3
  local best, least
  for name in pairs(names) do
    if type(name) == "string" and name ~= word then
      local far = distance(word:lower(), name:lower(), most)
      if far <= most and (not least or far < least or far == least and name < best) then
        best, least = name, far
      end
    end
  end
  return best
end

return near
