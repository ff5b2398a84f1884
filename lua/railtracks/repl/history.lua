--- What was typed in earlier sessions: a file of the user's own, one entry a line.
---
--- Written entry by entry, so that sessions at the same time do not overwrite each other.
--- An entry that begins with a blank is kept out of it, and so is one like the one before.

local host = require "railtracks.host"

local MOST = 10000         -- entries that are read
local TOO_LONG = 100000    -- bytes of one that are not kept

local history = {}

--- Where the file is; nil where there is no home.
function history.path()
  local state = os.getenv "XDG_STATE_HOME"
  if state and state:sub(1, 1) == "/" then return state .. "/railtracks/history" end
  local home = os.getenv "HOME"
  return home and home ~= "" and home .. "/.local/state/railtracks/history" or nil
end

local function packed(entry)
  return (entry:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" }))
end

local function unpacked(line)
  return (line:gsub("\\(.)", { ["\\"] = "\\", n = "\n" }))
end

--- What stands in the file; nil and why where it cannot be read. A file that is not there
--- yet is empty.
local function read(path)
  local file, problem, code = io.open(path, "r")
  if not file then
    if code == 2 then return "" end -- ENOENT
    return nil, problem
  end
  local content, why = file:read("a")
  file:close()
  return content, why and path .. ": " .. why
end

--- The history in `path`, nil for none: its entries, what was wrong with it, and
--- `add(entry)`, which returns true, or nil and why it could not be written.
function history.open(path)
  local self = { entries = {} }
  local last
  if path then
    local content, problem = read(path)
    local lines = {}
    for line in (content or ""):gmatch("[^\n]+") do lines[#lines + 1] = line end
    for i = math.max(#lines - MOST + 1, 1), #lines do
      self.entries[#self.entries + 1] = unpacked(lines[i])
    end
    last = self.entries[#self.entries]
    if not content then self.problem, path = problem, nil end
  end

  function self.add(entry)
    if entry == last or entry:find("^%s") or entry == "" or #entry > TOO_LONG then return true end
    last = entry
    if not path then return true end
    local ok, why = host.append(path, packed(entry) .. "\n")
    if not ok then path = nil end -- once is enough
    return ok, why
  end

  return self
end

return history
