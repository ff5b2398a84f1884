--- What Tab can make of what was typed. Nothing of the user's runs: tables are read raw, and
--- __index is followed where it is a table.

local core = require "railtracks.core"
local doc = require "railtracks.repl.doc"
local lexer = require "railtracks.repl.lexer"
local rt = require "railtracks"
local text = require "railtracks.show".text

local complete = {}

local MOST_LISTED = 200

-- ---- names ----

--- The names that can follow the value: a set. `methods`: only what can be called.
local function names_behind(value, methods)
  local found = {}
  local function add(names)
    for name in pairs(names) do found[name] = true end
  end
  local function add_list(list)
    for _, name in ipairs(list) do found[name] = true end
  end
  if value == rt then return doc.fields_of_rt() end
  if type(value) == "string" then value = string end
  for _ = 1, 20 do
    if core.is_node(value) then
      add_list(methods and { "with" }
        or { "name", "description", "params", "record", "retries", "timeout", "with" })
      return found
    end
    local meta = debug.getmetatable(value)
    meta = type(meta) == "table" and meta or {}
    local class = rawget(meta, "__metatable")
    class = type(class) == "string" and class:match("^railtracks%.(%a+)$")
    if class then
      add_list(doc.methods_of(class))
      if class == "Task" and not methods then add { id = true, node = true } end
    end
    if type(value) == "table" then
      for key, field in next, value do
        if type(key) == "string" and key:find("^[%a_][%w_]*$")
          and (not methods or type(field) == "function" or core.is_node(field)) then
          found[key] = true
        end
      end
    end
    value = rawget(meta, "__index")
    if type(value) ~= "table" then return found end
  end
  return found
end

--- All names that can begin an expression or a statement.
local function first_names(session)
  local found = {}
  for name, box in pairs(session.boxes) do
    if box() ~= nil then found[name] = true end
  end
  for name in pairs(names_behind(session.env)) do found[name] = true end
  for word in pairs(lexer.KEYWORDS) do found[word] = true end
  for name in pairs(require "railtracks.repl.session".WORDS) do found[name] = true end
  return found
end
complete.names_behind, complete.first_names = names_behind, first_names

-- ---- files ----

