--- What 'railtracks help COMMAND' says, by command.

local help = {}

--- What there is at all.
help[""] = [=[
usage: railtracks                                   type Lua and see what it does
       railtracks repl [OPTION...] [SCRIPT [ARG...]]  the same, with what a script defines
       railtracks run [OPTION...] SCRIPT [ARG...]   run a script as a run
       railtracks run [OPTION...] -e CODE [ARG...]  run code
       railtracks attach [OPTION...] PATH           look into a program that runs
       railtracks runs [OPTION...]                  list the recorded runs, newest first
       railtracks show [OPTION...] [RUN]            show a run as a tree (default: the newest)
       railtracks top [OPTION...] [RUN]             show what runs, while it runs
       railtracks stats [OPTION...] [RUN...]        sum up nodes over runs
       railtracks diff [OPTION...] RUN RUN          show where two runs went apart
       railtracks prune [OPTION...]                 remove old runs
       railtracks export [OPTION...] RUN            write a run in the format of another tool
       railtracks view [OPTION...]                  show them in a browser, live
       railtracks new-plugin DIR                    write a small plugin of native nodes
       railtracks version
       railtracks help [COMMAND]
]=]

help.repl = [=[
usage: railtracks repl [OPTION...] [SCRIPT [ARG...]]

Runs lines of Lua as they are typed; ':help' there says more. Every line is a call of one
run, may wait, and is recorded. SCRIPT is run first; its globals and nodes are there. Without
a terminal, lines are read from standard input, only results are printed, and the first error
ends it with status 1.

  --no-history        neither read nor write the file of what was typed before
  --journal FILE      where to record; 'none' keeps the newest 100,000 calls in memory
  --journal-max SIZE  bytes the journal may take (K, M, G; default 2G)
  --record-limit SIZE bytes of an argument or result that are recorded (default 64K)
  --grace SECONDS     how long the cleanup of what is cancelled may take (default 5)
  --memory-limit SIZE    the session ends when its Lua values take more
  --workers N            threads for native nodes (default: as many as cores)
  --log-level LEVEL, --log-file FILE, --log-format text|json, --log-max SIZE
                         as for 'railtracks run'
]=]

help.run = [[
usage: railtracks run [OPTION...] SCRIPT [ARG...]
       railtracks run [OPTION...] -e CODE [ARG...]

Runs SCRIPT ('-' for standard input), or CODE, as the root call of a run. The ARGs reach
it as '...' and in 'arg'. Every call is recorded in the journal.

  -e CODE             run CODE instead of a script
  --journal FILE      where to record; 'none' keeps the newest 100,000 calls in memory
  --journal-max SIZE  bytes the journal may take (K, M, G; default 2G): past it the oldest
                      ended runs are removed first; 0 sets no bound
  --record-limit SIZE bytes of an argument or result that are recorded (default 64K)
  --timeout SECONDS   the run fails when it takes longer
  --grace SECONDS     how long the cleanup of what is cancelled may take (default 5)
  --slice-limit SECONDS  code that runs longer without a wait is stopped
  --memory-limit SIZE    the run fails when its Lua values take more
  --workers N            threads for native nodes (default: as many as cores)
  --log-level LEVEL   what is logged to standard error: debug, info, warning (default),
                      error or none; debug and info tell of every call
  --log-file FILE     the same lines are appended to FILE, too
  --log-format FORMAT text (default) or json
  --log-max SIZE      the log file becomes FILE.1 before it is larger (default 10M); five
                      are kept; 0 sets no bound
  --progress          show what runs while it runs, and a summary, on standard error
  --metrics PORT      answer http://127.0.0.1:PORT/metrics in the format of Prometheus while
                      the run goes on; 0 takes any port and says which
  --console PATH         a socket at which 'railtracks attach PATH' looks into the program

Exit status: 0 success, 1 the run failed, 2 wrong usage, 130 after Ctrl-C, 143 after
SIGTERM, 129 after SIGHUP, 141 when nobody reads its standard output.
]]

