--- Runs a program whenever something in a folder changes. One that still runs is ended first,
--- with all that it has started. Ctrl-C ends the watch.
---
---   railtracks run examples/watch.lua FOLDER PROGRAM [ARG...]
---
--- Without arguments it shows itself: it watches a folder of its own, in which it makes a file.

local rt = require "railtracks"

local build = rt.function_node("build", function(words)
  local result = rt.process.run { stdout = "inherit", stderr = "inherit", table.unpack(words) }
  print(("%s: %s"):format(words[1], result.signal or "exit " .. result.code))
  io.stdout:flush()
end)

--- Runs the words at each change until `last` says that this event is the last one.
local function watch(folder, words, last)
  local running
  for event in rt.fs.watch(folder) do
    print(("%s: %s"):format(event.name, event.type))
    io.stdout:flush()
    if running then
      running:cancel "something has changed"
      rt.settle(running)
    end
    running = rt.spawn(build, words)
    if last and last(event) then return running:await() end
  end
end

local folder = ...
if folder then
  watch(folder, { select(2, ...) })
else
  local own <close> = rt.fs.tempdir()
  rt.spawn(function()
    rt.sleep(0.05)
    rt.fs.mkdir(own.path .. "/made")
  end)
  watch(own.path, { "echo", "something has changed" }, function(event)
    return event.name == "made"
  end)
end
