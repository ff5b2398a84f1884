--- A session: what somebody types, run line by line in one run.
---
--- Every line is a call of the node `line`, whose argument is the text. It is over for the
--- session when its body has returned: what it has spawned goes on behind the prompt, and the
--- call itself ends, as every call, after that.

local console = require "railtracks.console"
local core = require "railtracks.core"
local printer = require "railtracks.repl.printer"
local reader = require "railtracks.repl.reader"
local rt = require "railtracks"

--- What stands alone for a command, unless it is a variable.
local WORDS = { help = true, quit = true, exit = true }
local EARLIER = 9  -- values that _1 _2 ... remember

---@class railtracks.repl.Session
---@field env table             what is global for the lines
---@field out fun(text: string) where results go
---@field complain fun(text: string)  where errors go
---@field width fun(): integer  columns there are
---@field paint fun(colour: string, text: string): string
---@field wait fun(session, task)  waits until something has happened to the task
---@field interactive boolean? somebody sees it
---@field place string?         what lines are named in messages, instead of their number
local Session = {}
Session.__index = Session

local function plain(_, text) return text end

--- The sessions of this process, by the id of their run.
local sessions = setmetatable({}, { __mode = "v" })

local function new(options)
  local self = setmetatable(options, Session)
  self.paint = self.paint or plain
  self.boxes = { _ = reader.box(), _err = reader.box() }
  for i = 1, EARLIER do self.boxes["_" .. i] = reader.box() end
  self.count = 0        -- lines so far
  self.lines = {}       -- those that ran, with their source and how they ended
  self.running = {}     -- those whose tasks have not ended
  self.published = {}   -- nodes that are global under their names
  self.scripts = {}     -- those that were loaded
  self.run_id = core.current().run
  console.begin()
  sessions[self.run_id] = self
  self.run_number = core.call_number() >> 32
  self.node = core.node("line", function() return self:run_body() end)
  if rawget(self.env, "rt") == nil then rawset(self.env, "rt", rt) end
  self:publish_nodes()
  return self
end

-- ---- variables ----

--- Remembers what a line has returned as `_`, and what there was before as `_1 _2 ...`.
function Session:remember(value)
  local boxes = self.boxes
  for i = EARLIER, 2, -1 do reader.set_box(boxes["_" .. i], boxes["_" .. i - 1]()) end
  reader.set_box(boxes._1, boxes._())
  reader.set_box(boxes._, value)
end

--- Nodes that no variable has are global under their names, so that they can be called.
function Session:publish_nodes()
  for name, node in pairs(rt.nodes) do
    if name:find("^[%a_][%w_]*$") then
      local there = reader.peek(self.env, name)
      if there == nil or there == self.published[name] then
        rawset(self.env, name, node)
        self.published[name] = node
      end
    end
  end
end

-- ---- running a line ----

--- The body of the call: runs what was typed and shows what it returns.
function Session:run_body()
  local line = self.starting
  self.starting = nil
  local results = table.pack(core.through(line.run))
  if results.n > 0 and not line.silent then
    self:show_values(results)
    self:remember(results[1])
    line.valued = true
  end
  line.returned = true
  console.returned()
  return table.unpack(results, 1, results.n)
end

function Session:show_values(values)
  local shown, on_one_line = {}, true
  local options = { width = self.width(), paint = self.paint }
  for i = 1, values.n do
    shown[i] = printer.format(values[i], options)
    if shown[i]:find("\n") then on_one_line = false end
  end
  self.out(table.concat(shown, on_one_line and "\t" or "\n") .. "\n")
end

