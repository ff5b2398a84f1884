--- The command 'view': recorded runs in a browser, until a signal comes.

local host = require "railtracks.host"

--- Serves the journal. Returns the exit status.
---@param path string  of the journal
---@param options { host: string?, port: integer?, open: boolean? }
return function(path, options)
  local ok, result = pcall(host.view, path, options.host, options.port, function(address)
    io.stdout:write(address, "\n")
    io.stdout:flush()
    if options.open and not host.browse(address) then
      io.stderr:write("railtracks: view: there is no xdg-open here: open the address yourself\n")
    end
  end)
  if not ok then
    io.stderr:write("railtracks: view: ", tostring(result), "\n")
    return 1
  end
  return 128 + result
end
