---@meta railtracks.testing

--- Tests of workflows, for busted or whatever else calls functions.
---@class railtracks.testing
local testing = {}

---@class railtracks.TestOptions
---@field clock? "real"|"virtual"  virtual: from 0, jumps to the next timer; default "real"
---@field seed? integer|false      of the order of ready tasks; default: RAILTRACKS_SEED
---@field timeout? number          seconds after which the run fails; default: none
---@field journal? string          a path, or "none", which is the default

--- Runs the function as the root of a run, in plain Lua, and checks that nothing is left.
---@param fn railtracks.Callable
---@param options? railtracks.TestOptions
---@return any ...  its results; its error is raised as the same value
function testing.run(fn, options) end

--- The body of a test: `it("...", testing.task(function() ... end))`.
---@param fn railtracks.Callable
---@param options? railtracks.TestOptions
---@return fun(): ...
function testing.task(fn, options) end

--- What stands in for a node.
---@class railtracks.Replacement
---@field node railtracks.Node
---@field calls table[]  the arguments of every call, as table.pack makes them
local Replacement = {}

--- Lets the node be what it was before. Closing does the same.
function Replacement:restore() end

--- Has the function run for all calls of the node, until the test is over or it is restored.
---@param node railtracks.Node
---@param fn (fun(...): ...)|any[]  or a list of answers, one for each call; its length is
---`n` or `#`
---@return railtracks.Replacement
function testing.replace(node, fn) end

--- What the engine holds. Between runs all are 0.
---@return table<"tasks"|"timers"|"handles"|"coroutines"|"anchors", integer>
function testing.leaks() end

--- The seed in use.
---@return integer?
function testing.seed() end

return testing
