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

--- The history in `path`, nil for none: its entries, and `add(entry)`, which returns true, or
--- nil and why it could not be written.
function history.open(path)
  local self = { entries = {} }
  local last
  local file, problem, code = path and io.open(path, "r")
  if file then
    local lines = {}
    for line in file:lines() do lines[#lines + 1] = line end
    if not pcall(file.seek, file) or file:read(0) == nil and #lines == 0 then
      local ok, why, number = file:read("a")
      if not ok then problem, code = why, number end
    end
    file:close()
    table.move(lines, math.max(#lines - MOST + 1, 1), #lines, 1, self.entries)
    for i, line in ipairs(self.entries) do self.entries[i] = unpacked(line) end
    last = self.entries[#self.entries]
  end
  if problem and code ~= 2 then self.problem, path = problem, nil end -- 2: not there yet

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
