--- What the functions of Lua's own library are given, by name.

local LISTS = {
  [""] = [=[assert(v [, message]) collectgarbage([opt [, arg]]) dofile([filename])
    error(message [, level]) getmetatable(object) ipairs(t)
    load(chunk [, chunkname [, mode [, env]]]) loadfile([filename [, mode [, env]]])
    next(table [, index]) pairs(t) pcall(f [, arg1, ...]) print(...) rawequal(v1, v2)
    rawget(table, index) rawlen(v) rawset(table, index, value) require(modname)
    select(n, ...) setmetatable(table, metatable) tonumber(e [, base]) tostring(v) type(v)
    warn(msg1, ...) xpcall(f, msgh [, arg1, ...])]=],
  ["coroutine."] = [=[close(co) create(f) isyieldable([co]) resume(co [, val1, ...]) running()
    status(co) wrap(f) yield(...)]=],
  ["debug."] = [=[debug() gethook([thread]) getinfo([thread,] f [, what])
    getlocal([thread,] f, local) getmetatable(value) getregistry() getupvalue(f, up)
    getuservalue(u, n) sethook([thread,] hook, mask [, count])
    setlocal([thread,] level, local, value) setmetatable(value, table)
    setupvalue(f, up, value) setuservalue(udata, value, n)
    traceback([thread,] [message [, level]]) upvalueid(f, n) upvaluejoin(f1, n1, f2, n2)]=],
  ["io."] = [=[close([file]) flush() input([file]) lines([filename, ...])
    open(filename [, mode]) output([file]) popen(prog [, mode]) read(...) tmpfile() type(obj)
    write(...)]=],
  ["math."] = [=[abs(x) acos(x) asin(x) atan(y [, x]) ceil(x) cos(x) deg(x) exp(x) floor(x)
    fmod(x, y) log(x [, base]) max(x, ...) min(x, ...) modf(x) rad(x) random([m [, n]])
    randomseed([x [, y]]) sin(x) sqrt(x) tan(x) tointeger(x) type(x) ult(m, n)]=],
  ["os."] = [=[clock() date([format [, time]]) difftime(t2, t1) execute([command])
    exit([code [, close]]) getenv(varname) remove(filename) rename(oldname, newname)
    setlocale(locale [, category]) time([table]) tmpname()]=],
  ["package."] = [=[loadlib(libname, funcname) searchpath(name, path [, sep [, rep]])]=],
  ["string."] = [=[byte(s [, i [, j]]) char(...) dump(function [, strip])
    find(s, pattern [, init [, plain]]) format(formatstring, ...) gmatch(s, pattern [, init])
    gsub(s, pattern, repl [, n]) len(s) lower(s) match(s, pattern [, init]) pack(fmt, v1, ...)
    packsize(fmt) rep(s, n [, sep]) reverse(s) sub(s, i [, j]) unpack(fmt, s [, pos])
    upper(s)]=],
  ["table."] = [=[concat(list [, sep [, i [, j]]]) insert(list, [pos,] value)
    move(a1, f, e, t [, a2]) pack(...) remove(list [, pos]) sort(list [, comp])
    unpack(list [, i [, j]])]=],
  ["utf8."] = [=[char(...) codepoint(s [, i [, j [, lax]]]) codes(s [, lax])
    len(s [, i [, j [, lax]]]) offset(s, n [, i])]=],
}

local params = {}
for prefix, list in pairs(LISTS) do
  for name, given in list:gmatch "(%w+)(%b())" do
    params[prefix .. name] = given:sub(2, -2):gsub("%s+", " ")
  end
end
return params
