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
---@field record "all"|"none"
---@field retries? integer|railtracks.RetryOptions
---@field timeout? number
---@operator call(...): ...
local Node = {}

--- A changed copy. `rt.nodes` keeps the original. A timeout of math.huge is none.
---@param options railtracks.NodeChange
---@return railtracks.Node
function Node:with(options) end

---@class railtracks.Param
---@field name string
---@field type? "any"|"string"|"number"|"integer"|"boolean"|"table"  default "any"
---@field optional? boolean
---@field description? string

---@class railtracks.NodeOptions
---@field description? string
---@field params? railtracks.Param[]  arguments are checked against it before the node runs
---@field record? "all"|"none"  "none" keeps arguments and results out of the journal
---@field timeout? number  seconds a call may take; with retries, each attempt
---@field retries? integer|railtracks.RetryOptions  after the first attempt (`times` includes it)

---@class railtracks.NodeChange
---@field name? string
---@field description? string
---@field record? "all"|"none"
---@field timeout? number
---@field retries? integer|railtracks.RetryOptions

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

---@alias railtracks.ErrorKind
---| "usage" | "timeout" | "cancelled" | "deadlock" | "budget" | "fatal" | "any" | "declined"
---| "journal" | "json" | "native" | "process" | "fs" | "net"

--- An error of the engine's. Users' errors are any value and pass through as they are.
---@class railtracks.Error
---@field kind railtracks.ErrorKind
---@field message string
---@field reason? any  of a cancellation, or why it was declined
---@field code? string   of kinds process, fs and net: such as "ENOENT"
---@field path? string   the file or program it is about
---@field errors? any[]  of kind "any": every failure
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

--- Waits for the first task to end: its result is returned, or its error raised. The others are
--- cancelled and waited for.
---@async
---@param tasks railtracks.Task[]  at least one
---@return any value      the first result of the winner
---@return integer index  which of the tasks it was
---@overload fun(...: railtracks.Task): any, integer
function rt.race(tasks) end

--- Waits for the first task to succeed; the others are cancelled and waited for. If all fail, an
--- error of kind "any" is raised that has every failure in `errors`, in the order of the tasks.
---@async
---@param tasks railtracks.Task[]  at least one
---@return any value      the first result of the one that succeeded
---@return integer index  which of the tasks it was
---@overload fun(...: railtracks.Task): any, integer
function rt.any(tasks) end

--- An iterator over tasks in the order they end: `for index, ok, value in rt.as_completed(tasks)`.
--- Where `ok` is false, `value` is the error. Leaving the loop cancels nothing. Any task may take
--- the next one, but only one at a time may wait for it.
---@param tasks railtracks.Task[]
---@return fun(): integer?, boolean, any
---@overload fun(...: railtracks.Task): fun(): integer?, boolean, any
function rt.as_completed(tasks) end

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

--- A call under a deadline. Past it the call is cancelled with all below it and fails with an
--- error of kind "timeout" (field `seconds`); the error says where the deadline was set and what
--- the call was waiting for. Deadlines nest; the nearest counts.
---@async
---@param seconds number  above 0; math.huge is no deadline
---@param node railtracks.Callable
---@param ... any
---@return any ...  all its results
function rt.timeout(seconds, node, ...) end

--- A call that the cancellation of its caller does not reach. The caller is told at its next
--- wait, after the call has ended.
---@async
---@param node railtracks.Callable
---@param ... any
---@return any ...  all its results
function rt.shield(node, ...) end

--- Runs fn in place, as part of the running call. What was spawned in it has ended when it
--- returns; when fn fails that is cancelled first. An unobserved failure is raised here.
---@async
---@param fn fun(...): ...
---@param ... any
---@return any ...  its results
function rt.scope(fn, ...) end

--- Raises an error of kind "fatal" that no node can catch: the whole run is cancelled and fails
--- with it.
---@param message any
function rt.fatal(message) end

--- Lua's own functions, which know nothing of tasks: a pcall of these catches a cancellation.
---@class railtracks.raw
---@field pcall function
---@field xpcall function
---@field coroutine table<string, function>
---@field debug { traceback: function }
rt.raw = {}

--- Waits; 0 gives way to others once.
---@async
---@param seconds number
function rt.sleep(seconds) end

---@return number seconds  of a monotonic clock
function rt.now() end

--- Waits for a callback. `start` is called at once; the wait ends when it, or whatever it has
--- handed them to, calls `resume(...)`, whose arguments are returned, or `fail(err)`, whose
--- argument is raised. Only the first call of the two counts; it returns true, others false.
--- What `start` returns is called when the wait is cancelled, or its deadline passes, and then
--- only; it may not wait.
---@async
---@param start fun(resume: (fun(...): boolean), fail: (fun(err: any): boolean)): function?
---@return any ...
function rt.await(start) end