--- Paths that begin with `part`, folders with a slash behind them.
local function paths(part)
  local folder, head = part:match("^(.*/)([^/]*)$")
  folder, head = folder or "", head or part
  local shown = folder:gsub("^~/", (os.getenv "HOME" or "~") .. "/")
  -- The names end with a zero byte: a name may hold anything else.
  local command = ("find %s -mindepth 1 -maxdepth 1 \\( -type d -printf '%%f/\\0' \\) "
    .. "-o \\( -xtype d -printf '%%f/\\0' \\) -o -printf '%%f\\0' 2>/dev/null"):format(
    "'" .. (shown == "" and "." or shown):gsub("'", "'\\''") .. "'")
  local pipe = io.popen(command)
  local found = {}
  for name in (pipe and pipe:read("a") or ""):gmatch("([^\0]+)\0") do
    local hidden = name:sub(1, 1) == "." and head:sub(1, 1) ~= "."
    if name:sub(1, #head) == head and not hidden and not name:find("[%c]") then
      found[folder .. name] = true
    end
  end
  if pipe then pipe:close() end
  return found
end

-- ---- what is being typed ----

--- The call whose brackets are open at the end of `head`: what is called, and the arguments
--- before the cursor.
local function open_call(head)
  local open, before = {}, nil
  for kind, first, last in lexer.tokens(head) do
    local token = head:sub(first, last)
    if kind == "symbol" and (token == "(" or token == "{" or token == "[") then
      local path = token == "(" and before and head:sub(1, first - 1):match("([%a_][%w_.:]*)%s*$")
      open[#open + 1] = { path = path, from = last + 1 }
    elseif kind == "symbol" and (token == ")" or token == "}" or token == "]") then
      open[#open] = nil
    end
    before = (kind == "name" or token == ")") and token or nil
  end
  for i = #open, 1, -1 do
    if open[i].path then return open[i].path, head:sub(open[i].from) end
  end
end

local TAKES_NODE = { ["rt.call"] = 1, ["rt.spawn"] = 1, ["rt.map"] = 1, ["rt.timeout"] = 2,
  ["rt.shield"] = 1, ["rt.retry"] = 2, ["rt.run"] = 1 }

--- What to tell of the call that is being typed; nil where it is not known.
local function call_text(session, head)
  local path, args = open_call(head)
  if not path then return nil end
  local value = doc.value_of(session, path)
  local at = TAKES_NODE[path]
  if at and value then
    local words = {}
    for word in (args .. ","):gmatch "([^,]*)," do words[#words + 1] = word:match "^%s*(.-)%s*$" end
    local node = words[at] and words[at + 1] and doc.value_of(session, words[at])
    if node and doc.params_of(node) then path, value = words[at], node end
  end
  local params = value ~= nil and doc.params_of(value)
  if not params then return nil end
  local described = core.is_node(value) and value.description
  return ("%s(%s)%s\n"):format(path, params, described and "  " .. described or "")
end

-- ---- the list ----

--- A candidate as it is listed: what can be called with its parameters.
local function label(name, value)
  local params = value ~= nil and doc.params_of(value)
  return params and ("%s(%s)"):format(name, params) or name
end

--- The labels in columns.
local function columns(labels, width)
  local more = #labels - MOST_LISTED
  local widest = 0
  for i = 1, math.min(#labels, MOST_LISTED) do
    labels[i] = text.fit(labels[i], width - 2)
    widest = math.max(widest, text.width_of(labels[i]))
  end
  local shown = math.min(#labels, MOST_LISTED)
  local across = math.max(1, (width + 1) // (widest + 2))
  local rows = (shown + across - 1) // across
  local lines = {}
  for row = 1, rows do
    local line = {}
    for column = 0, across - 1 do
      local at = column * rows + row
      if at <= shown then
        line[#line + 1] = at + rows <= shown and text.pad_right(labels[at], widest) or labels[at]
      end
    end
    lines[row] = table.concat(line, "  ")
  end
  if more > 0 then lines[#lines + 1] = ("… %d more"):format(more) end
  return table.concat(lines, "\n") .. "\n"
end

--- What follows the only candidate.
local function follower(name, value)
  if value == nil then return lexer.KEYWORDS[name] and " " or nil end
  if type(value) == "function" or core.is_node(value) then return "(" end
  if value == rt or (type(value) == "table" and package.loaded[name] == value) then return "." end
end

--- The names of the set that begin with `part`, sorted.
local function matching(names, part)
  local found = {}
  for name in pairs(names) do
    if name:sub(1, #part) == part then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

--- Candidates of plain words: `typed` of each stands there already.
local function answer(session, names, typed, value_of, follow)
  local found = matching(names, typed)
  local labels = {}
  for i, name in ipairs(found) do
    if #found <= MOST_LISTED then
      labels[i] = label(name, value_of and value_of(name))
    else
      labels[i] = name
    end
  end
  local single = #found == 1 and (follow and follow(found[1])
    or value_of and follower(found[1], value_of(found[1])))
  return found, single or nil, #found > 1 and columns(labels, session.width()) or nil
end

--- The same where a word is only the end of what is completed: `typed` of which `word` is.
local function tails(session, names, typed, word, follow)
  local found, single, listing = answer(session, names, typed, nil, follow)
  for i, name in ipairs(found) do found[i] = name:sub(#typed - #word + 1) end
  return found, single, listing
end

local function command_names()
  local found = {}
  for name in pairs(require "railtracks.repl.commands".list) do found[name] = true end
  return found
end

--- The candidates for the word at `from` .. `to` (bytes before it, and up to its end) of the
--- text: a list, what follows a single one, a text that lists them, one to be shown instead.
function complete.candidates(session, line, from, to)
  local head = line:sub(1, to)
  local word = line:sub(from + 1, to)

  local command = head:match("^%s*:(%a*)$")
  if command then
    return answer(session, command_names(), command, nil, function() return " " end)
  end
  local name, rest = head:match("^%s*:(%a+)%s+(.*)$")
  local kind = name and require "railtracks.repl.commands".list[name]
  kind = kind and kind.completes
  if kind == "files" then
    return tails(session, paths(rest), rest, word, function() return nil end)
  elseif kind == "commands" then
    return answer(session, command_names(), rest)
  elseif kind == "calls" then
    local ids = {}
    for _, call in ipairs((require "railtracks.console".calls(1000))) do ids[call.id] = true end
    return tails(session, ids, rest, word)
  elseif name then
    head = rest
  end

  local last
  for what, first, ended in lexer.tokens(head) do last = { what, first, ended } end
  if last and last[1] == "unfinished" then
    local quote = head:sub(last[2], last[2])
    if quote == "-" or quote == "[" then return {} end
    local inside = head:sub(last[2] + 1)
    if head:sub(1, last[2] - 1):find("nodes%s*%[%s*$") then
      return tails(session, rt.nodes, inside, word, function() return quote end)
    end
    return tails(session, paths(inside), inside, word, function(found)
      return found:sub(-1) ~= "/" and quote or nil
    end)
  end

  local path, separator = head:sub(1, #head - #word):match("([%a_][%w_.:]*)%s*([.:])$")
  if not path and head:sub(1, #head - #word):find("[\"']%)?:$") then
    path, separator = "string", "."
  end
  if separator then
    local value = doc.value_of(session, path)
    if value == nil then return {} end
    return answer(session, names_behind(value, separator == ":"), word, function(key)
      return doc.field(value, key)
    end)
  end
  if head:sub(1, #head - #word):find("[.:%])]$") and not head:find("%.%.$") and word == "" then
    return {}
  end
  if word == "" then
    local told = call_text(session, head)
    if told then return {}, nil, nil, told end
  end
  return answer(session, first_names(session), word, function(key)
    return doc.value_of(session, key)
  end)
end

return complete
