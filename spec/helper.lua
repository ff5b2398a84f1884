--- What the specs share: temporary folders, running the program, short waits.

local helper = {}

helper.program = os.getenv "RT_PROGRAM" or "build/railtracks"
helper.build = os.getenv "RT_BUILD" or "build"

--- A text as one word of the shell.
function helper.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- A new folder; remove it with `helper.remove`.
function helper.folder()
  local pipe <close> = assert(io.popen("mktemp -d"))
  return pipe:read("l")
end

function helper.remove(folder)
  assert(folder:find("^/tmp/"), folder)
  os.execute("rm -rf " .. helper.quote(folder))
end

--- A new folder that goes when it is closed: `local folder <close> = helper.temporary()`.
function helper.temporary()
  local path = helper.folder()
  return setmetatable({ path = path }, { __close = function() helper.remove(path) end })
end

function helper.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function helper.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

--- Runs a shell command. Returns what it wrote to standard output and standard error, and
--- its exit status (128 + number after a signal).
function helper.shell(command)
  local errors = os.tmpname()
  local pipe = assert(io.popen("( " .. command .. " ) 2>" .. errors, "r"))
  local output = pipe:read("a")
  local _, how, status = pipe:close()
  local said = helper.read(errors)
  os.remove(errors)
  return output, said, how == "signal" and 128 + status or status
end

--- Runs the program with these words as its arguments; `options.input` is its standard
--- input, `options.env` what stands before the command, `options.cd` where it runs.
function helper.run(words, options)
  options = options or {}
  local line = {}
  if options.cd then line[#line + 1] = "cd " .. helper.quote(options.cd) .. " &&" end
  if options.env then line[#line + 1] = options.env end
  line[#line + 1] = helper.quote(options.program or helper.program)
  for _, word in ipairs(words) do line[#line + 1] = helper.quote(word) end
  local input
  if options.input then
    input = os.tmpname()
    helper.write(input, options.input)
    line[#line + 1] = "<" .. input
  else
    line[#line + 1] = "</dev/null"
  end
  local output, said, status = helper.shell(table.concat(line, " "))
  if input then os.remove(input) end
  return output, said, status
end

return helper
