---@meta railtracks

--- Workflows of nodes and calls. All functions raise; none returns `nil, message`.
---@class railtracks
---@field nodes table<string, railtracks.Node>  nodes by name; the newest of a name
---@field json railtracks.json
---@field version string
local rt = {}

--- Something callable, with a name. `node(...)` is `rt.call(node, ...)`.
---@class railtracks.Node
---@field name string
---@field description? string
---@field params? railtracks.Param[]
---@operator call(...): ...

---@class railtracks.Param
---@field name string
---@field type? "any"|"string"|"number"|"integer"|"boolean"|"table"  default "any"
---@field optional? boolean
---@field description? string

---@class railtracks.NodeOptions
---@field description? string
---@field params? railtracks.Param[]  arguments are checked against it before the node runs
---@field record? "all"|"none"  "none" keeps arguments and results out of the journal

---@class railtracks.NodeTable: railtracks.NodeOptions
---@field name string
---@field run fun(...): ...

--- A call that was started and not waited for.
---@class railtracks.Task
---@field id string    the call's id, such as "1.3.1"
---@field node string  the node's name
local Task = {}

--- Waits for the call to end. May be called many times, from many tasks.
---@async
---@return any ...  all results of the node
function Task:await() end

--- Cancels the call and all below it; does not wait for that.
---@param reason? string
---@return boolean  whether it had not ended yet
function Task:cancel(reason) end

---@return "pending"|"running"|"done"|"failed"|"cancelled"
function Task:status() end

--- An error of the engine's. Users' errors are any value and pass through as they are.
---@class railtracks.Error
---@field kind "usage"|"cancelled"|"deadlock"|"budget"|"journal"|"json"
---@field message string
---@field reason? string  of a cancellation
---@field node? string
---@field call? string

--- What can be called: a node, or a plain function (tracked as "file:line").
---@alias railtracks.Callable railtracks.Node|fun(...): ...

--- Makes a node. A name may be used again; `rt.nodes` has the newest.
---@param name string
---@param fn fun(...): ...
---@param options? railtracks.NodeOptions
---@return railtracks.Node
---@overload fun(node: railtracks.NodeTable): railtracks.Node
function rt.function_node(name, fn, options) end

--- Runs the node as a child of the current call and waits for it.
---@async
---@param node railtracks.Callable
---@param ... any
---@return any ...  all its results
function rt.call(node, ...) end

--- Starts the node as a child of the current call and does not wait.
---@param node railtracks.Callable
---@param ... any
---@return railtracks.Task
function rt.spawn(node, ...) end

--- Waits for all tasks. At the first failure the others are cancelled and waited for, and that
--- failure is raised.
---@async
---@param tasks railtracks.Task[]
---@return table results  the first result of each, in order, with `n`
---@overload fun(...: railtracks.Task): table
function rt.gather(tasks) end

--- Waits for all tasks and raises for none.
---@async
---@param tasks railtracks.Task[]
---@return { ok: boolean, value: any, error: any }[] outcomes  in order, with `n`
---@overload fun(...: railtracks.Task): table
function rt.settle(tasks) end

---@class railtracks.MapOptions
---@field limit? integer   how many calls at a time; default: no limit
---@field settle? boolean  outcomes as of rt.settle instead of results

--- Calls the node once per item, all at once. The length is `list.n` or `#list`.
---@async
---@param node railtracks.Callable
---@param list any[]
---@param options? railtracks.MapOptions
---@return any[] results  the first result of each, in order, with `n`
function rt.map(node, list, options) end

--- Waits; 0 gives way to others once.
---@async
---@param seconds number
function rt.sleep(seconds) end

---@return number seconds  of a monotonic clock
function rt.now() end

--- The running call; nil outside a run.
---@return { run: string, call: string, node: string }?
function rt.current() end

--- From plain Lua: opens the loop, runs the node to its end as the root of a run, and returns
--- when its records are committed. Inside a run: a run of its own, awaited.
---@param node railtracks.Callable
---@param ... any
---@return any ...  its results
function rt.run(node, ...) end

--- The kind of an error of the engine's, else nil.
---@param e any
---@return string?
function rt.kind(e) end

--- The whole way of the newest failure that the current call received with this value.
---@param e any
---@return string?
function rt.traceback(e) end

--- Marks a table as a list, so that it is recorded as [] when empty.
---@generic T: table
---@param list? T
---@return T
function rt.array(list) end

---@class railtracks.json
---@field null userdata
local json = {}

--- Raises an error of kind "json" for what JSON cannot carry.
---@param value any
---@return string
function json.encode(value) end

--- Whole numbers come back as integers, null as `rt.json.null`.
---@param text string
---@return any
function json.decode(text) end

return rt
