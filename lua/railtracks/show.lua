--- Recorded runs as text for people, and as JSON for programs.
---
--- Everything goes out piece by piece through a function `out(text)`; of a run's calls
--- only a few are in memory at a time, however many it has.

local show = {}

local DEFAULT_CALLS = 200
local DEFAULT_RUNS = 50
local DEFAULT_WIDTH = 100

local MARKS = {
  done = "✓", failed = "✗", cancelled = "⊘", running = "▸", interrupted = "‼",
}

local COLOURS = {
  done = "32", failed = "31", cancelled = "33", running = "36", interrupted = "35",
  dim = "2", bold = "1",
}

---@class railtracks.show.Options
---@field json boolean?    JSON instead of text
---@field limit integer?   at most so many calls or runs; -1 for all
---@field width integer?   columns of the terminal
---@field colour boolean?
---@field failed boolean?  only the calls that failed; a flat list, as with the next two
---@field node string?     only those of the node
---@field slowest integer? only so many, the longest first
---@field depth integer?   only so many levels below the root
---@field ids boolean?     the ids of calls in front of their names
---@field more_hint string?  how to see what is not shown

-- ---- text that is safe and fits ----

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape_byte(byte)
  return ESCAPES[byte] or ("\\x%02x"):format(byte:byte())
end

--- What a terminal would act on rather than print: C1 controls, and the characters that
--- turn the direction of text.
local function escape_char(char)
  local code = utf8.codepoint(char)
  if code < 0xA0 or code == 0x061C or code == 0x200E or code == 0x200F
    or (code >= 0x2028 and code <= 0x202E) or (code >= 0x2066 and code <= 0x2069) then
    return ("\\u{%x}"):format(code)
  end
end

