--- Commands about files: :edit, :save, :load, :reload.

local commands = require "railtracks.repl.commands"
local reader = require "railtracks.repl.reader"

local files = {}

local function read(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local content, why = file:read("a")
  file:close()
  return content, why
end

-- ---- load, reload ----

local function expanded(path)
  return (path:gsub("^~/", (os.getenv "HOME" or "~") .. "/"))
end

--- Files of modules that were loaded while `run` ran, by module.
local function watch_modules(script, run)
  local before = {}
  for name in pairs(package.loaded) do before[name] = true end
  return function(...)
    local results = table.pack(run(...))
    for name in pairs(package.loaded) do
      local path = not before[name] and package.searchpath(name, package.path)
      if path then script.modules[name] = { path = path, content = read(path) } end
    end
    return table.unpack(results, 1, results.n)
  end
end

--- Runs a script as a line; it is known to :reload from then on.
function files.run_script(session, script)
  script.modules = script.modules or {}
  local known = false
  for _, other in ipairs(session.scripts) do known = known or other.path == script.path end
  if not known then session.scripts[#session.scripts + 1] = script end
  local run = watch_modules(script, script.chunk)
  local source = ":load " .. script.path
  session.count = session.count + 1
  return session:call_line(source, function()
    return run(table.unpack(script.args, 1, script.args.n))
  end, { silent = true, script = script.path })
end

local function load_chunk(session, path)
  return loadfile(path, "t", session.env)
end

function files.load(session, path)
  if path == "" then return commands.complain(session, "load: which file? :load flow.lua") end
  path = expanded(path:gsub("^(['\"])(.*)%1$", "%2"))
  local chunk, problem = load_chunk(session, path)
  if not chunk then return commands.complain(session, "load: %s", problem) end
  return files.run_script(session, { path = path, chunk = chunk, args = { n = 0 } })
end

--- Forgets the modules of the script whose files have changed, so that it loads them anew.
local function forget_changed(script)
  local forgotten = {}
  for name, module in pairs(script.modules) do
    local content = read(module.path)
    if content and content ~= module.content then
      package.loaded[name] = nil
      script.modules[name] = nil
      forgotten[#forgotten + 1] = name
    end
  end
  table.sort(forgotten)
  return forgotten
end

function files.reload(session)
  if #session.scripts == 0 then
    return commands.complain(session, "reload: no script was loaded; :load FILE")
  end
  for _, script in ipairs(session.scripts) do
    local chunk, problem = load_chunk(session, script.path)
    if not chunk then return commands.complain(session, "reload: %s", problem) end
    script.chunk = chunk
    local forgotten = forget_changed(script)
    if not files.run_script(session, script) then return false end
    session.out(("loaded %s%s\n"):format(script.path,
      #forgotten > 0 and ", with " .. table.concat(forgotten, ", ") or ""))
  end
  return true
end

-- ---- save ----

--- How many of the values before `_` the lines make use of.
local function earlier_used(lines)
  local most = 0
  for _, line in ipairs(lines) do
    for name in pairs(reader.names_in(line.source)) do
      local number = tonumber(name:match("^_(%d)$"))
      if number then most = math.max(most, number) end
    end
  end
  return most
end

--- The statement that keeps an expression's value as the session did.
local function keep_value(source, earlier)
  local names, values = { "_" }, {}
  for i = 1, earlier do
    table.insert(names, 1, "_" .. i)
    table.insert(values, 1, i == 1 and "_" or "_" .. i - 1)
  end
  source = source:gsub("^%s*=", ""):gsub("[%s;]+$", "")
  local before = ("%s = %s("):format(table.concat(names, ", "),
    table.concat(values, ", ") .. (#values > 0 and ", " or ""))
  local statement = before .. source .. ")"
  return load(statement) and statement or before .. source .. "\n)" -- a comment at its end
end

--- One line of the session as a statement of the script.
local function statement_of(line, earlier, flat)
  if line.script then return ("dofile(%q)"):format(line.script) end
  local piece = reader.piece(line.source)
  if piece.kind == "expression" then
    if not line.valued and load(piece.source, "=saved", "t") then return piece.source end
    return keep_value(piece.source, earlier)
  elseif piece.kind == "both" then
    local head = flat and reader.hoist(piece.head) or piece.head
    return head .. "\n" .. keep_value(piece.tail, earlier)
  end
  return flat and reader.hoist(line.source) or line.source
end

--- The lines that worked, as a script.
local function script_of(session, flat)
  local lines = {}
  for _, line in ipairs(session.lines) do
    if line.ok and (line.script or not line.source:find("^%s*:")) then lines[#lines + 1] = line end
  end
  local earlier = earlier_used(lines)
  local parts = { 'rt = require "railtracks"\n' }
  local values = { "_" }
  for i = 1, earlier do values[#values + 1] = "_" .. i end
  parts[#parts + 1] = "local " .. table.concat(values, ", ") .. "\n"
  local named = {}
  for _, line in ipairs(lines) do
    -- A node that had no variable was a global of the session.
    for name in pairs(reader.names_in(line.source)) do
      if session.published[name] and not named[name] and not session.boxes[name] then
        named[name] = true
        parts[#parts + 1] = ("%s = %s or rt.nodes.%s\n"):format(name, name, name)
      end
    end
    parts[#parts + 1] = statement_of(line, earlier, flat) .. "\n"
  end
  return table.concat(parts), #lines
end

function files.save(session, path, overwrite)
  if path == "" then return commands.complain(session, "save: to which file? :save tried.lua") end
  path = expanded(path:gsub("^(['\"])(.*)%1$", "%2"))
  local there = io.open(path, "rb")
  if there then there:close() end
  if there and not overwrite then
    return commands.complain(session, "save: %s is there already; :save! overwrites it", path)
  end
  local script, count = script_of(session, false)
  if not load(script) then script, count = script_of(session, true) end -- too many locals
  local file, problem = io.open(path, "wb")
  local ok = file and file:write(script)
  if file then ok = file:close() and ok end
  if not ok then
    return commands.complain(session, "save: %s", problem or path .. " could not be written")
  end
  session.out(("wrote %d line%s to %s\n"):format(count, count == 1 and "" or "s", path))
  return true
end

-- ---- edit ----

function files.edit(session)
  if not session.edit then
    return commands.complain(session, "edit: there is no terminal to edit on")
  end
  local last
  for _, line in ipairs(session.lines) do
    if not line.source:find("^%s*:") then last = line.source end
  end
  local written, problem = session.edit(last and last .. "\n" or "")
  if not written then return commands.complain(session, "edit: %s", problem) end
  written = written:gsub("%s+$", "")
  if written == "" or written == last then return true end
  session.out(written .. "\n")
  return session:evaluate(written)
end

return files
