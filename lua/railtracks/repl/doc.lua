--- What is known of a name: parameters, a description, where it was defined. Of our own
--- functions the types tell it (lua/meta), of others the comment above them.

local console = require "railtracks.console"
local core = require "railtracks.core"
local printer = require "railtracks.repl.printer"
local reader = require "railtracks.repl.reader"
local rt = require "railtracks"

local doc = {}

-- ---- our own functions ----

local documented

--- What stands above a function: text, then what each tag says.
local function read_comment(lines)
  local text, tags = {}, {}
  for _, line in ipairs(lines) do
    local tag = line:match("^%-%-%-@(.*)$")
    if tag then tags[#tags + 1] = tag else text[#text + 1] = line:gsub("^%-+ ?", "") end
  end
  return { text = table.concat(text, "\n"), tags = tags }
end

--- By name ("rt.call", "Task:await"): {params=, text=, tags=}.
local function read_types()
  if documented then return documented end
  documented = {}
  local above = {}
  for line in (console.embedded("railtracks.meta") .. "\n"):gmatch("(.-)\n") do
    local name, params = line:match("^function ([%w_.:]+)%((.*)%) end$")
    if name then
      local entry = read_comment(above)
      entry.params, entry.name = params, name
      documented[name] = entry
    end
    if line:find("^%-%-%-") then above[#above + 1] = line else above = {} end
  end
  return documented
end

--- The methods of one of our classes ("Task"), as a sorted list.
function doc.methods_of(class)
  local found = {}
  for name in pairs(read_types()) do
    local method = name:match("^" .. class .. ":(.*)$")
    if method then found[#found + 1] = method end
  end
  table.sort(found)
  return found
end

--- The names of the fields of rt, without loading what is behind them.
function doc.fields_of_rt()
  local found = {}
  for name in pairs(read_types()) do
    local field = name:match("^rt%.([%w_]+)")
    if field then found[field] = true end
  end
  for key in next, rt do
    if type(key) == "string" then found[key] = true end
  end
  return found
end

--- The name under which a function of ours or of Lua's is documented.
local function name_of(value)
  local name = core.node_name(value):gsub("^railtracks%.", "rt.")
  local meta = getmetatable("").__index
  if read_types()[name] or require "railtracks.repl.stdlib"[name] then return name end
  if meta[name] == value then return "string." .. name end
  return nil
end

local function entry_of(value)
  local info = debug.getinfo(value, "S")
  local ours = info.what == "C" or info.source:find("^=railtracks:")
  if not ours then return nil end
  for name, entry in pairs(read_types()) do
    local found = name:find("^rt%.") and rt
    for key in name:sub(4):gmatch("[%w_]+") do
      found = type(found) == "table" and rawget(found, key) -- loads nothing
    end
    if found == value then return entry end
  end
  local name = name_of(value)
  if not name then return nil end
  return read_types()[name] or { name = name, params = require "railtracks.repl.stdlib"[name] }
end

-- ---- other functions ----

--- The comment right above the line `at` of a source: its lines without the dashes.
local function comment_above(lines, at)
  local found = {}
  while at > 1 do
    local text = lines[at - 1]:match("^%s*%-%-+ ?(.*)$")
    if not text or text:find("^@") then break end
    table.insert(found, 1, text)
    at = at - 1
  end
  return table.concat(found, "\n")
end

--- The lines that a function was defined in; nil where they are not to be had.
local function lines_of(session, info)
  local path, text = info.source:match("^@(.*)$"), nil
  if path then
    local file = io.open(path, "r")
    text = file and file:read("a")
    if file then file:close() end
  else
    local number = tonumber(info.source:match("^=line (%d+)$"))
    for _, line in ipairs(session.lines) do
      if line.number == number then text = line.source end
    end
  end
  if not text then return nil end
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  return lines
end

local function place_of(info)
  return ("%s:%d"):format(info.source:match("^[@=](.*)") or info.short_src, info.linedefined)
end

--- What a function or node is called with, "" for nothing known; nil where it cannot be called.
function doc.params_of(value)
  if core.is_node(value) then
    return printer.node_text(value):match("(%b())$"):sub(2, -2)
  elseif type(value) ~= "function" then
    return nil
  end
  local entry = entry_of(value)
  if entry then return entry.params end
  if debug.getinfo(value, "S").what == "C" then return "..." end
  return printer.params_of(value)
end

-- ---- names ----

--- A field of a value, without running anything of the user's.
function doc.field(value, key)
  if value == rt then return rt[key] end
  if type(value) == "string" then value = string end
  for _ = 1, 20 do
    if core.is_node(value) then
      local known = { name = 1, description = 1, params = 1, record = 1, retries = 1, timeout = 1,
        with = 1 }
      return known[key] and value[key] or nil
    end
    if type(value) == "table" then
      local found = rawget(value, key)
      if found ~= nil then return found end
    end
    local meta = debug.getmetatable(value)
    local class = type(meta) == "table" and rawget(meta, "__metatable")
    if type(class) == "string" and class:find("^railtracks%.") then return value[key] end
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) ~= "table" then return nil end
    value = index
  end
end

--- The value of a path of names ("a.b:c") in the session, nil where there is none.
function doc.value_of(session, path)
  local first, rest = path:match("^([%a_][%w_]*)(.*)$")
  if not first then return nil end
  local box = session.boxes[first]
  local value
  if box then value = box() else value = reader.peek(session.env, first) end
  if value == nil then value = rt.nodes[first] end
  for key in rest:gmatch "[.:]([%w_]+)" do
    if value == nil then return nil end
    value = doc.field(value, key)
  end
  return value
end

-- ---- :doc ----

local function describe_node(node)
  local parts = { printer.node_text(node) }
  if node.description then parts[#parts + 1] = node.description end
  for _, param in ipairs(node.params or {}) do
    if param.description then
      parts[#parts + 1] = ("  %s  %s"):format(param.name, param.description)
    end
  end
  return parts
end

local function describe_entry(entry)
  local parts = { ("%s(%s)"):format(entry.name, entry.params) }
  if entry.text and entry.text ~= "" then parts[#parts + 1] = entry.text end
  for _, tag in ipairs(entry.tags or {}) do
    local kind, said = tag:match("^(%a+) (.+)$")
    if kind == "param" then
      parts[#parts + 1] = "  " .. said
    elseif kind == "return" then
      parts[#parts + 1] = "  returns " .. said
    elseif kind == "overload" then
      parts[#parts + 1] = "  also " .. said
    end
  end
  return parts
end

local function describe_function(session, name, fn)
  local info = debug.getinfo(fn, "S")
  local parts = { ("%s(%s)"):format(name, doc.params_of(fn)) }
  if info.what == "C" then return parts end
  local lines = lines_of(session, info)
  local comment = lines and comment_above(lines, info.linedefined) or ""
  if comment ~= "" then parts[#parts + 1] = comment end
  parts[#parts + 1] = "defined at " .. place_of(info)
  return parts
end

--- Everything known of the name, as text; nil where nothing is.
function doc.describe(session, name)
  local types = read_types()
  local value = doc.value_of(session, name)
  local entry = types[name] or types["rt." .. name]
    or type(value) == "function" and entry_of(value)
  if core.is_node(value) then
    local parts = describe_node(value)
    local run = core.node_body(value)
    local info = debug.getinfo(run, "S")
    local lines = info.what ~= "C" and lines_of(session, info)
    local comment = lines and comment_above(lines, info.linedefined) or ""
    if comment ~= "" and not value.description then table.insert(parts, 2, comment) end
    if lines then parts[#parts + 1] = "defined at " .. place_of(info) end
    return table.concat(parts, "\n")
  elseif entry and (value == nil or type(value) == "function") then
    return table.concat(describe_entry(entry), "\n")
  elseif type(value) == "function" then
    return table.concat(describe_function(session, name, value), "\n")
  elseif value ~= nil then
    return ("%s is a %s: %s"):format(name, type(value), printer.brief(value, 60))
  end
end

return doc
