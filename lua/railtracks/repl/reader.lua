--- What somebody has typed, cut into pieces that can be run one after the other, and made
--- into functions that see the variables of the session.
---
--- A local of the outermost block is to be seen by later lines. So `local x = 1` becomes
--- `x = 1`, and x a variable that the functions of later lines share as an upvalue.

local lexer = require "railtracks.repl.lexer"

local reader = {}

local load, upvaluejoin, getupvalue = load, debug.upvaluejoin, debug.getupvalue

-- ---- what it is ----

--- Whether a syntax error says that more has to come.
local function wants_more(message)
  return message:find("near <eof>$") and not message:find("unfinished string near <eof>$")
end

local OPENS = { ["do"] = true, ["function"] = true, ["if"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }
local BRACKETS = { ["("] = 1, ["{"] = 1, ["["] = 1, [")"] = -1, ["}"] = -1, ["]"] = -1 }

--- How many levels of blocks and brackets are open at the end of `source`, and where the
--- string or comment begins that does not end.
local function open_levels(source)
  local levels = 0
  for kind, first, last in lexer.tokens(source) do
    local text = source:sub(first, last)
    if kind == "unfinished" then return levels, first end
    if kind == "keyword" then
      levels = levels + (OPENS[text] and 1 or CLOSES[text] and -1 or 0)
    elseif kind == "symbol" then
      levels = levels + (BRACKETS[text] or 0)
    end
  end
  return levels
end

--- Without what Lua would not take behind an expression.
local function trimmed(source)
  return (source:gsub("[%s;]+$", ""))
end

local function lines_of(source)
  local lines = {}
  for line in (source .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

--- Statements with an expression behind them, as in a notebook: both, or nil.
local function split_last(source, name)
  local lines = lines_of(source)
  for at = #lines, 2, -1 do
    local tail = trimmed(table.concat(lines, "\n", at))
    if load("return " .. tail .. "\n", name, "t") then
      local head = table.concat(lines, "\n", 1, at - 1)
      if load(head .. "\nreturn " .. tail .. "\n", name, "t") then return head, tail end
    end
  end
end

--- What the text is: "expression", "statement", "both" (statements, then an expression on a
--- line of its own), "nothing" or "incomplete"; or nil and what is wrong with it. Of "both"
--- the two parts are returned as well; it is not looked for where a line is `alone`.
function reader.kind(source, name, alone)
  if source:find("^%s*=") and not source:find("^%s*==") then
    source = source:gsub("^(%s*)=", "%1 ")  -- as in the Lua of old
  end
  if not lexer.tokens(source)() then return "nothing" end
  name = name or "=stdin"
  local plain = trimmed(source)
  if plain == "" then return "statement" end
  local _, problem = load("return " .. plain .. "\n", name, "t")
  if not problem then return "expression" end
  local _, other = load(source, name, "t")
  if not other then return "statement" end
  if not alone then
    local head, tail = split_last(source, name)
    if head then return "both", head, tail end
  end
  if wants_more(problem) or wants_more(other) then return "incomplete" end
  return nil, other
end

--- Whether there is nothing more to come: what is typed can be run, or is wrong already.
function reader.is_complete(source)
  if source:find("^%s*:") then return true end
  return reader.kind(source) ~= "incomplete"
end

-- ---- pieces ----

local function is_command(line) return line:find("^%s*:%a") ~= nil end

--- How much text is looked at whole for every line that is added to it.
local SMALL = 1 << 13

--- Collects lines until they are something that can be run: `feed(line)` returns nil while
--- more has to come, else the text, its kind and, where that is nil, what is wrong.
function reader.collector(name)
  local lines, size, levels, open = {}, 0, 0, ""
  local collector = {}

  --- Whether a block or bracket is open, as far as can be told from the new line alone.
  local function is_inside(line)
    local text = open .. line .. "\n"
    local more, at = open_levels(text)
    levels = levels + more
    open = at and text:sub(at) or ""
    return levels > 0 or open ~= ""
  end

  --- What was collected, or nil; begins anew.
  function collector.rest()
    local rest = #lines > 0 and table.concat(lines, "\n") or nil
    lines, size, levels, open = {}, 0, 0, ""
    return rest
  end

  function collector.feed(line)
    if #lines == 0 and is_command(line) then return line, "command" end
    lines[#lines + 1] = line
    size = size + #line + 1
    if is_inside(line) and size > SMALL then return nil end
    local source = table.concat(lines, "\n")
    local kind, problem = reader.kind(source, name, true)
    if kind == "incomplete" then return nil end
    collector.rest()
    return source, kind, problem
  end

  function collector.is_empty() return #lines == 0 end

  return collector
end

--- A piece, as text, its kind and, where that is nil, what is wrong with it.
local function piece_of(source, name)
  if is_command(source) then return { source = source, kind = "command" } end
  local kind, head, tail = reader.kind(source, name)
  if kind == "both" then return { source = source, kind = kind, head = head, tail = tail } end
  if kind == "incomplete" then kind, head = nil, select(2, load(source, name, "t")) end
  return { source = source, kind = kind, problem = head }
end

reader.piece = piece_of

--- The pieces of what was typed or pasted at once: a list of {source=, kind=}, with what is
--- wrong as `problem` where there is no kind. It is one piece if Lua takes all of it as one;
--- if not, it is read line by line.
function reader.pieces(source, name)
  source = source:gsub("\r\n?", "\n")
  if is_command(source) and not source:find("\n%s*%S") then
    return { { source = source, kind = "command" } }
  end
  local whole = piece_of(source, name)
  local lines = lines_of(source)
  if whole.kind or #lines == 1 then return { whole } end
  local pieces, collector = {}, reader.collector(name)
  local function add(text, kind)
    if kind == "nothing" then return end
    pieces[#pieces + 1] = piece_of(text, name)
  end
  for _, line in ipairs(lines) do
    local text, kind = collector.feed(line)
    if text then add(text, kind) end
  end
  local rest = collector.rest()
  if rest then add(rest) end
  return #pieces > 1 and pieces or { whole }
end

-- ---- locals of the outermost block ----

--- Blanks, as many as there were bytes, and the lines kept.
local function blank(text) return (text:gsub("[^\n]", " ")) end

--- The statement `local a <const>, b` whose names begin at token `at`: the names, the token
--- behind them, and whether one is to be closed.
local function names_of(tokens, at)
  local names, closes = {}, false
  while true do
    names[#names + 1] = tokens[at]
    at = at + 1
    if tokens[at] and tokens[at].text == "<" then
      closes = closes or tokens[at + 1].text == "close"
      at = at + 3
    end
    if not (tokens[at] and tokens[at].text == ",") then return names, at, closes end
    at = at + 1
  end
end

--- The statements (which Lua takes) with the locals of the outermost block turned into
--- assignments, and the list of their names. What is to be closed stays local; its names are
--- returned as a second list.
function reader.hoist(source)
  local tokens = lexer.list(source)
  local parts, declared, closed = {}, {}, {}
  local depth, from = 0, 1
  local function replace(first, last, text)
    parts[#parts + 1] = source:sub(from, first - 1)
    parts[#parts + 1] = text
    from = last + 1
  end
  for at, token in ipairs(tokens) do
    if token.kind == "keyword" then
      if OPENS[token.text] then depth = depth + 1
      elseif CLOSES[token.text] then depth = depth - 1
      elseif token.text == "local" and depth == 0 then
        if tokens[at + 1].text == "function" then
          replace(token.first, token.last, blank(token.text))
          declared[#declared + 1] = tokens[at + 2].text
        else
          local names, behind, closes = names_of(tokens, at + 1)
          closes = closes or names[1].text == "_ENV"
          local list = closes and closed or declared
          for _, name in ipairs(names) do list[#list + 1] = name.text end
          if not closes then
            local last = tokens[behind - 1].last
            local written = {}
            for i, name in ipairs(names) do written[i] = name.text end
            local between = source:sub(token.first, last):gsub("[^\n]", "")
            local given = tokens[behind] and tokens[behind].text == "="
            replace(token.first, last,
              table.concat(written, ", ") .. between .. (given and "" or " = nil"))
          end
        end
      end
    end
  end
  parts[#parts + 1] = source:sub(from)
  return table.concat(parts), declared, closed
end

--- The names in the text that may be variables, as a set.
local function names_in(source)
  local names, before = {}, ""
  for kind, first, last in lexer.tokens(source) do
    local text = source:sub(first, last)
    if kind == "name" and before ~= "." and before ~= ":" then names[text] = true end
    before = text
  end
  return names
end
reader.names_in = names_in

-- ---- making functions of it ----

local function same(...) return ... end

--- A variable of the session: a function that returns its value, and has it as upvalue 1.
function reader.box(value)
  return function() return value end
end

function reader.set_box(box, value) debug.setupvalue(box, 1, value) end

--- The global of that name, without asking a metamethod.
function reader.peek(env, name)
  local value = rawget(env, name)
  local meta = value == nil and debug.getmetatable(env)
  local index = meta and rawget(meta, "__index")
  if type(index) == "table" then return rawget(index, name) end
  return value
end

--- The function that runs the piece: in `env`, with the variables of `boxes` (functions by
--- name), to which those that the piece declares are added. Also the names of what it will
--- close at its end. `first` is the number of its first row in messages, 1 unless given.
function reader.compile(piece, name, boxes, env, first)
  local body, declared, closed
  local function hoist(text)
    body, declared, closed = reader.hoist(text)
  end
  -- What an expression calls is no tail call: those are missing from tracebacks.
  if piece.kind == "expression" then
    hoist("")
    local text = trimmed(piece.source):gsub("^(%s*)=", "%1 ")
    body = "return __same(" .. text .. "\n)"
  elseif piece.kind == "both" then
    hoist(piece.head)
    body = body .. "\nreturn __same(" .. piece.tail .. "\n)"
  else
    hoist(piece.source)
  end

  local joined = {}
  for _, variable in ipairs(declared) do
    if not joined[variable] then
      -- Until it is assigned, it is what was seen under that name before: local x = x + 1
      local before = boxes[variable]
      joined[variable] = before and reader.box(before()) or reader.box(reader.peek(env, variable))
    end
  end
  local used = {}
  for variable in pairs(names_in(body)) do
    joined[variable] = joined[variable] or boxes[variable]
    if joined[variable] then used[#used + 1] = variable end
  end
  table.sort(used)
  used[#used + 1] = "__same"
  local text = ("\n"):rep((first or 1) - 1)
    .. ("local %s; return function(...) "):format(table.concat(used, ",")) .. body .. "\nend"
  local make, problem = load(text, name, "t", env)
  if not make then return nil, problem end
  local run = make()
  for i = 1, math.huge do
    local variable = getupvalue(run, i)
    if not variable then break end
    if variable == "__same" then debug.setupvalue(run, i, same)
    elseif joined[variable] and variable ~= "_ENV" then
      upvaluejoin(run, i, joined[variable], 1)
    end
  end
  for _, variable in ipairs(declared) do boxes[variable] = joined[variable] end
  return run, closed
end

return reader