--- luv on the engine's loop: all that libuv has. `require "luv"` gives the same. Its callbacks
--- run outside every call; one that raises fails the run. See docs/io.md.
---@type table
rt.uv = {}

--- Lets at most n tasks at a time pass; those that wait are served first come, first served.
---@class railtracks.Semaphore
local Semaphore = {}

--- Calls `fn` with a permit, as part of the current call, and gives the permit back however `fn`
--- is left: when it returns, fails or is cancelled.
---@async
---@param fn fun(...): ...
---@param ... any
---@return any ...  all results of `fn`
function Semaphore:with(fn, ...) end

--- Waits for a permit. It stays taken until somebody calls `release`.
---@async
function Semaphore:acquire() end

--- Gives a permit back, to whoever waits longest. Does not wait; any task may call it.
function Semaphore:release() end

--- May be made outside a run.
---@param n integer  how many permits there are
---@return railtracks.Semaphore
function rt.semaphore(n) end

--- Carries values from one task to another, in the order in which they were sent. `#channel` is
--- the number of values in its buffer.
---@class railtracks.Channel
---@operator len: integer
local Channel = {}

--- Waits for a receiver or for room in the buffer. Sending to a closed channel is an error, as it
--- is when the channel is closed meanwhile.
---@async
---@param value any  but not nil
function Channel:send(value) end

--- Waits for a value.
---@async
---@return any value   nil once the channel is closed and empty
---@return boolean ok  false then
function Channel:receive() end

--- The values until the channel is closed and empty: `for value in channel:each() do`.
---@return async fun(channel: railtracks.Channel): any
---@return railtracks.Channel
function Channel:each() end

--- No more will be sent. What is in the buffer can still be received. Does not wait.
function Channel:close() end

--- May be made outside a run.
---@param capacity? integer  how many values may wait in its buffer; 0, the default: `send` waits
---                          for a receiver; math.huge: no bound
---@return railtracks.Channel
function rt.channel(capacity) end

--- The running call; nil outside a run.
---@return { run: string, call: string, node: string }?
function rt.current() end

--- From plain Lua: opens the loop, runs the node to its end as the root of a run, and returns
--- when its records are committed. Inside a run: a run of its own, awaited.
---@param node railtracks.Callable
---@param ... any
---@return any ...  its results
function rt.run(node, ...) end

--- Something to run again and again: a node to begin with, and how its runs are to be.
---@class railtracks.Flow
---@field name string   of its runs
---@field entry railtracks.Callable
local Flow = {}

---@class railtracks.FlowOptions
---@field entry? railtracks.Callable
---@field name? string      default: the entry's
---@field timeout? number   seconds a run may take
---@field context? table    what rt.context begins with: each run gets a deep copy
---@field stop_on_error? boolean  a call that fails ends the run, although a caller caught it

---@param options railtracks.FlowOptions
---@return railtracks.Flow
function rt.flow(options) end

--- Runs the entry, as rt.run does.
---@param ... any
---@return any ...  its results
function Flow:run(...) end

--- Starts a task of the current call that runs the flow, in a run of its own.
---@param ... any
---@return railtracks.Task
function Flow:spawn(...) end

--- A changed copy.
---@param options railtracks.FlowOptions
---@return railtracks.Flow
function Flow:with(options) end

--- Values shared by all calls of one run, gone with it.
---@class railtracks.context
rt.context = {}

---@param key any
---@param default? any  what there is to be instead of nil
---@return any
function rt.context.get(key, default) end

---@param key any
---@param value any  nil takes the key away
function rt.context.put(key, value) end

---@param values table  all of it is put
function rt.context.update(values) end

---@param key any
function rt.context.delete(key) end

---@return any[] keys  strings first, then numbers, each sorted; then the others
function rt.context.keys() end

---@class railtracks.RetryOptions
---@field times? integer     attempts, the first included; math.huge for ever; default 3
---@field delay? number      seconds before the second attempt; default 0.1
---@field factor? number     how much longer each next pause is; default 2
---@field max_delay? number  the longest pause; default 30
---@field jitter? number     0 to 1: up to this share is added to a pause by chance; default 0.5
---@field on? fun(err: any, attempt: integer): boolean?  whether to try again

--- Calls the node until it succeeds, in a call named "retry" whose children are the attempts.
--- Raises the last attempt's error. Not tried again: kinds "fatal" and "usage", a cancellation of
--- one's own, and "declined" unless `on` says so.
---@async
---@param options railtracks.RetryOptions
---@param node railtracks.Callable
---@param ... any
---@return any ...
function rt.retry(options, node, ...) end

