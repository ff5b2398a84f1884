--- git log | Lua | gzip: a history as one line for each commit, compressed. However long it is,
--- little of it is in memory: whoever is faster waits for the others.
---
---   railtracks run examples/pipeline.lua [REPOSITORY [FILE.gz]]

local rt = require "railtracks"

local repository, file = ...

local git <close> = rt.process.spawn {
  "git", "log", "--format=%h%x09%an%x09%s", cwd = repository or ".", stderr = "inherit",
}
local gzip <close> = rt.process.spawn { "gzip", "-c" }

--- Commits by author, of the lines that have passed.
local commits, authors = 0, {}

local transform = rt.function_node("transform", function()
  for line in git.stdout:lines() do
    local hash, author, subject = line:match "^(%x+)\t(.-)\t(.*)$"
    commits = commits + 1
    authors[author] = (authors[author] or 0) + 1
    gzip.stdin:write(("%s  %-20s  %s\n"):format(hash, author, subject))
  end
  gzip.stdin:close()
end)

local collect = rt.function_node("collect", function()
  local size = 0
  if file then rt.fs.write(file, "") end
  for piece in function() return gzip.stdout:read() end do
    size = size + #piece
    if file then rt.fs.append(file, piece) end
  end
  return size
end)

local size = rt.gather(rt.spawn(collect), rt.spawn(transform))[1]
local ended = git:wait()
if ended.code ~= 0 then error("git log failed", 0) end

local names = {}
for name in pairs(authors) do names[#names + 1] = name end
table.sort(names, function(a, b)
  if authors[a] == authors[b] then return a < b end
  return authors[a] > authors[b]
end)
for _, name in ipairs(names) do print(("%6d  %s"):format(authors[name], name)) end
print(("%d commits, %d bytes compressed"):format(commits, size))
