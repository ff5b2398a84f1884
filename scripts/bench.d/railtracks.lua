-- The works of the bench in Railtracks: railtracks.lua WORK COUNT [TIMES] prints "us N",
-- the time of one, and "ms N", that of all. Some works take one argument more.

local rt = require "railtracks"

-- Lua's own, whatever stands in for it here.
local pcall = rt.raw and rt.raw.pcall or pcall
local coroutine = rt.raw and rt.raw.coroutine or coroutine

local function plain(n) return n end

local leaf = rt.function_node("leaf", plain)

local nap = rt.function_node("nap", function() rt.sleep(0.010) end)

local deep
deep = rt.function_node("deep", function(n)
  if n == 0 then return 0 end
  return 1 + rt.call(deep, n - 1)
end)

local fail
fail = rt.function_node("fail", function(n)
  if n == 0 then error("the bottom") end
  return 1 + rt.call(fail, n - 1)
end)

local function spawned(node, count)
  local tasks = {}
  for i = 1, count do tasks[i] = rt.spawn(node, i) end
  return rt.gather(tasks)
end

local works = {}

works["function"] = function(count)
  for i = 1, count do plain(i) end
end

function works.pcall(count)
  for i = 1, count do pcall(plain, i) end
end

-- The pcall that stands in for Lua's.
function works.protected(count)
  local protected = _G.pcall
  for i = 1, count do protected(plain, i) end
end

-- 5,000 a second.
function works.paced(count)
  local from = rt.now()
  for i = 1, count do
    rt.call(leaf, i)
    if i % 250 == 0 then rt.sleep(math.max(0, i / 5000 - (rt.now() - from))) end
  end
end

function works.call(count)
  for i = 1, count do rt.call(leaf, i) end
end

-- Its handlers run when a task gives way.
function works.listen(count)
  local told = 0
  rt.on("call_started", function() told = told + 1 end)
  rt.on("call_ended", function() told = told + 1 end)
  for i = 1, count do
    rt.call(leaf, i)
    if i % 1000 == 0 then rt.sleep(0) end
  end
  rt.sleep(0)
  assert(told >= 2 * count)
end

function works.map(count, items)
  assert(#rt.map(leaf, items) == count)
end

function works.spawn(count)
  assert(spawned(leaf, count).n == count)
end

function works.sleep(count)
  spawned(nap, count)
end

-- Only the cancelling, up to the end of the last one.
function works.cancel(count)
  local tasks = {}
  for i = 1, count do tasks[i] = rt.spawn(rt.sleep, 3600) end
  rt.sleep(0)
  local began = rt.now()
  for i = 1, count do tasks[i]:cancel() end
  rt.settle(tasks)
  return rt.now() - began
end

function works.deep(count)
  assert(rt.call(deep, count) == count)
end

-- The error comes all the way up, and what is told of the way is asked for.
function works.fail(count)
  local ok, err = _G.pcall(rt.call, fail, count)
  assert(not ok and rt.traceback(err))
end

local function hand_over(count, capacity)
  local ch, got = rt.channel(capacity), 0
  rt.spawn(function()
    for i = 1, count do ch:send(i) end
    ch:close()
  end)
  for _ in ch:each() do got = got + 1 end
  assert(got == count)
end

-- One producer, one consumer.
function works.channel(count) hand_over(count, 0) end

function works.buffered(count) hand_over(count, 64) end

local function generate(count, of)
  local yield, got = of.yield, 0
  for _ in of.wrap(function()
    for i = 1, count do yield(i) end
  end) do
    got = got + 1
  end
  assert(got == count)
end

-- The same values from a coroutine of plain Lua ...
function works.resume(count) generate(count, rt.raw.coroutine) end

-- ... and from one inside which tasks may wait.
function works.generator(count) generate(count, coroutine) end

function works.semaphore(count)
  local sem = rt.semaphore(1)
  for _ = 1, count do
    sem:acquire()
    sem:release()
  end
end

-- Four tasks want the one permit, and let the others run while they have it.
function works.contended(count)
  local sem = rt.semaphore(1)
  rt.map(function()
    for _ = 1, count // 4 do
      sem:acquire()
      rt.sleep(0)
      sem:release()
    end
  end, { 1, 2, 3, 4 })
end

-- Native nodes

local native

function works.inline(count)
  local node = native.leaf_inline
  for i = 1, count do rt.call(node, i) end
end

function works.inline_text(count)
  local node, text = native.measure_inline, ("x"):rep(1 << 20)
  for _ = 1, count do rt.call(node, text) end
end

function works.offload(count)
  local node = native.leaf_offload
  for i = 1, count do rt.call(node, i) end
end

function works.offload_many(count, items) assert(#rt.map(native.leaf_offload, items) == count) end

-- As many rounds as in native_peer.c.
function works.spin(count, items)
  assert(#rt.map(function(i) return rt.call(native.spin, i, 10000000) end, items) == count)
end

-- The files whose paths are the lines of a list; prints "check N", as native_peer.c does. With
-- more calls at once than keep the threads busy their coroutines would only take memory.
function works.hash(_, paths)
  local hash = rt.load(os.getenv "RT_BENCH_HASH").hash_file
  local began = rt.now()
  local sums = rt.map(hash, paths, { limit = 256 })
  local seconds, check = rt.now() - began, 0
  for _, sum in ipairs(sums) do check = check + tonumber(sum:sub(-8), 16) end
  print("check", check)
  return seconds
end

-- Processes and sockets; the third argument is how many at once, or the program at the other end.

function works.processes(count, items, limit)
  local function run() return rt.process.run { "true" }.code == 0 end
  local done = rt.map(run, items, { limit = tonumber(limit) })
  for i = 1, count do assert(done[i]) end
end

-- An echo server, and another process that holds so many connections to it.
function works.idle(count, _, peer)
  local server = rt.net.listen("127.0.0.1", 0, function(connection)
    for data in function() return connection:read() end do connection:write(data) end
  end)
  local result = rt.process.run { peer, "idle", count, server.port }
  assert(result.code == 0, result.stderr)
  server.task:cancel()
  rt.settle(server.task)
end

function works.http(_, items, url)
  rt.http.limit(64)
  local function get() return #rt.http.get(url).body end
  for _, size in ipairs(rt.map(get, items, { limit = 64 })) do assert(size == 1024) end
end

function works.http_stream(_, _, url)
  local size = 0
  for piece in rt.http.stream(url) do size = size + #piece end
  assert(size == 1 << 30)
end

local work, count, times, with = ...
if os.getenv "RT_BENCH_NATIVE" then native = rt.load(os.getenv "RT_BENCH_NATIVE") end
local items = {}
count, times = tonumber(count), tonumber(times) or 1
if work == "map" or work == "offload_many" or work == "spin" or work == "processes"
  or work == "http" then
  for i = 1, count do items[i] = i end
end

if work == "hash" then
  for line in io.lines((select(3, ...))) do items[#items + 1] = line end
  assert(#items == count)
end

local began = rt.now()
local measured
for _ = 1, times do measured = works[work](count, items, with) or measured end
local ms = (measured or rt.now() - began) * 1e3
print("us", ms * 1e3 / (count * times))
print("ms", ms)
