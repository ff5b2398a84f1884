local rt = require "railtracks"
math.randomseed(tonumber(... or 1))
-- A random tree of everything that waits, fails and is cancelled; must only end.
local function rnd(n) return math.random(n) end
local depth = 0
local kinds = {}
local function work(level)
  local k = rnd(9)
  if level > 5 then k = rnd(3) end
  if k == 1 then rt.sleep(0) return 1
  elseif k == 2 then if rnd(5)==1 then error("x"..rnd(100)) end return level
  elseif k == 3 then rt.sleep(rnd(3)/1000) return {level}
  elseif k == 4 then local ok, r = pcall(rt.call, work, level+1) return r
  elseif k == 5 then local t = {} for i=1,rnd(6) do t[i]=rt.spawn(work, level+1) end local ok, r = pcall(rt.gather, t) return ok
  elseif k == 6 then local l = {} for i=1,rnd(10) do l[i]=level+1 end local ok, r = pcall(rt.map, work, l, {limit=rnd(4), settle=rnd(2)==1}) return r
  elseif k == 7 then local t = {} for i=1,rnd(6) do t[i]=rt.spawn(work, level+1) end if rnd(2)==1 then rt.sleep(0) end t[rnd(#t)]:cancel("because") local r = rt.settle(t) return #r
  elseif k == 8 then local a = rt.spawn(work, level+1) local b = rt.spawn(function() return a:await() end) local c = rt.spawn(function() local ok,e = pcall(a.await, a) return ok end) if rnd(3)==1 then b:cancel() end rt.settle(a,b,c) return 1
  elseif k == 9 then local ok, r = pcall(rt.run, work, level+1) return ok end
end
for i = 1, 100 do
  local t = rt.spawn(work, 0)
  if rnd(4)==1 then t:cancel("outer") end
  rt.settle(t)
  if i % 50 == 0 then collectgarbage() end
end
print("done")
