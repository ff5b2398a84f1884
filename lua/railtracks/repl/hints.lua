--- What to type instead, where a mistake is one that people make who come from elsewhere.

local complete = require "railtracks.repl.complete"
local doc = require "railtracks.repl.doc"
local lexer = require "railtracks.repl.lexer"
local near = require "railtracks.repl.near"
local rt = require "railtracks"

local hints = {}

local AWAIT = "Lua has no await: rt.call(node, ...) calls and waits, "
  .. "task:await() for a spawned task"

-- ---- syntax ----

--- A pattern in what was typed, and what to say; %1 is what the pattern has captured.
local MISTAKES = {
  { "%f[%w_]await%s+[%a_]", AWAIT },
  { "%f[%w_]async%s+%a", "any function may wait, none is async; rt.spawn(f) starts one beside" },
  { "^%s*for%s*%(", "write for i = 1, n do ... end" },
  { "([%w_%.]+)%s*%+%+", "write %1 = %1 + 1" },
  { "([%w_%.]+)%s*([%+%-%*/])=%s*([^=]+)$", "write %1 = %1 %2 %3" },
  { "!=", "'not equal' is ~= in Lua" },
  { "&&", "write 'and'" },
  { "||", "write 'or'" },
  { "!%s*[%a_%(]", "write 'not'" },
  { "^%s*var%s+", "write 'local'" },
  { "^%s*let%s+", "write 'local'" },
  { "^%s*const%s+", "write 'local'" },
  { "^%s*import%s+([%w_.]+)", 'write local %1 = require "%1"' },
  { "^%s*from%s+([%w_.]+)%s+import", 'write local %1 = require "%1"' },
  { "^%s*def%s+([%w_]+)", "write function %1(...) ... end" },
  { "=>", "write function(...) return ... end" },
  { "^%s*lambda%s", "write function(...) return ... end" },
  { "^%s*print%s+([%w_]+)", "write print(%1)" },
  { "^%s*if%s.*[%w_%)]%s*=%s*[%w_\"'].*then", "'equal' is == in Lua" },
  { "^%s*if%s.*{%s*$", "write if ... then ... end" },
  { "^%s*while%s.*{%s*$", "write while ... do ... end" },
  { "%f[%w_]elif%s", "write 'elseif'" },
  { "^%s*switch%s", "write if ... elseif ... end" },
  { "^%s*try%s*{?", "write local ok, result = pcall(f, ...)" },
  { "^%s*/([%a]+)", "commands begin with a colon: :%1" },
  { "^%s*%.([%a]+)%s*$", "commands begin with a colon: :%1" },
  { "^%s*%%(%a+)", "commands begin with a colon: :%1" },
}

--- What may help with a text that is no Lua; nil for nothing.
function hints.for_syntax(_, source)
  local word, rest = source:match("^%s*(%a+)%s+(%S.*)$")
  local list = require "railtracks.repl.commands".list
  if word == "help" and not list[rest] then return ("write :doc %s"):format(rest) end
  if list[word] then
    return ("a command begins with a colon: :%s %s"):format(word, rest)
  end
  for _, mistake in ipairs(MISTAKES) do
    local found = table.pack(source:find(mistake[1]))
    if found[1] then
      return (mistake[2]:gsub("%%(%d)", function(at) return found[at + 2] or "" end))
    end
  end
end

-- ---- names ----

--- What is said of a name that nothing has.
local function for_name(session, name)
  if name == "await" then return AWAIT end
  local there = rt.nodes[name]
  if there then return ("there is a node of that name: rt.nodes[%q]"):format(name) end
  if doc.fields_of_rt()[name] then return ("write rt.%s"):format(name) end
  if require "railtracks.repl.commands".list[name] then
    return ("a command begins with a colon: :%s"):format(name)
  end
  local names = complete.first_names(session)
  for keyword in pairs(lexer.KEYWORDS) do names[keyword] = nil end
  for node in pairs(rt.nodes) do names[node] = true end
  local nearest = near.nearest(name, names)
  if nearest then return ("there is no %s; did you mean %s?"):format(name, nearest) end
  return ("there is no %s; where a script defines it, :load SCRIPT comes first"):format(name)
end

--- A field or method of that name is nil: what the value in front of it has.
local function for_field(session, source, name)
  for path in source:gmatch("([%a_][%w_.]*)[.:]" .. name .. "%f[^%w_]") do
    local value = doc.value_of(session, path)
    local nearest = value ~= nil and near.nearest(name, complete.names_behind(value))
    if nearest then return ("did you mean %s.%s?"):format(path, nearest) end
  end
end

--- A function of ours was given what is no node.
local function for_node(session, source, name, given)
  local fn = source:match("rt:(%a[%w_]*)")
  if fn and doc.fields_of_rt()[fn] then
    return ("write rt.%s with a dot: rt.%s(node, ...)"):format(fn, fn)
  end
  local pattern = name:gsub("%.", "%%.")
  local text = source:match(pattern .. "%s*%(?%s*[\"']([^\"']*)[\"']")
  if given == "string" and text then
    local nearest = rt.nodes[text] and text or near.nearest(text, rt.nodes)
    if nearest then
      return ("a node is called by the node itself: %s(rt.nodes[%q], ...)"):format(name, nearest)
    end
    return ("a node is called by the node itself, not by its name, and none is named %q; "
      .. "where a script defines it, :load SCRIPT comes first"):format(text)
  end
  local word = source:match(pattern .. "%s*%(%s*([%a_][%w_]*)%s*[,)]")
  if given == "nil" and word then return for_name(session, word) end
  if given == "userdata" then
    return "a task has been started already: task:await() waits for it"
  end
end

--- What is to be said of a line that went well, and did nothing that was meant.
function hints.for_success(session, source, word)
  if source:find("%f[%w_]await%s+[%a_]") and not session:has("await") then return AWAIT end
  if word and session.boxes._() == nil and not session:has(word) then
    return for_name(session, word)
  end
end

--- What may help with an error, given its text, its value and what was typed; nil for nothing.
function hints.for_error(session, message, problem, source)
  if rt.kind(problem) == "usage" then
    local name, given = message:match(
      "(rt%.%w+): argument %d+: expected a node or a function, got (%w+)")
    return name and for_node(session, source, name, given)
  end
  if type(problem) ~= "string" then return nil end
  if source:find("%f[%w_]await%s+[%a_]") and not session:has("await") then return AWAIT end
  local kind, name = message:match("attempt to %a+ a nil value %((%a+) '([%w_]+)'%)")
  if kind == "global" or kind == "upvalue" or kind == "local" then
    return kind == "global" and for_name(session, name) or nil
  elseif kind == "field" or kind == "method" then
    return for_field(session, source, name)
  end
end

return hints