help.attach = [[
usage: railtracks attach [OPTION...] PATH

Opens the REPL inside the program that 'railtracks run --console PATH' has started, as the
same user: to see what runs, look at values, call nodes, cancel tasks, while it goes on.
Without a terminal, lines are read from standard input, and the first error ends it with
status 1.

  --no-history        neither read nor write the file of what was typed before
]]

help.runs = [[
usage: railtracks runs [OPTION...]

Lists the recorded runs, newest first.

  --json              print a JSON list
  --limit N           at most N runs (default 50)
  --all               all of them
  --journal FILE      the journal to read
]]

help.show = [[
usage: railtracks show [OPTION...] [RUN]

Shows a run as a tree of its calls. RUN is a unique beginning or end of a run's id, or @1
for the newest, @2 for the one before (default: @1).

  --json              print one JSON object {"run": {...}, "calls": [...]}
  --follow            show each call when it has ended, until the run has; with --json a
                      line for each, and the run in the last one
  --failed            only the calls that failed, with their ids
  --node NAME         only the calls of that node
  --slowest N         only the N calls that took longest
  --depth N           only N levels below the root
  --limit N           at most N calls (default 200)
  --all               all of them
  --journal FILE      the journal to read
]]

help.top = [[
usage: railtracks top [OPTION...] [RUN]

Draws what a run does while it runs in another process: its calls, for how long, how far they
say they are, and how many have ended; below, the runs started from it. RUN is as for
'railtracks show' (default: the newest that runs). When it ends, or at Ctrl-C, a summary stays.
Where standard output is no terminal it is a plain line every two seconds.

  --journal FILE      the journal to read
]]

help.stats = [[
usage: railtracks stats [OPTION...] [RUN...]

Sums up the calls of each node, over the RUNs or the newest ones: how many, how many failed,
how long they took (percentiles within 1 %).

  --runs N            the newest N runs (default 20)
  --json              print a JSON object, durations in seconds
  --journal FILE      the journal to read
]]

help.diff = [[
usage: railtracks diff [OPTION...] RUN RUN

Shows where two runs went apart: calls that only one of them has, and those whose node,
arguments, status, results or error differ. Calls are matched by their ids.

  --limit N           at most N differences (default 200)
  --all               all of them
  --journal FILE      the journal to read

Exit status: 0 when no call is different, 1 when one is.
]]

help.prune = [[
usage: railtracks prune [OPTION...]

Removes old runs with all that was recorded of them, and gives their room back to the disk. At
least one of --older and --keep is needed. Runs that have not ended stay. It may be used while
others record.

  --older AGE         only those that ended longer ago: 90s, 15m, 12h, 30d, 8w
  --keep N            none of the newest N, however old
  --journal FILE      the journal
]]

help.export = [[
usage: railtracks export [OPTION...] RUN

Writes a recorded run to standard output in the format of another tool. RUN is as for
'railtracks show'.

  --format FORMAT     otlp: OpenTelemetry traces, OTLP/JSON
                      perfetto: Trace Event Format, for ui.perfetto.dev, chrome://tracing
                      mermaid: a flow chart; nodes are merged where there are many calls
                      json: as 'railtracks show --json'; csv: a line per call
  --to URL            post an otlp export to a collector instead
  --live              follow a run that another process records: otlp spans go out as calls
                      end, until the run has; without --to a request a line
  --journal FILE      the journal to read
]]

help.view = [[
usage: railtracks view [OPTION...]

Serves a page that shows the recorded runs in a browser, live, and prints its address.
Ctrl-C ends it. The journal is only read; it need not be there yet.

  --port N            the port (default: 3030, or the next that is free; 0: any)
  --host H            an address of this machine to be reached at by others, who then need
                      the token in the printed address (default: 127.0.0.1, without one)
  --open              open the page in the browser
  --journal FILE      the journal to read

Exit status: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 1 when it cannot begin.
]]

help["new-plugin"] = [[
usage: railtracks new-plugin DIR

Writes a small plugin of native nodes into the folder DIR, which is made: a C file, a
CMakeLists.txt that builds it against the installed Railtracks, and a spec.
]]

help.version = "usage: railtracks version\n\nPrints the version.\n"
help.help = "usage: railtracks help [COMMAND]\n\nSays how a command is used.\n"

return help
