local commands = {}
function commands.run(session, source)
  session.complain("there is no command " .. source .. "\n")
  return false
end
return commands
