--- Values as text to be read: nested tables indented, what is long cut with a count, keys in
--- order. Tables are read raw; the only code of the user's that runs is __tostring.

local core = require "railtracks.core"
local lexer = require "railtracks.repl.lexer"
local text = require "railtracks.show".text

local clean, fit, grouped, width_of = text.clean, text.fit, text.grouped, text.width_of

local printer = {}

local MOST_ITEMS = 100     -- of the value itself
local MOST_INNER = 20      -- of a table in it
local MOST_KEYS = 10000    -- that are put in order
local MOST_COUNTED = 10000000
local MOST_LINES = 300     -- of all of it
local DEEPEST = 8
local LONGEST_TEXT = 2000  -- columns of a string that stands alone
local LONGEST_INNER = 200
local MOST_IN_ROW = 24     -- columns of an item that shares its line

---@class railtracks.repl.Printer
---@field width integer    columns there are
---@field paint fun(colour: string, text: string): string

-- ---- single values ----

local COLOURS = {
  string = "done", number = "running", boolean = "cancelled", ["nil"] = "dim",
}

local function quoted(value, room)
  local head = #value > room and value:sub(1, room * 4) or value
  head = clean(head:gsub('["\\]', "\\%0"))
  local shown = #value <= room and fit(head, math.max(room - 2, 8))
  if shown == head then return '"' .. shown .. '"' end
  local size = (" (%s bytes)"):format(grouped(#value))
  if room < LONGEST_TEXT then room = room - #size end
  return '"' .. fit(head, math.max(room - 2, 8)) .. '"' .. size
end

local function number_text(value)
  if value ~= value then return "nan" end
  if value == math.huge then return "inf" end
  if value == -math.huge then return "-inf" end
  if math.type(value) == "integer" then return ("%d"):format(value) end
  local short = ("%.14g"):format(value)
  if tonumber(short) ~= value then short = ("%.17g"):format(value) end
  return short:find("[%.eE]") and short or short .. ".0"
end

--- The names of a function's parameters: "a, b, ...".
function printer.params_of(fn)
  local info = debug.getinfo(fn, "u")
  local names = {}
  for i = 1, info.nparams do names[i] = debug.getlocal(fn, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

local function place_of(info)
  local file = info.source:match("^[@=](.*)") or info.short_src
  return ("%s:%d"):format(clean(file), info.linedefined)
end

local function function_text(value)
  local info = debug.getinfo(value, "S")
  if info.what == "C" or info.source:find("^=railtracks:") then
    return "function " .. clean(core.node_name(value))
  end
  return ("function (%s) %s"):format(printer.params_of(value), place_of(info))
end

--- "Node split_text(text: string, most: integer?)"
function printer.node_text(node)
  local parts = {}
  for i, param in ipairs(node.params or {}) do
    parts[i] = ("%s: %s%s"):format(clean(param.name), param.type or "any",
      param.optional and "?" or "")
  end
  if not node.params then
    local run = core.node_body(node)
    local info = debug.getinfo(run, "S")
    if info.what ~= "C" and not info.source:find("^=railtracks:") then
      parts[1] = printer.params_of(run)
    else
      parts[1] = "..."
    end
  end
  return ("Node %s(%s)"):format(clean(node.name), table.concat(parts, ", "))
end

--- What __tostring says of the value, nil without one; the reason if it fails.
local function own_text(value, meta)
  local own = meta and rawget(meta, "__tostring")
  if own == nil then return nil end
  local ok, said = require "railtracks.console".guard(tostring, value)
  if not ok then return ("<__tostring failed: %s>"):format(fit(tostring(said), 60)) end
  return said
end

local function name_of_class(meta)
  local name = meta and rawget(meta, "__name")
  return type(name) == "string" and clean(name) or nil
end

local IDENTIFIER = "^[%a_][%w_]*$"

local function is_identifier(key)
  return type(key) == "string" and #key < 100 and key:find(IDENTIFIER)
    and not lexer.KEYWORDS[key]
end

-- ---- tables ----

local RANK = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local left, right = RANK[type(a)] or 4, RANK[type(b)] or 4
  if left ~= right then return left < right end
  if left <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

--- How long the list in the table is, its other keys in order, and how many more keys it has
--- (`true` behind that: at least).
local function contents(value)
  local length = rawlen(value)
  while length > 0 and rawget(value, length) == nil do length = length - 1 end
  local keys, more, seen = {}, 0, 0
  for key in next, value do
    seen = seen + 1
    if seen > MOST_COUNTED then break end
    if not (math.type(key) == "integer" and key >= 1 and key <= length) then
      if #keys < MOST_KEYS then keys[#keys + 1] = key else more = more + 1 end
    end
  end
  -- Tables and the like have no order but that of their addresses: only plain keys are sorted.
  local plain, others = {}, {}
  for _, key in ipairs(keys) do
    local list = (RANK[type(key)] and key == key) and plain or others
    list[#list + 1] = key
  end
  table.sort(plain, before)
  table.move(others, 1, #others, #plain + 1, plain)
  return length, plain, more, seen > MOST_COUNTED
end

local Writer = {}
Writer.__index = Writer

function Writer:paint(kind, shown)
  local colour = COLOURS[kind] or "bold"
  return self.options.paint and self.options.paint(colour, shown) or shown
end

--- A value on one line, in about `room` columns: the text and its width. Tables are not
--- entered past `depth` levels.
function Writer:atom(value, room)
  local kind = type(value)
  local shown
  if kind == "string" then
    shown = quoted(value, math.max(room, 10))
  elseif kind == "number" then
    shown = number_text(value)
  elseif kind == "function" then
    shown = function_text(value)
  elseif core.is_node(value) then
    shown = printer.node_text(value)
  elseif kind == "nil" or kind == "boolean" then
    shown = tostring(value)
  else
    local meta = debug.getmetatable(value)
    local said = own_text(value, meta)
    if said then
      -- What has several lines keeps them, where it stands alone.
      if room >= LONGEST_TEXT and said:find("\n") and #said < 100000 then
        local lines = {}
        for line in said:gmatch("[^\n]*") do lines[#lines + 1] = clean(line) end
        return table.concat(lines, "\n"), math.huge
      end
      shown = fit(said, room)
    elseif kind == "thread" then
      shown = ("thread (%s)"):format(coroutine.status(value))
    elseif kind == "userdata" then
      shown = name_of_class(meta) or "userdata"
    end
  end
  if not shown then return nil end
  return self:paint(kind, shown), width_of(shown)
end

function Writer:key_text(key)
  if is_identifier(key) then return key, #key end
  local shown, width = self:atom(key, 60)
  if not shown then shown, width = "{…}", 3 end
  return "[" .. shown .. "]", width + 2
end

--- What is said in place of a table that is not entered.
function Writer:closed(value, why)
  local name = name_of_class(debug.getmetatable(value))
  local shown = (name and name .. " " or "") .. why
  return self:paint("nil", shown), width_of(shown)
end

--- The items to be shown of a table as {key =, value =}, and how many more there are.
local function items_of(length, keys, more, at_least, value, most)
  local items = {}
  for i = 1, math.min(length, most) do items[i] = { value = rawget(value, i) } end
  local left = most - #items
  for i = 1, math.min(#keys, math.max(left, length > most and 5 or 0)) do
    items[#items + 1] = { key = keys[i], named = true, value = rawget(value, keys[i]) }
  end
  return items, length + #keys + more - #items, at_least
end

--- The same, looked up once for each table.
function Writer:items(value, depth)
  local known = self.known[value]
  if not known then
    known = table.pack(contents(value))
    self.known[value] = known
  end
  local most = depth == 1 and MOST_ITEMS or MOST_INNER
  return items_of(known[1], known[2], known[3], known[4], value, most)
end

local function rest_text(hidden, at_least)
  return ("… %s%s more"):format(grouped(hidden), at_least and "+" or "")
end

--- The table on one line, if that fits into `room` columns; else nil.
function Writer:inline(value, room, depth)
  local name = name_of_class(debug.getmetatable(value))
  local parts, width = {}, name and #name + 3 or 2
  self.inside[value] = true
  local items, hidden, at_least = self:items(value, depth)
  local function give_up()
    self.inside[value] = nil
  end
  if #items * 3 > room + 3 then return give_up() end
  for i, item in ipairs(items) do
    local shown = ""
    if item.named then
      local key, key_width = self:key_text(item.key)
      shown, width = key .. " = ", width + key_width + 3
    end
    if width > room then return give_up() end
    local inner, inner_width = self:value(item.value, room - width, depth + 1, true)
    if not inner then return give_up() end
    width = width + inner_width + (i > 1 and 2 or 0)
    if width > room then return give_up() end
    parts[i] = shown .. inner
  end
  if hidden > 0 then
    parts[#parts + 1] = self:paint("nil", rest_text(hidden, at_least))
    width = width + width_of(rest_text(hidden, at_least)) + 2
    if width > room then return give_up() end
  end
  self.inside[value] = nil
  return (name and name .. " " or "") .. "{" .. table.concat(parts, ", ") .. "}", width
end

--- The table on several lines. Short items of a list share a line.
function Writer:block(value, depth)
  local room = math.max(self.options.width - 2 * (depth - 1), 20)
  local name = name_of_class(debug.getmetatable(value))
  local lines = { (name and name .. " " or "") .. "{" }
  local indent = ("  "):rep(depth)
  local row, row_width = {}, 0
  local function add(line)
    self.lines = self.lines + 1
    lines[#lines + 1] = indent .. line .. ","
  end
  local function end_row()
    if #row > 0 then add(table.concat(row, ", ")) end
    row, row_width = {}, 0
  end
  self.inside[value] = true
  local items, hidden, at_least = self:items(value, depth)
  for i, item in ipairs(items) do
    if self.lines > MOST_LINES then
      hidden = hidden + #items - i + 1
      break
    end
    local head, head_width = "", 0
    if item.named then
      head, head_width = self:key_text(item.key)
      head, head_width = head .. " = ", head_width + 3
    end
    local shown, width = self:value(item.value, room - 2 - head_width - 1, depth + 1)
    if item.named or width > MOST_IN_ROW then
      end_row()
      add(head .. shown)
    else
      if row_width + width + 3 > room then end_row() end
      row[#row + 1] = shown
      row_width = row_width + width + 2
    end
  end
  end_row()
  if hidden > 0 then
    lines[#lines + 1] = indent .. self:paint("nil", rest_text(hidden, at_least))
  end
  lines[#lines + 1] = ("  "):rep(depth - 1) .. "}"
  self.inside[value] = nil
  return table.concat(lines, "\n"), math.huge
end

--- The text of a value and its width; `flat`: on one line, or nil where that does not do.
function Writer:value(value, room, depth, flat)
  local alone = depth == 1 and LONGEST_TEXT or flat and LONGEST_INNER
    or math.min(math.max(room, 20), LONGEST_INNER)
  local shown, width = self:atom(value, alone)
  if shown then return shown, width end
  if self.inside[value] then return self:closed(value, "<cycle>") end
  if next(value) == nil then return self:closed(value, "{}") end
  if depth > DEEPEST then return self:closed(value, "{…}") end
  local inline, inline_width = self:inline(value, room, depth)
  if inline or flat then return inline, inline_width end
  return self:block(value, depth)
end

local function new_writer(options)
  return setmetatable({ options = options, inside = {}, known = {}, lines = 0 }, Writer)
end

--- The value as text of one or several lines.
---@param value any
---@param options railtracks.repl.Printer
function printer.format(value, options)
  return (new_writer(options):value(value, options.width, 1))
end

--- The same on one line of at most `room` columns, as much of it as fits.
function printer.brief(value, room)
  local writer = new_writer {}
  local shown = writer:value(value, room, 2, true) or writer:closed(value, "{…}")
  return fit(shown, room)
end

return printer