--- A new node with the same name whose calls pass through `fn(next, ...)`: it may change
--- arguments and results, call `next` any number of times, or fail. Of several the first is
--- the outermost; wrapping again puts the new ones outside. `rt.nodes` keeps the original.
---@param node railtracks.Callable
---@param fn fun(next: (fun(...): ...), ...): ...
---@param ... fun(next: (fun(...): ...), ...): ...
---@return railtracks.Node
function rt.wrap(node, fn, ...) end

--- A new node with the same name. The verifier is called first, with the arguments, and returns
--- true; true and the arguments to be used instead; or false and a reason: then the call fails
--- with an error of kind "declined".
---@param node railtracks.Callable
---@param verifier railtracks.Callable
---@param options? { timeout: number? }  seconds the verifier may take
---@return railtracks.Node
function rt.verify(node, verifier, options) end

--- `require` for modules that wait while they load. Who asks for a module that is being loaded
--- waits for it.
---@async
---@param name string
---@return any module
---@return any data  of its loader
function rt.require(name) end

--- Loads a plugin, a shared library of native nodes (docs/native.md), once however often asked,
--- and puts its nodes into rt.nodes. A name without a '/' is searched for; '.so' may be left out.
---@param path string
---@return table<string, railtracks.Node> nodes  by name
function rt.load(path) end

---@class railtracks.RecordedRun
---@field id string
---@field name string
---@field status "running"|"done"|"failed"|"cancelled"|"interrupted"
---@field started_at number  seconds since 1970
---@field ended_at? number
---@field calls integer
---@field error? {kind?: string, message: string, traceback?: string}

---@class railtracks.RecordedCall
---@field id string
---@field parent? string
---@field node string
---@field kind "lua"|"native"
---@field status "running"|"done"|"failed"|"cancelled"|"interrupted"
---@field spawned_at number
---@field started_at? number
---@field ended_at? number
---@field site? string     file:line of the code that started it
---@field args? table      with `n`; none where they are not recorded
---@field results? table   with `n`
---@field error? {kind?: string, message: string, traceback?: string}
---@field children railtracks.RecordedCall[]
---@field run? railtracks.RecordedRun  of the root

--- The recorded runs, newest first.
---@param options? {limit?: integer, status?: string, name?: string}
---@return railtracks.RecordedRun[]
function rt.runs(options) end

--- The calls of a recorded run as a tree (docs/exports.md).
---@param run? string  "@1", a part of an id; default: the current run
---@return railtracks.RecordedCall root
function rt.trace(run) end

---@class railtracks.Log
rt.log = {}

--- A line of the log, and an event of the current call in the journal (docs/logging.md).
---@param message string
---@param fields? table
function rt.log.debug(message, fields) end

---@param message string
---@param fields? table
function rt.log.info(message, fields) end

---@param message string
---@param fields? table
function rt.log.warning(message, fields) end

---@param message string
---@param fields? table
function rt.log.error(message, fields) end

---@class railtracks.Event
---@field event "call_started"|"call_ended"|"broadcast"|"progress"|"log"
---@field run? string     none of these outside a run
---@field call? string
---@field parent? string  none of the root
---@field node? string
---@field time? number    seconds since 1970
---@field status? "running"|"done"|"failed"|"cancelled"  of call_started and call_ended
---@field seconds? number  of call_ended: since it was started
---@field error? {kind?: string, message: string}  of call_ended
---@field value? any      of broadcast
---@field done? number    of progress, as the next two
---@field total? number
---@field label? string
---@field map? string      of progress that an rt.map tells: the node it calls
---@field level? "debug"|"info"|"warning"|"error"  of log, as the next two
---@field message? string
---@field fields? table

--- Calls `handler` for each such event, between tasks. It may not wait; its failures are logged
--- once.
---@param event "call_started"|"call_ended"|"broadcast"|"progress"|"log"
---@param handler fun(event: railtracks.Event)
---@return fun() stop  ends it
function rt.on(event, handler) end

--- Hands a value to the handlers of "broadcast", and its JSON to the journal.
---@param value any
function rt.broadcast(value) end

--- Says how far the current call is.
---@param done number
---@param total? number
---@param label? string
function rt.progress(done, total, label) end

---@class railtracks.Stats  what the worker pool does
---@field workers integer    most threads it may have
---@field threads integer    it has started
---@field queued integer     calls that no thread has taken yet
---@field running integer    calls that run
---@field done integer       calls that have run to their end
---@field abandoned integer  calls that run though nobody waits for them any more
---@field busy number        seconds that threads have run calls, all together

---@return railtracks.Stats
function rt.stats() end

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
