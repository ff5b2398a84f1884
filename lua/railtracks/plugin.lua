--- Finding plugins: shared libraries of native nodes.

local check = require "railtracks.check"
local core = require "railtracks.core"
local rt = require "railtracks"

--- Where a plugin without a folder in its name is looked for, in this order.
local function folders()
  local list = {}
  for folder in (os.getenv "RAILTRACKS_PLUGINS" or ""):gmatch "[^:]+" do
    list[#list + 1] = folder
  end
  local script = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$"
  if script then list[#list + 1] = script end
  list[#list + 1] = "."
  list[#list + 1] = "/usr/local/lib/railtracks"
  list[#list + 1] = "/usr/lib/railtracks"
  return list
end

--- Whether there is such a file; a folder can be opened, too, but not read.
local function exists(path)
  local file <close> = io.open(path, "rb")
  if not file then return false end
  local _, problem = file:read(1)
  return not problem
end

--- The file meant by `name`, or nil and the list of what was tried.
local function find(name)
  local tried = {}
  local function try(path)
    if exists(path) then return path end
    tried[#tried + 1] = path
  end
  local suffixes = name:find "%.so$" and { "" } or { ".so", "" }
  local places = name:find "/" and { "" } or folders()
  for _, suffix in ipairs(suffixes) do
    for _, place in ipairs(places) do
      local path = (place == "" and "" or place .. "/") .. name .. suffix
      if try(path) then return path end
    end
  end
  return nil, tried
end

--- Loads a plugin, once however often asked: the table of its nodes by name.
return function(name)
  if type(name) ~= "string" or name == "" then
    check.usage("rt.load: expected the path or name of a plugin, got %s",
      name == "" and "an empty string" or type(name))
  end
  if name:find "\0" then check.usage "rt.load: expected a name without zero bytes" end
  local path, tried = find(name)
  if not path then
    core.fail("native", ("rt.load: there is no plugin %s, tried:\n  %s"):format(name,
      table.concat(tried, "\n  ")), { path = name })
  end
  local nodes = core.load(path)
  for node_name, node in pairs(nodes) do rt.nodes[node_name] = node end
  return nodes
end