--- The text with everything escaped that is not plain, printable UTF-8.
local function clean(text)
  if not text:find("[%c\127-\255]") then return text end
  local parts, at = {}, 1
  while at <= #text do
    local _, bad = utf8.len(text, at)
    local good = text:sub(at, (bad or #text + 1) - 1)
    parts[#parts + 1] = good:gsub("[%c\127]", escape_byte)
      :gsub("[\xC2-\xF4][\x80-\xBF]+", escape_char)
    if not bad then break end
    parts[#parts + 1] = escape_byte(text:sub(bad, bad))
    at = bad + 1
  end
  return table.concat(parts)
end

--- The first and last code of every range two columns wide.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
  { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF },
  { 0x20000, 0x3FFFD },
}

local function columns_of(code)
  if code < 0x300 then return 1 end
  local joins = code <= 0x36F or (code >= 0x200B and code <= 0x200D) or code == 0xFE0F
  if joins then return 0 end
  for _, range in ipairs(WIDE) do
    if code < range[1] then return 1 end
    if code <= range[2] then return 2 end
  end
  return 1
end

--- How many columns a clean text takes.
local function width_of(text)
  if not text:find("[\128-\255]") then return #text end
  local width = 0
  for _, code in utf8.codes(text) do width = width + columns_of(code) end
  return width
end

--- The text, clean, in at most `room` columns.
local function fit(text, room)
  if room < 1 then return text == "" and "" or "…" end
  -- A column takes at most a few bytes; the rest need not be looked at.
  local whole = #text <= room * 8
  text = clean(whole and text or text:sub(1, room * 8))
  if whole and width_of(text) <= room then return text end
  local width = 0
  for at, code in utf8.codes(text) do
    width = width + columns_of(code)
    if width > room - 1 then return text:sub(1, at - 1) .. "…" end
  end
  return text .. "…"
end

local function pad_left(text, width)
  return (" "):rep(width - width_of(text)) .. text
end

local function pad_right(text, width)
  return text .. (" "):rep(width - width_of(text))
end

--- 1234567 as 1,234,567
local function grouped(number)
  local text = ("%d"):format(number)
  local head = #text % 3
  local rest = text:sub(head + 1):gsub("%d%d%d", ",%0")
  return head == 0 and rest:sub(2) or text:sub(1, head) .. rest
end

local function duration_of(record)
  local from, to = record.started_at, record.ended_at
  if not from or not to then return "-" end
  local seconds = math.max(to - from, 0)
  if seconds < 0.0009995 then return ("%.0f µs"):format(seconds * 1e6) end
  if seconds < 0.99995 then return ("%.1f ms"):format(seconds * 1e3) end
  if seconds < 59.995 then return ("%.2f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then return ("%dm %02ds"):format(whole // 60, whole % 60) end
  return ("%dh %02dm"):format(whole // 3600, whole % 3600 // 60)
end

local function local_time(seconds)
  return os.date("%Y-%m-%d %H:%M:%S", math.floor(seconds)) --[[@as string]]
end

local function painter(options)
  if not options.colour then
    return function(_, text) return text end
  end
  return function(colour, text)
    if text == "" then return text end
    return ("\27[%sm%s\27[0m"):format(COLOURS[colour], text)
  end
end

--- For others that write to a terminal.
show.text = {
  clean = clean, columns_of = columns_of, duration_of = duration_of, fit = fit,
  grouped = grouped, pad_left = pad_left, pad_right = pad_right, painter = painter,
  width_of = width_of,
}

-- ---- JSON ----

local JSON_ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function json_escape(byte)
  return JSON_ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
end

--- A JSON string; bytes that are not UTF-8 become U+FFFD.
local function json_text(text)
  if not text then return "null" end
  local parts, at = {}, 1
  repeat
    local _, bad = utf8.len(text, at)
    local good = text:sub(at, (bad or #text + 1) - 1)
    parts[#parts + 1] = good:gsub('[%c"\\\127]', json_escape)
    if bad then
      parts[#parts + 1] = "\\ufffd"
      at = bad + 1
    end
  until not bad or at > #text
  return '"' .. table.concat(parts) .. '"'
end

local function json_time(seconds)
  return seconds and ("%.6f"):format(seconds) or "null"
end

local function json_run(run)
  return table.concat {
    '{"id":', json_text(run.id), ',"name":', json_text(run.name),
    ',"status":', json_text(run.status), ',"started_at":', json_time(run.started_at),
    ',"ended_at":', json_time(run.ended_at), ',"calls":', run.calls,
    ',"error":', run.error or "null", "}",
  }
end

local function json_call(call)
  return table.concat {
    '{"id":', json_text(call.id), ',"parent":', json_text(call.parent),
    ',"node":', json_text(call.node), ',"kind":', json_text(call.kind),
    ',"status":', json_text(call.status), ',"spawned_at":', json_time(call.spawned_at),
    ',"started_at":', json_time(call.started_at),
    ',"ended_at":', json_time(call.ended_at),
    ',"args":', call.args or "null", ',"results":', call.results or "null",
    ',"error":', call.error or "null", ',"site":', json_text(call.site), "}",
  }
end

--- Writes {"run":..., "calls":[...]}, with the calls of `for call in calls() do`.
local function json_whole(run, calls, out)
  out(('{"run":%s,\n"calls":['):format(json_run(run)))
  local before = "\n"
  for call in calls() do
    out(before .. json_call(call))
    before = ",\n"
  end
  return out("]}\n")
end

--- For others that write JSON.
show.json = { call = json_call, run = json_run, text = json_text, whole = json_whole }

-- ---- runs ----

--- The last group of the id, which is random, unless that does not tell them apart.
local function short_ids(runs)
  local seen, short = {}, {}
  for i, run in ipairs(runs) do
    short[i] = run.id:match("%-(%x+)$")
    if not short[i] or seen[short[i]] then
      for j, other in ipairs(runs) do short[j] = clean(other.id) end
      return short
    end
    seen[short[i]] = true
  end
  return short
end

--- Prints the recorded runs, newest first.
---@param reader railtracks.journal.Reader
---@param options railtracks.show.Options
---@param out fun(text: string)
function show.runs(reader, options, out)
  if options.json then
    local before = "["
    for _, run in ipairs(reader:runs(options.limit)) do
      out(before .. json_run(run))
      before = ",\n"
    end
    return out(before == "[" and "[]\n" or "]\n")
  end

  local limit = options.limit or DEFAULT_RUNS
  local all = limit < 0 or limit == math.maxinteger
  local runs = reader:runs(all and -1 or limit + 1)  -- one more, to know of it
  local more = not all and #runs > limit
  if more then runs[#runs] = nil end
  if #runs == 0 and not more then return out("no runs are recorded\n") end

  local paint = painter(options)
  local ids = short_ids(runs)
  local id_width = 3
  for _, id in ipairs(ids) do id_width = math.max(id_width, width_of(id)) end
  local head = ("%s  %-11s  %-19s  %8s  %9s  "):format(
    pad_right("RUN", id_width), "STATUS", "STARTED", "DURATION", "CALLS")
  local room = math.max((options.width or DEFAULT_WIDTH) - #head, 8)
  out(paint("dim", head .. "NAME") .. "\n")
  for i, run in ipairs(runs) do
    out(("%s  %s  %-19s  %s  %9s  %s\n"):format(
      pad_right(ids[i], id_width), paint(run.status, pad_right(run.status, 11)),
      local_time(run.started_at), pad_left(duration_of(run), 8), grouped(run.calls),
      fit(run.name, room)))
  end
  if more then out("… and older ones (--all shows them)\n") end
end

-- ---- one run ----

--- The error as a table; one that is not as it should be stands as its own message.
local function decode_error(text)
  local cjson = require "cjson.safe"
  local value = cjson.decode(text)
  if type(value) ~= "table" then return { message = text } end
  local function text_of(field)
    if type(field) == "string" then return field end
    if field ~= nil and field ~= cjson.null then return cjson.encode(field) end
  end
  return {
    kind = text_of(value.kind),
    message = text_of(value.message) or "nil",
    traceback = text_of(value.traceback),
  }
end

show.failure = decode_error

local function error_line(failure)
  return failure.kind and failure.kind .. ": " .. failure.message or failure.message
end

--- What stands between the brackets of a JSON list.
local function inside(list)
  return list and (list:match("^%[(.*)%]$") or list) or ""
end

--- "node(args) → results" in at most `room` columns. Both get half of what the name
--- leaves, and what the other does not need.
local function call_text(call, room)
  local node = fit(call.node, math.max(room - 2, 8))
  local args = call.args and inside(call.args) or "…"  -- not recorded
  local results = inside(call.results)
  local arrow = results == "" and "" or " → "
  local left = math.max(room - width_of(node) - 2 - width_of(arrow), 0)
  local half = results == "" and left or left // 2
  local shown_results = fit(results, left - math.min(width_of(fit(args, left)), half))
  local shown_args = fit(args, left - width_of(shown_results))
  return node, ("(%s)%s%s"):format(shown_args, arrow, shown_results)
end

--- Prints one call of a tree; `messages` are those told, by level.
local function print_call(call, messages, options, out)
  local paint = painter(options)
  local width = math.max(options.width or DEFAULT_WIDTH, 40)
  local deepest = width // 6  -- levels that are indented
  local level = math.min(call.depth, deepest)
  local indent = ("  "):rep(level)
  local deeper = call.depth > deepest and ("[%d] "):format(call.depth) or ""
  local id = options.ids and call.id .. " " or ""
  local room = width - 8 - 2 - 2 * level - #deeper - 2 - #id
  local node, rest = call_text(call, room)
  out(("%s  %s%s%s %s%s%s\n"):format(
    paint("dim", pad_left(duration_of(call), 8)), indent, paint("dim", deeper),
    paint(call.status, MARKS[call.status]), paint("dim", id), node, rest))

  -- A failure is told where it came out; below, the marks lead to where it began.
  local message = call.error and error_line(decode_error(call.error))
  messages[level] = message
  if message and (level == 0 or messages[level - 1] ~= message) then
    out(("%s%s  %s\n"):format((" "):rep(10), indent,
      paint("failed", fit(message, width - 12 - 2 * level))))
  end
end

--- Prints the calls of `for call in calls() do`, each below its caller.
---@param calls fun(): function, ...
---@param total integer?  how many there are, if `calls` does not give all
---@param options railtracks.show.Options
---@param out fun(text: string)
---@return integer found   how many `calls` gave
function show.tree(calls, total, options, out)
  local limit = options.limit or DEFAULT_CALLS
  local shown, found, messages = 0, 0, {}
  for call in calls() do
    found = found + 1
    if shown ~= limit then
      print_call(call, messages, options, out)
      shown = shown + 1
    end
  end
  local more = (total or found) - shown
  if more > 0 and limit >= 0 then
    out(("%s… %s (%s)\n"):format((" "):rep(10),
      more == 1 and "1 more call" or grouped(more) .. " more calls",
      options.more_hint or "--all shows them"))
  end
  return found
end

local function print_error(run, options, out)
  local paint = painter(options)
  local failure = decode_error(run.error)
  out("\n" .. paint("failed", "error: "))
  local text = error_line(failure)
  if failure.traceback then text = text .. "\n" .. failure.traceback end
  for line in text:gmatch("[^\n]+") do
    -- Leading tabs are the traceback's own.
    local tabs, rest = line:match("^(\t*)(.*)$")
    out(("  "):rep(#tabs) .. clean(rest) .. "\n")
  end
end

local function print_summary(run, options, out)
  local paint = painter(options)
  out(("%s  %s  %s  %s\n"):format(
    paint("bold", clean(run.name)), paint(run.status, run.status), duration_of(run),
    run.calls == 1 and "1 call" or grouped(run.calls) .. " calls"))
end

--- For who shows a run while it goes on.
show.parts = { call = print_call, error = print_error, message = error_line,
  summary = print_summary }

--- Prints one run: as a tree, or as {"run":..., "calls":[...]}.
---@param reader railtracks.journal.Reader
---@param run railtracks.journal.Run|string|nil   "@1" if nil
---@param options railtracks.show.Options
---@param out fun(text: string)
function show.run(reader, run, options, out)
  if type(run) ~= "table" then run = reader:run(run or "@1") end

  local choose = require "railtracks.choose"
  local flat = choose.flat(options)
  local some = flat or options.depth
  if options.json then
    return json_whole(run, function()
      if some then return choose.calls(reader, run, options) end
      return reader:calls(run)
    end, out)
  end

  print_summary(run, options, out)
  out(painter(options)("dim", ("run %s  started %s"):format(
    clean(run.id), local_time(run.started_at))) .. "\n\n")
  if some then
    if flat then options.ids = true end
    options.limit = options.limit or options.slowest
    local found = show.tree(function() return choose.calls(reader, run, options) end, nil,
      options, out)
    if found == 0 then out("no such call\n") end
  else
    local limit = options.limit or DEFAULT_CALLS
    show.tree(function() return reader:calls(run, limit, "tree") end, run.calls, options, out)
  end
  if run.error then print_error(run, options, out) end
end

return show
