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

--- Requests by libcurl. Errors are of kind "http", with `code`, `method` and `url`. See
--- docs/http.md.
---@class railtracks.http
rt.http = {}

---@class railtracks.HttpOptions
---@field url? string
---@field method? string              in capital letters
---@field headers? table<string, string|number|string[]>
---@field query? table<string, any>
---@field body? string|fun(): string?|{ file: string }
---@field json? any
---@field auth? string|string[]|{ bearer: string }
---@field timeout? number             seconds for all of it
---@field connect_timeout? number     seconds; 30
---@field idle_timeout? number        seconds in which nothing comes
---@field follow? integer|boolean     redirects; 10
---@field max_body? number            bytes; 64 MiB, of a stream any number
---@field raise_for_status? boolean   false; of a stream true
---@field ca? string                  a file of authorities to trust
---@field insecure? boolean           trusts anybody
---@field proxy? string
---@field http2? boolean
---@field record? "none"

---@class railtracks.HttpTimings      seconds from the beginning
---@field name_lookup number
---@field connect number
---@field tls number?
---@field first_byte number
---@field total number

---@class railtracks.Response
---@field status integer
---@field headers table<string, string>  by name in any case
---@field body string
---@field url string                     the last one
---@field version "1.0"|"1.1"|"2"
---@field timings railtracks.HttpTimings
local Response = {}

--- What the body says as JSON. Raises an error of kind json.
---@return any
function Response:json() end

