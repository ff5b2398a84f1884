---@meta _

--- What of rt waits for the world outside: docs/http.md and docs/io.md.

---@class railtracks
local rt = {}

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
---@field auth? string|string[]|{ bearer: string }|{ user: string, password: string }
---@field timeout? number             seconds for all of it
---@field connect_timeout? number     seconds; 30
---@field idle_timeout? number        seconds in which nothing comes or goes
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

--- The values of all headers of that name, in their order.
---@param name string
---@return string[]
function Response:values(name) end

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
---@field url string
---@field version "1.0"|"1.1"|"2"
---@overload fun(): string?
local HttpStream = {}

---@async
---@return string?
function HttpStream:read() end

---@param name string
---@return string[]
function HttpStream:values(name) end

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
---@field url string
---@field version "1.0"|"1.1"|"2"
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
