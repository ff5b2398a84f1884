--- Lua text as tokens: as much of Lua as it takes to know where a statement stands.

local lexer = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or
  repeat return then true until while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end
lexer.KEYWORDS = KEYWORDS

--- Where the long string or comment that opens at `at` ends, nil if it does not; and whether
--- there is one.
local function long_end(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, last = source:find("]" .. level .. "]", at, true)
  return last, true
end

--- Where the short string that begins at `at` ends; nil if its line ends first.
local function short_end(source, at)
  local quote = source:sub(at, at)
  local from = at + 1
  while true do
    local found = source:find("[\\\n" .. quote .. "]", from)
    if not found then return nil end
    local byte = source:sub(found, found)
    if byte == quote then return found end
    if byte == "\n" then return nil end
    if source:sub(found + 1, found + 1) == "z" then
      from = source:match("^%s*()", found + 2)
    else
      from = found + 2
    end
  end
end

local SYMBOLS = { "^%.%.%.", "^%.%.", "^[=~<>]=", "^//", "^::", "^<<", "^>>", "^[%p]", "^." }

--- The kind of the token at `at`, its first and its last byte; nil at the end. The kinds are
--- name, keyword, string, number, symbol, comment and unfinished (a string or comment that
--- does not end).
local function next_token(source, at)
  at = source:match("^%s*()", at)
  if at > #source then return nil end
  local first = source:sub(at, at)
  local last = source:match("^[%a_][%w_]*()", at)
  if last then
    local word = source:sub(at, last - 1)
    return KEYWORDS[word] and "keyword" or "name", at, last - 1
  end
  if source:find("^%-%-", at) then
    local ended, long = long_end(source, at + 2)
    if long and not ended then return "unfinished", at, #source end
    return "comment", at, ended or (source:find("\n", at, true) or #source + 1) - 1
  end
  if first == '"' or first == "'" then
    local ended = short_end(source, at)
    return ended and "string" or "unfinished", at, ended or #source
  end
  if source:find("^%[=*%[", at) then
    local ended = long_end(source, at)
    return ended and "string" or "unfinished", at, ended or #source
  end
  if source:find("^%.?%d", at) then
    local pattern = source:find("^0[xX]", at) and "^0[xX][%x%.]*[pP]?[+-]?%w*()"
      or "^[%d%.]*[eE]?[+-]?[%w%.]*()"
    -- The sign belongs to an exponent only.
    local ended = source:match(pattern, at)
    local plain = source:match("^[%w%.]*()", at)
    local sign = source:find("[+-]", at)
    if sign and sign < ended and not source:sub(sign - 1, sign - 1):find("[eEpP]") then
      ended = plain
    end
    return "number", at, ended - 1
  end
  for _, pattern in ipairs(SYMBOLS) do
    local _, ended = source:find(pattern, at)
    if ended then return "symbol", at, ended end
  end
end

--- `for kind, first, last in lexer.tokens(source)`: the tokens, comments left out.
function lexer.tokens(source)
  local at = 1
  return function()
    local kind, first, last
    repeat
      kind, first, last = next_token(source, at)
      at = last and last + 1
    until kind ~= "comment"
    return kind, first, last
  end
end

--- The tokens as a list of {kind=, text=, first=, last=}.
function lexer.list(source)
  local list = {}
  for kind, first, last in lexer.tokens(source) do
    list[#list + 1] = { kind = kind, text = source:sub(first, last), first = first, last = last }
  end
  return list
end

return lexer
