-- The bench: measures the rows of rows.lua and prints them as one table. scripts/bench
-- builds what is needed and starts it; it runs in stock Lua.
--
-- A number in the table is the median of a row's repetitions; ratios are those of
-- medians. The repetitions are the outermost loop, so whatever else the machine does
-- falls on all contenders of a row alike.

local usage = [[
usage: scripts/bench [--quick] [--json] [--list] [ROW...]
  --quick   a third of the repetitions
  --json    everything measured, every repetition, as JSON
  --list    the names of the rows
]]

local here = arg[0]:match("^.*/") or "./"
local root = here .. "../../"
local bench = {
  here = here,                        -- the folder of this file
  build = root .. "build/bench/",     -- programs made for the bench
  work = root .. "build/bench/files/", -- files it writes
  program = root .. "build/railtracks",
}

local function quote(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = "'" .. tostring(word):gsub("'", [['\'']]) .. "'"
  end
  return table.concat(quoted, " ")
end

--- What a command prints, all of it, without the last newline.
local function output(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local text = pipe:read("a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function installed(program)
  return output("command -v " .. quote { program }) ~= ""
end

--- Runs a command to its end and returns its figures: what it printed as lines of a name
--- and a number, and wall_ms, cpu_ms and peak_mb of its process. Raises a text if it fails.
function bench.measure(command)
  local errors = bench.work .. "stderr"
  local pipe = assert(io.popen(quote { bench.build .. "measure", table.unpack(command) }
    .. " 2>" .. quote { errors }))
  local figures = {}
  for line in pipe:lines() do
    local name, number = line:match("^([%w_]+)%s+(%S+)$")
    figures[name or ""] = tonumber(number)
  end
  pipe:close()
  if figures.exit ~= 0 then
    local file = io.open(errors)
    local reason = file and file:read("l") or "no reason given"
    if file then file:close() end
    error(("exit %d: %s"):format(figures.exit or -1, reason), 0)
  end
  figures.exit = nil
  return figures
end

local function median(samples)
  local sorted = table.move(samples, 1, #samples, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1], sorted[1], sorted[#sorted] end
  return (sorted[middle] + sorted[middle + 1]) / 2, sorted[1], sorted[#sorted]
end

-- ---- measuring ----

local function progress(text)
  if bench.terminal then io.stderr:write("\r\27[K", text) end
end

--- Fills in, for each contender of the row, samples[figure] = list, or 'failed'.
local function run(row, quick, missing)
  local repetitions = quick and row.repetitions // 3 | 1 or row.repetitions
  row.turns = repetitions
  for _, contender in ipairs(row.contenders) do
    contender.samples = {}
    if missing[contender.needs] then contender.failed = contender.needs .. " is not installed" end
  end
  if row.before then row.before() end
  for repetition = 1, repetitions do
    for _, contender in ipairs(row.contenders) do
      local name, what = contender[1], contender[2]
      if not contender.failed and not (contender.once and repetition > 1) then
        progress(("%s %d/%d: %s"):format(row.name, repetition, repetitions, name))
        local ok, figures = pcall(type(what) == "function" and what or bench.measure, what)
        if not ok then
          contender.failed = figures
        else
          for figure, number in pairs(figures) do
            local list = contender.samples[figure] or {}
            contender.samples[figure] = list
            list[#list + 1] = number
          end
        end
      end
    end
  end
  if row.after then row.after() end
  progress ""
end

local function find(row, name)
  for _, contender in ipairs(row.contenders) do
    if contender[1] == name then return contender end
  end
  error("row " .. row.name .. " has no contender " .. name)
end

--- The median of a contender's figure; nil if it was not measured.
local function value(contender, figure)
  local samples = contender.samples[figure]
  if samples and not contender.failed then return (median(samples)) end
end

--- What a bound is about (a figure, or a ratio of two) and whether it holds; nothing if
--- not measured.
local function judge(row, bound)
  local figure = bound[2]
  local measured = value(find(row, bound[1]), figure)
  if measured and bound.beside then
    local other = value(find(row, bound.beside), figure)
    measured = other and measured / other
  end
  if not measured then return nil end
  if bound.at_most then return measured, measured <= bound.at_most end
  return measured, measured >= bound.at_least
end

-- ---- printing ----

local units = { us = "us", ms = "ms", wall_ms = "ms", prompt_ms = "ms", cpu_ms = "ms",
  peak_mb = "MB", rows_per_s = "rows/s" }

--- Three digits that count, thousands set apart: 0.0123, 4.56, 1,230,000.
local function show(number)
  local rounded = ("%.2e"):format(number)
  local digits = 2 - math.tointeger(tonumber(rounded:match("e(.*)")))
  if digits > 0 then return ("%." .. digits .. "f"):format(rounded) end
  local text = ("%.0f"):format(rounded)
  return (text:reverse():gsub("%d%d%d", "%0,"):reverse():gsub("^,", ""))
end

local function print_row(row, width)
  local layout = "  %-" .. width .. "s  %10s %-6s  %-23s  %-" .. (width + 8) .. "s  %-16s %s"
  local function line(...)
    print((layout:format(...):gsub("%s+$", "")))
  end

  print(("\n%s: %s (%d times)"):format(row.name, row.title, row.turns))
  local base = row.contenders[1]
  for _, contender in ipairs(row.contenders) do
    local name = contender[1]

    -- The row's own figure first, then what else is shown of it or has a bound.
    local figures, seen = { row.figure }, { [row.figure] = true }
    local function also(figure)
      if not seen[figure] then figures[#figures + 1] = figure end
      seen[figure] = true
    end
    if contender.also then also(contender.also) end
    for _, bound in ipairs(row.bounds) do
      if bound[1] == name then also(bound[2]) end
    end

    if contender.failed then
      line(name, "-", "", "not measured", "", "", "")
    else
      for i, figure in ipairs(figures) do
        local middle, least, most = median(contender.samples[figure])
        local first = { i == 1 and name or "", show(middle), units[figure],
          ("%s - %s"):format(show(least), show(most)) }
        local bounded = false
        for _, bound in ipairs(row.bounds) do
          if bound[1] == name and bound[2] == figure then
            local measured, ok = judge(row, bound)
            line(first[1], first[2], first[3], first[4],
              bound.beside and measured and ("%s x %s"):format(show(measured), bound.beside)
                or bound.beside or "",
              ("%s %s%s"):format(bound.at_most and "at most" or "at least",
                show(bound.at_most or bound.at_least),
                bound.beside and " x" or " " .. units[figure]),
              measured == nil and "not measured" or ok and "ok" or "MISSED")
            first, bounded = { "", "", "", "" }, true
          end
        end
        if not bounded then
          local other = contender.beside and find(row, contender.beside) or base
          local ours = contender ~= other and figure == row.figure and value(other, figure)
          line(first[1], first[2], first[3], first[4],
            ours and ("%s x %s"):format(show(middle / ours), other[1]) or "", "", "")
        end
      end
    end
  end
end

local function print_json(machine, rows, missing)
  local json = require "cjson"
  local list = {}
  for _, row in ipairs(rows) do
    local contenders, bounds = {}, {}
    for i, contender in ipairs(row.contenders) do
      local figures = {}
      for figure, samples in pairs(contender.samples) do
        figures[figure] = { median = (median(samples)), samples = samples }
      end
      contenders[i] = { name = contender[1], figures = figures, failed = contender.failed }
    end
    for i, bound in ipairs(row.bounds) do
      local measured, ok = judge(row, bound)
      bounds[i] = { contender = bound[1], figure = bound[2], beside = bound.beside,
        at_most = bound.at_most, at_least = bound.at_least, measured = measured, ok = ok }
    end
    list[#list + 1] = { name = row.name, title = row.title, figure = row.figure,
      repetitions = row.turns, contenders = contenders, bounds = bounds }
  end
  print(json.encode { machine = machine, rows = list, missing = missing })
end

--- One line on where this was measured.
local function describe_machine(missing)
  local words = {
    output "nproc" .. " cores",
    output "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1",
    "load " .. output "cut -d' ' -f1 /proc/loadavg" .. " at the start",
    output(quote { bench.program, "version" } .. " | head -1"),
    output "lua5.4 -v" :match "Lua [%d.]+",
  }
  local versions = { { "go", "go version | grep -o 'go[0-9][0-9.]*'" },
    { "node", "echo node $(node --version)" }, { "python3", "python3 --version" } }
  for _, version in ipairs(versions) do
    if not missing[version[1]] then words[#words + 1] = output(version[2]) end
  end
  return table.concat(words, ", ")
end

-- ---- the program ----

local quick, as_json, chosen, any = false, false, {}, false
local rows = dofile(here .. "rows.lua")(bench)
for _, word in ipairs(arg) do
  local known = false
  for _, row in ipairs(rows) do known = known or row.name == word end
  if word == "--quick" then
    quick = true
  elseif word == "--json" then
    as_json = true
  elseif word == "--list" then
    for _, row in ipairs(rows) do print(("%-10s %s"):format(row.name, row.title)) end
    os.exit(0)
  elseif word == "--help" then
    io.write(usage)
    os.exit(0)
  elseif known then
    chosen[word], any = true, true
  else
    io.stderr:write(("bench: there is no row '%s'\n"):format(word), usage)
    os.exit(2)
  end
end

local missing, needed = {}, {}
for i = #rows, 1, -1 do
  if any and not chosen[rows[i].name] then table.remove(rows, i) end
end
for _, row in ipairs(rows) do
  for _, contender in ipairs(row.contenders) do
    local needs = contender.needs
    if needs and not needed[needs] then
      needed[needs] = true
      missing[needs] = not installed(needs) or nil
    end
  end
end

os.execute("mkdir -p " .. quote { bench.work })
bench.terminal = os.execute("test -t 2")
local machine = describe_machine(missing)

local width = 0
for _, row in ipairs(rows) do
  for _, contender in ipairs(row.contenders) do width = math.max(width, #contender[1]) end
end

if not as_json then
  print(machine)
  print "medians (least - most) of interleaved repetitions, ratios of medians"
end
for _, row in ipairs(rows) do
  run(row, quick, missing)
  if not as_json then print_row(row, width) end
end
if as_json then
  print_json(machine, rows, missing)
end

-- Exit 1 if something could not be measured; a bound that is missed is no failure to
-- measure. A peer that is not there is neither.
local status = 0
local function note(...)
  (as_json and io.stderr or io.stdout):write(...)
end
if not as_json then note "\n" end
for program in pairs(missing) do note("not measured: ", program, " is not installed\n") end
for _, row in ipairs(rows) do
  for _, contender in ipairs(row.contenders) do
    if contender.failed and not missing[contender.needs] then
      note(("not measured: %s, %s: %s\n"):format(row.name, contender[1], contender.failed))
      status = 1
    end
  end
end
os.execute("rm -rf " .. quote { bench.work })
os.exit(status)