--- Calls `run` as the line `source`. Waits until its body has returned or the call has ended.
--- Returns whether it went well; what went wrong has been shown.
function Session:call_line(source, run, options)
  local line = { number = self.count, source = source, run = run,
    silent = options and options.silent, script = options and options.script,
    started = rt.now() }
  self.starting = line
  local task = rt.spawn(self.node, source)
  line.task, line.id = task, task.id
  self.last = line
  self.lines[#self.lines + 1] = line
  self.running[task] = line
  console.foreground(task)
  repeat
    self:wait(task)
    local status = task:status()
    local over = status ~= "running" and status ~= "pending"
  until over or line.returned
  console.foreground(nil)
  line.run = nil
  local ok = line.returned or self:collect(line)
  line.ok = ok
  if ok then self:publish_nodes() end
  return ok
end

--- The call of the line has ended: shows its error, if it has failed before it returned.
function Session:collect(line)
  local task = line.task
  self.running[task] = nil
  local ok, problem = pcall(task.await, task)
  if ok then return true end
  reader.set_box(self.boxes._err, problem)
  self.problem = problem
  self:show_error(problem, rt.traceback(problem), line)
  return false
end

-- ---- errors ----

--- One line that tells what went wrong.
function Session:error_text(problem)
  if type(problem) == "string" then return problem end
  local meta = debug.getmetatable(problem)
  if meta and rawget(meta, "__tostring") then
    local ok, text = console.guard(tostring, problem)
    if ok then return text end
  end
  return printer.format(problem, { width = self.width() })
end

--- The traceback without the session's own part, and nothing of one that says nothing.
local function trim_traceback(trace, line)
  if not trace then return "" end
  local at = trace:find(("\n  in call %s (line)"):format(line.id), 1, true)
  if at then trace = trace:sub(1, at - 1) .. (trace:match("(\nand its cleanup.*)$") or "") end
  trace = trace:gsub("\n\t%[C%]: in function 'error'", "", 1)
  local _, frames = trace:gsub("\n", "\n")
  if frames < 2 then return "" end
  return trace .. "\n"
end

function Session:show_error(problem, trace, line)
  local kind = rt.kind(problem)
  local text = self:error_text(problem)
  if kind == "cancelled" and line.task:status() == "cancelled" then
    return self.complain(self.paint("cancelled", text) .. "\n")
  end
  self:show_problem(text, trim_traceback(trace, line),
    require "railtracks.repl.hints".for_error(self, text, problem, line.source))
end

--- An error, where it came from and what may help, each of them text or "".
function Session:show_problem(text, trace, hint)
  self.complain(self.paint("failed", self.error_head or "error: ") .. text .. "\n")
  if trace ~= "" then self.complain(self.paint("dim", (trace:gsub("\n$", ""))) .. "\n") end
  if hint then self.complain(self.paint("running", "hint: ") .. hint .. "\n") end
end

-- ---- what is typed ----

--- What the chunk of the next line is called in messages.
function Session:next_name(at)
  return self.place and "=" .. self.place or ("=line %d"):format(at or self.count + 1)
end

function Session:run_piece(piece, first)
  if piece.kind == "nothing" then return true end
  if piece.kind == "command" then
    return require "railtracks.repl.commands".run(self, piece.source)
  end
  self.count = self.count + 1
  local name = self:next_name(self.count)
  if not piece.kind then
    local text = piece.problem:gsub("^[^\n]-:(%d+): ", function(row)
      return ("%s:%d: "):format(name:sub(2), row + (first or 1) - 1)
    end)
    self.problem = text
    self:show_problem(text, "",
      require "railtracks.repl.hints".for_syntax(self, piece.source, text))
    return false
  end
  local word = piece.kind == "expression" and piece.source:match("^%s*([%a_]+)%s*$")
  if word and WORDS[word] and not self:has(word) then
    return require "railtracks.repl.commands".word(self, word)
  end
  local run, closed = reader.compile(piece, name, self.boxes, self.env, first)
  if not run then
    self.problem = closed
    self:show_problem(closed, "")
    return false
  end
  if #closed > 0 and self.remark then
    self.remark(table.concat(closed, ", ") .. " is closed at the end of the line")
  end
  local ok = self:call_line(piece.source, run)
  if ok and self.interactive then
    local hint = require "railtracks.repl.hints".for_success(self, piece.source, word)
    if hint then self.remark(hint) end
  end
  return ok
end

--- Whether there is a variable of that name.
function Session:has(name)
  return self.boxes[name] ~= nil or reader.peek(self.env, name) ~= nil
end

--- Runs all of what was typed or pasted at once; stops at the first error. Returns whether
--- all went well.
function Session:evaluate(text)
  local pieces = reader.pieces(text, self:next_name())
  for i, piece in ipairs(pieces) do
    if not self:run_piece(piece) then
      if i < #pieces and self.remark then
        self.remark(("the rest of it (%d of %d) was not run"):format(#pieces - i, #pieces))
      end
      return false
    end
    if self.left then return true end
  end
  return true
end

-- ---- what goes on ----

--- Forgets the lines that have ended by themselves. Returns those that have not, oldest
--- first, and whether any of the others has failed.
function Session:still_running()
  local live = {}
  for task, line in pairs(self.running) do
    local status = task:status()
    if status == "running" or status == "pending" then
      live[#live + 1] = line
    else
      self.running[task] = nil
      if status == "failed" then
        self.failed = true
        self.failures = self.failures or {}
        table.insert(self.failures, line)
      end
    end
  end
  table.sort(live, function(a, b) return a.number < b.number end)
  return live
end

--- Waits for all that goes on. Returns whether all of it went well.
function Session:finish()
  for _, line in ipairs(self:still_running()) do pcall(line.task.await, line.task) end
  self:still_running()
  return not self.failed
end

--- Cancels what still goes on and waits until it has ended.
function Session:cancel_all(reason)
  local live = self:still_running()
  for _, line in ipairs(live) do line.task:cancel(reason) end
  for _, line in ipairs(live) do pcall(line.task.await, line.task) end
end

return { new = new, sessions = sessions, WORDS = WORDS }