---@async
---@param options railtracks.HttpOptions
---@return railtracks.Response
function rt.http.request(options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.get(url, options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.post(url, options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.put(url, options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.patch(url, options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.delete(url, options) end

---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.Response
function rt.http.head(url, options) end

--- Called, as a `for` does, it gives the next piece; nil at the end.
---@class railtracks.HttpStream
---@field status integer
---@field headers table<string, string>
---@overload fun(): string?
local HttpStream = {}

---@async
---@return string?
function HttpStream:read() end

--- Ends the transfer, at once.
function HttpStream:close() end

--- The body piece by piece: `for piece in rt.http.stream(url) do`.
---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.HttpStream
function rt.http.stream(url, options) end

---@class railtracks.HttpEvent
---@field event string  "message" if it has no name
---@field data string
---@field id string?

---@class railtracks.HttpEvents
---@field status integer
---@field headers table<string, string>
---@field retry number?   seconds
---@field last_id string?
---@overload fun(): railtracks.HttpEvent?
local HttpEvents = {}

---@async
---@return railtracks.HttpEvent?
function HttpEvents:read() end

function HttpEvents:close() end

--- Server-sent events: `for event in rt.http.events(url) do`.
---@async
---@param url string
---@param options? railtracks.HttpOptions
---@return railtracks.HttpEvents
function rt.http.events(url, options) end

--- For `rt.retry { on = rt.http.transient }`: whether it may go better next time, or how many
--- seconds the server wants to be left alone before.
---@param problem any
---@return boolean|number
function rt.http.transient(problem) end

--- At most so many connections to one host at once (32); more requests wait.
---@param connections integer
function rt.http.limit(connections) end

--- Files. Errors are of kind "fs", with `code` and `path`. See docs/io.md.
---@class railtracks.fs
rt.fs = {}

--- All of a file, a FIFO or a device.
---@async
---@param path string
---@return string
function rt.fs.read(path) end

--- Puts a file with these contents in the place of the one there is, whole or not at all.
---@async
---@param path string
---@param data string
---@param options? { mode: integer? }  default: that of the file there was
function rt.fs.write(path, data, options) end

--- Adds to the end of a file, which is made if there is none.
---@async
---@param path string
---@param data string
function rt.fs.append(path, data) end

--- The lines of a file without their newlines: `for line in rt.fs.lines(path) do`. Leaving the
--- loop closes it.
---@async
---@param path string
---@return async fun(): string?
---@return nil
---@return nil
---@return any closed
function rt.fs.lines(path) end

--- The names in a folder, sorted.
---@async
---@param path string
---@return string[]
function rt.fs.list(path) end

---@class railtracks.Stat
---@field type "file"|"directory"|"link"|"fifo"|"socket"|"char"|"block"
---@field size integer
---@field mode integer      permission bits
---@field modified number   seconds since 1970; likewise:
---@field changed number
---@field accessed number
---@field uid integer
---@field gid integer
---@field dev integer
---@field ino integer
---@field nlink integer

---@async
---@param path string
---@param options? { follow: boolean? }  false: of a link itself
---@return railtracks.Stat
function rt.fs.stat(path, options) end

---@async
---@param path string
---@param options? { parents: boolean?, mode: integer? }  parents: those above it too; it may exist
function rt.fs.mkdir(path, options) end

---@async
---@param path string
---@param options? { recursive: boolean? }  all that is in a folder, too
function rt.fs.remove(path, options) end

---@async
---@param from string
---@param to string
function rt.fs.rename(from, to) end

--- A new folder, which is removed when it is closed: `local folder <close> = rt.fs.tempdir()`.
---@async
---@return { path: string }
function rt.fs.tempdir() end

--- What happens to a file or in a folder: `for event in rt.fs.watch(path) do`. Leaving the loop
--- ends it.
---@async
---@param path string
---@return async fun(): { name: string, type: "change"|"rename" }
---@return nil
---@return nil
---@return any closed
function rt.fs.watch(path) end

--- Connections of TCP and of sockets in the file system. Errors are of kind "net", with `code`.
---@class railtracks.net
rt.net = {}

---@class railtracks.Connection: railtracks.Stream
---@field host? string   of the other end, as an address
---@field port? integer
---@field path? string   of the socket

---@class railtracks.Address
---@field host? string
---@field port? integer
---@field path? string      of a socket in the file system, instead of host and port
---@field nodelay? boolean  false: small writes may wait to be sent together

---@class railtracks.ConnectOptions: railtracks.Address
---@field timeout? number    seconds
---@field tls? boolean
---@field ca? string         a file of the certificates to be trusted, instead of the system's
---@field insecure? boolean  nobody's certificate is looked at

---@class railtracks.ListenOptions: railtracks.Address
---@field backlog? integer  connections the system holds until they are taken

---@async
---@param host string|railtracks.ConnectOptions
---@param port? integer
---@param options? railtracks.ConnectOptions
---@return railtracks.Connection
function rt.net.connect(host, port, options) end

--- Takes connections at a host's port (0: one that is free; no host: 127.0.0.1). With a handler it
--- is a task of the current call, and each connection a call below it, which closes it at its end.
---@async
---@param host string|railtracks.ListenOptions|nil
---@param port integer
---@param options? railtracks.ListenOptions
---@param handler? fun(connection: railtracks.Connection)|railtracks.Node
---@return railtracks.Listener
---@overload fun(host: string?, port: integer, handler: function): railtracks.Listener
---@overload fun(options: railtracks.ListenOptions, handler: function?): railtracks.Listener
function rt.net.listen(host, port, options, handler) end

---@class railtracks.Listener
---@field name string            where it listens
---@field host? string
---@field port? integer
---@field task? railtracks.Task  with a handler
local Listener = {}

--- The next connection; nil once it is closed.
---@async
---@return railtracks.Connection?
function Listener:accept() end

---@return async fun(): railtracks.Connection?
function Listener:connections() end

--- Takes no more; those taken stay.
function Listener:close() end

--- Programs. See docs/io.md.
---@class railtracks.process
rt.process = {}

---@class railtracks.ProcessOptions
---@field [integer] string|number  the program and its arguments
---@field shell? boolean           the first is a command for /bin/sh, the others are its $1, $2 ...
---@field cwd? string
---@field env? table<string, string|number|false>  added to ours; false takes one away
---@field stdin? "pipe"|"inherit"|"null"   default "null", but "pipe" with input or rt.process.spawn
---@field stdout? "pipe"|"inherit"|"null"  default "pipe"
---@field stderr? "pipe"|"inherit"|"null"|"stdout"  default "pipe"
---@field record? "all"|"none"     "none" keeps arguments and results out of the journal

---@class railtracks.RunOptions: railtracks.ProcessOptions
---@field input? string            for its standard input
---@field timeout? number          seconds it may take
---@field max_output? integer      bytes it may write, in all; default 64 MiB

---@class railtracks.ProcessResult
---@field code? integer   nil if a signal has ended it
---@field signal? string  that signal, such as "SIGTERM"
---@field stdout? string  nil unless "pipe"
---@field stderr? string

--- Runs a program to its end. That it ends with another code than 0 is no error.
---@async
---@param options railtracks.RunOptions
---@return railtracks.ProcessResult
function rt.process.run(options) end

--- Starts a program as a task of the current call.
---@async
---@param options railtracks.ProcessOptions
---@return railtracks.Process
function rt.process.spawn(options) end

--- A program that was started. Closing it (`<close>`) ends it and its whole group.
---@class railtracks.Process
---@field pid integer
---@field task railtracks.Task  ends when it has exited
---@field stdin? railtracks.Stream
---@field stdout? railtracks.Stream
---@field stderr? railtracks.Stream
local Process = {}

--- Waits until it has exited.
---@async
---@return { code: integer?, signal: string? }
function Process:wait() end

--- Sends a signal to its group; false if it has exited.
---@param signal? string|integer  default "TERM"
---@return boolean
function Process:kill(signal) end

--- Ends it with its group if it has not exited, and closes its streams.
---@async
function Process:close() end

--- Bytes from and to a process or another machine.
---@class railtracks.Stream
---@field name string
local Stream = {}

--- What has come, at least one byte; with a number that many, fewer only at the end; with "a" all
--- there will be. Nil at the end.
---@async
---@param how? integer|"a"
---@return string?
function Stream:read(how) end

--- The next line without its end ("\n" or "\r\n"); nil at the end.
---@async
---@param longest? integer  bytes a line may have; default 1 MiB
---@return string?
function Stream:read_line(longest) end

---@param longest? integer
---@return async fun(): string?
function Stream:lines(longest) end

--- Writes all of it; waits until the system has taken it.
---@async
---@param data string
function Stream:write(data) end

--- No more will be written; reading goes on.
---@async
function Stream:shutdown() end

function Stream:close() end

--- The kind of an error of the engine's, else nil.
---@param e any
---@return string?
function rt.kind(e) end

--- The whole way of the newest failure that the current call received with this value;
--- outside a run, of the last failure that rt.run has raised, if it was this value.
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
