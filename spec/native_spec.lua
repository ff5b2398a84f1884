local rt = require "railtracks"
local helper = require "spec.helper"

local in_run = helper.in_run
local plugins = helper.build .. "/plugins/"
local odd = rt.load(plugins .. "odd.so")
local words = rt.load(plugins .. "words.so")
local hash = rt.load(plugins .. "hash.so")
local ticker = rt.load(plugins .. "ticker.so")

--- The error of a call, as text and as it is.
local function failure(...)
  local ok, err = pcall(rt.call, ...)
  assert.is_false(ok)
  return tostring(err), err
end

--- The same node as inline, on a worker, answering within its function and without a handle.
local echoes = { "echo", "echo_offload", "echo_later", "echo_soon" }

describe("a native node", function()
  it("is called like any other", in_run(function()
    assert.equal(3, rt.call(words.count_words, "one two three"))
    assert.equal(3, words.count_words "one two three")
    assert.equal("Counts the words of a text.", words.count_words.description)
    assert.equal("count_words", words.count_words.name)
    assert.equal(words.count_words, rt.nodes.count_words)
  end))

  for _, name in ipairs(echoes) do
    local echo = odd[name]
    it("gives values back as they came: " .. name, in_run(function()
      local values = { 1, 1.0, -0.5, math.mininteger, "", "a\0b", true, false,
        { 1, { 2, { x = { y = "z" } } } }, { [1.5] = 1, [true] = 2, [-3] = 3, ["k\0"] = {} },
        { 1, nil, 3, n = 3 }, { n = 0 }, { n = 1 << 40 },
        { n = "x", 1 }, { n = 5 }, { 1, 2, n = 1 }, { [3] = 1, n = 3, x = 1 },
        { [1 << 40] = 1, n = 1 << 40 }, { 1, [3] = 3 }, { [2] = 1, n = -1 },
        { 1, [3] = 3, n = -7 }, { 1, ["n\0"] = 1 } }
      for _, value in ipairs(values) do
        local got = rt.call(echo, value)
        assert.same(value, got)
        assert.equal(math.type(value), math.type(got))
      end
      assert.equal(getmetatable(rt.array {}), getmetatable(rt.call(echo, rt.array {})))
      assert.is_nil(getmetatable(rt.call(echo, {})))
      assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(rt.call(echo, 1, nil, 3, nil)))
      assert.equal(0, select("#", rt.call(echo)))
    end))

    it("is a list still where it has nothing but nil in it", in_run(function()
      local list = rt.call(odd.only_nil)
      assert.is_nil(next(list))
      assert.equal(getmetatable(rt.array {}), getmetatable(list))
    end))

    it("says what cannot be given, and where: " .. name, in_run(function()
      assert.equal(("usage: %s: argument 2, at .a[2].b: a function cannot be given to a native " ..
        "node"):format(name), (failure(echo, 1, { a = { 1, { b = print } } })))
      local circle = {}
      circle.self = circle
      assert.matches("argument 1, at .self: a table that holds itself cannot be given",
        failure(echo, circle), 1, true)
      local inner = {}
      inner.up = { inner }
      assert.matches("argument 1, at [2].up[1]: a table that holds itself cannot be given",
        failure(echo, { 1, inner }), 1, true)
      local deep = {}
      for _ = 2, 1000 do deep = { deep } end
      local got = rt.call(echo, deep)
      for _ = 2, 1000 do got = got[1] end
      assert.same({}, got)
      assert.matches("argument 1: a table nested more than 1000 deep cannot be given",
        failure(echo, { deep }), 1, true)
      assert.matches("a table as a key", failure(echo, { [{}] = 1 }), 1, true)
    end))

    it("takes null of JSON for nil: " .. name, in_run(function()
      assert.is_nil(rt.call(echo, rt.json.null))
      assert.same({ 1, nil, 3 }, rt.call(echo, { 1, rt.json.null, 3 }))
      assert.same({ b = 2 }, rt.call(echo, { a = rt.json.null, b = 2 }))
      assert.matches("rt.json.null as a key", failure(echo, { [rt.json.null] = 1 }), 1, true)
    end))

    it("works with spawn, gather, map, retry and the like: " .. name, in_run(function()
      assert.same({ 1, 2, n = 2 }, rt.gather(rt.spawn(echo, 1), rt.spawn(echo, 2)))
      assert.same({ 1, 2, 3, n = 3 }, rt.map(echo, { 1, 2, 3 }, { limit = 2 }))
      assert.equal(4, rt.retry({ times = 2 }, echo, 4))
      assert.equal(5, rt.timeout(60, echo, 5))
      assert.equal(6, rt.shield(echo, 6))
      assert.equal(7, rt.call(echo:with { timeout = 60, retries = 1 }, 7))
      assert.equal(8, rt.race { rt.spawn(echo, 8) })
    end))
  end

  for _, suffix in ipairs { "", "_offload" } do
    it("takes what rt.gather and table.pack return as lists" .. suffix, in_run(function()
      local types = odd["types" .. suffix]
      assert.equal(5, rt.call(types, table.pack(nil, 2)))
      assert.equal(5, rt.call(types, rt.map(odd.echo, { 1, 2 })))
      assert.equal(6, rt.call(types, { n = "x" }))
      assert.equal(6, rt.call(types, { 1, 2, n = 1 }))
    end))

    it("tells the types of its arguments" .. suffix, in_run(function()
      assert.same({ 0, 1, 2, 3, 4, 5, 6, 6, n = 8 },
        table.pack(rt.call(odd["types" .. suffix], nil, true, 1, 1.0, "x", { 1 }, { a = 1 }, {})))
    end))

    it("reads arguments of the right type" .. suffix, in_run(function()
      assert.same({ true, 3, 2.0, "a\0b", n = 4 },
        table.pack(rt.call(odd["take" .. suffix], true, 3.0, 2, "a\0b")))
    end))

    it("names a wrong argument" .. suffix, in_run(function()
      local take = "take" .. suffix
      local function said(...) return (failure(odd[take], ...)) end
      local usage = "usage: " .. take .. ": argument "
      assert.equal(usage .. "1: expected boolean, got nothing", said())
      assert.equal(usage .. "1: expected boolean, got nil", said(nil, 1))
      assert.equal(usage .. "1: expected boolean, got nil", said(rt.json.null, 1))
      assert.equal(usage .. "2: expected integer, got string", said(true, "3"))
      assert.equal(usage .. "2: expected integer, got a number that is not an integer",
        said(true, 2.5))
      assert.equal(usage .. "3: expected number, got table", said(true, 2, {}))
      assert.equal(usage .. "4: expected string, got number", said(true, 2, 3, 4))
    end))

    it("has arguments that may be left out" .. suffix, in_run(function()
      local optional = odd["optional" .. suffix]
      assert.same({ true, 7, 0.5, "other", n = 4 }, table.pack(rt.call(optional)))
      assert.same({ false, 7, 2.5, "x", n = 4 },
        table.pack(rt.call(optional, false, nil, 2.5, "x")))
      assert.matches("argument 2: expected integer, got string",
        failure(optional, nil, "x"), 1, true)
    end))

    it("fails with a message and a code, the first ones" .. suffix, in_run(function()
      local text, err = failure(odd["fails" .. suffix])
      assert.equal("native: the first of 2", text)
      assert.equal("native", rt.kind(err))
      assert.equal("FIRST", err.code)
      assert.equal("fails" .. suffix, err.node)
      assert.is_string(err.call)
    end))
  end

  it("returns any number of results", in_run(function()
    assert.equal(0, select("#", rt.call(odd.many, 0)))
    for _, count in ipairs { 4, 5, 1000 } do
      local results = table.pack(rt.call(odd.many, count))
      assert.equal(count, results.n)
      for i = 1, count do assert.equal(i, results[i]) end
    end
  end))

  it("may hand over a large text", in_run(function()
    assert.equal(("x"):rep(1 << 20), rt.call(odd.owned, 1 << 20))
  end))

  it("finds the fields of a map, and the n of a list", in_run(function()
    local function found(...)
      local is, value = odd.field(...)
      return ("%s %s"):format(is, value)
    end
    assert.equal("true 1", found({ x = 1, ["x\0"] = 2 }, "x"))
    assert.equal("false nil", found({ x = 1 }, "y"))
    assert.equal("false nil", found({ 1, 2 }, "n"))
    assert.equal("true 2", found({ 1, 2, n = 2 }, "n"))
    assert.equal("true 5", found({ n = 5 }, "n")) -- for those who meant an option
    assert.equal("false nil", found({ 1, n = 1 }, "m"))
    assert.equal("false nil", found("text", "n"))
  end))

  it("makes maps with keys of all kinds, of two the later", in_run(function()
    local map = rt.call(odd.keys)
    assert.same({ [10] = "int", [1.5] = "float", ["a\0b"] = {}, twice = 2 }, map)
  end))

  it("is told of its mistakes", in_run(function()
    local too_deep = "native: %s: a table nested more than 1000 deep, or in a circle, cannot be " ..
      "given to Lua"
    assert.equal(too_deep:format "into_itself", (failure(odd.into_itself)))
    for _, name in ipairs { "deep", "deep_offload" } do
      local list = rt.call(odd[name], 1000)
      for _ = 2, 1000 do list = list[1] end
      assert.same({}, list)
      assert.equal(too_deep:format(name), (failure(odd[name], 1001)))
      assert.equal(too_deep:format(name), (failure(odd[name], 1000000)))
    end
    assert.equal("native: adds_to_text: a value was added to what is no list or map of the " ..
      "node's own", (failure(odd.adds_to_text)))
    assert.same({ x = 1 }, rt.call(odd.adds_null, { x = 1 }))
    assert.equal("native: adds_null: NULL was added to a list or map", (failure(odd.adds_null)))
    assert.equal("native: null_key: NULL was added to a list or map", (failure(odd.null_key)))
    assert.matches("cannot have a list, a map, nil or NaN as a key",
      failure(odd.table_key), 1, true)
    assert.equal("native: one %ls", (failure(odd.fails_unprintably)))
    assert.equal("native: silent: returned 7 without saying why", (failure(odd.silent)))
    assert.equal("native: wrong_later: rt_later is for nodes of the kind RT_LATER",
      (failure(odd.wrong_later)))
    assert.equal("native: drops: dropped without an answer", (failure(odd.drops)))
  end))

  it("may be wrapped", in_run(function()
    local twice = rt.wrap(words.count_words, function(next, text) return 2 * next(text) end)
    assert.equal(4, rt.call(twice, "a b"))
    local later = rt.wrap(odd.echo_offload, function(next, ...) return next(...) end)
    assert.equal(5, rt.call(later, 5))
  end))
end)

describe("an offload node", function()
  it("is told that nobody waits for it, and its caller goes on at once", in_run(function()
    local text, err = failure(rt.timeout, 0.01, odd.until_cancelled)
    assert.equal("timeout", rt.kind(err))
    assert.matches("while waiting for native node until_cancelled", text, 1, true)
    local task = rt.spawn(odd.until_cancelled)
    rt.sleep(0)
    task:cancel()
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
  end))

  it("does not run if it is cancelled in the queue", function()
    local output, said, status = helper.run({ "run", "--journal", "none", "--workers", "1", "-e", [[
      local rt = require "railtracks"
      local odd = rt.load(...)
      local busy, queued = rt.spawn(odd.until_cancelled), rt.spawn(odd.until_cancelled)
      while rt.stats().running == 0 do rt.sleep(0.001) end
      assert(rt.stats().queued == 1 and rt.stats().workers == 1)
      queued:cancel()
      assert(rt.settle { queued }[1].error.kind == "cancelled")
      assert(rt.stats().queued == 0 and rt.stats().abandoned == 0)
      busy:cancel()
      rt.settle { busy }
      print(rt.call(odd.echo_offload, "next"))
    ]], plugins .. "odd.so" }, { env = "env -u RAILTRACKS_SEED" })
    assert.equal("next\n", output, said)
    assert.equal(0, status)
  end)

  it("that never returns neither stops others nor the exit, which names it", function()
    local output, said, status = helper.run { "run", "--journal", "none", "--workers", "2",
      "--grace", "0.05", "-e", [[
      local rt = require "railtracks"
        local odd = rt.load(...)
        local task = rt.spawn(odd.never)
        while rt.stats().running == 0 do rt.sleep(0.001) end
        task:cancel()
        rt.settle { task }
        print(rt.map(odd.echo_offload, { 1, 2, 3 })[3])
      ]], plugins .. "odd.so" }
    assert.equal("3\n", output, said)
    assert.matches("the native node never has not returned within the grace of 0.05 s",
      said, 1, true)
    assert.equal(0, status)
  end)

  it("that goes on after it was left holds up nobody, and its thread ends with it", function()
    local output, said, status = helper.run { "run", "--journal", "none", "--workers", "1",
      "--grace", "0.05", "-e", [[
        local rt = require "railtracks"
        local odd = rt.load(...)
        for i = 1, 3 do
          local task = rt.spawn(odd.never)
          while rt.stats().running < i do rt.sleep(0.001) end
          local queued = rt.spawn(odd.echo_offload, i) -- behind it, before it is left
          task:cancel()
          rt.settle { task }
          print(queued:await())
        end
        print(rt.stats().threads, rt.stats().running)
        pcall(rt.timeout, 0.01, odd.until_cancelled)
        print(rt.map(odd.echo_offload, { 1, 2, 3 })[3])
        while rt.stats().threads > 4 do rt.sleep(0.001) end
        print(rt.map(odd.echo_offload, { 1, 2, 3 })[3], rt.stats().threads)
      ]], plugins .. "odd.so" }
    assert.equal("1\n2\n3\n4\t3\n3\n3\t4\n", output, said)
    assert.matches("the native node never has not returned", said, 1, true)
    assert.equal(0, status)
  end)

  it("gives the same as on one thread", in_run(function()
    local texts = {}
    for i = 1, 500 do texts[i] = ("text %d"):format(i):rep(i) end
    local sums = rt.map(hash.hash_text, texts)
    for i = 1, 500, 50 do assert.equal(sums[i], rt.call(hash.hash_text, texts[i])) end
  end))

  it("tells why a file cannot be read", in_run(function()
    local text, err = failure(hash.hash_file, "/nonexistent/file")
    assert.equal("native: hash_file: /nonexistent/file: No such file or directory", text)
    assert.equal("ENOENT", err.code)
    assert.equal("native: hash_file: /: Is a directory", (failure(hash.hash_file, "/")))
  end))
end)

describe("an inline node", function()
  it("sees that its deadline has passed", in_run(function()
    assert.equal("timeout", rt.kind(select(2, pcall(rt.timeout, 0.01, function()
      assert.is_true(rt.call(odd.until_deadline))
      rt.sleep(0)
    end))))
  end, { clock = "real" }))
end)

describe("a later node", function()
  it("answers when it is ready", in_run(function()
    assert.same({ 1, { x = "y" } }, rt.call(ticker.after, 0.005, { 1, { x = "y" } }))
    assert.is_nil(rt.call(ticker.after, 0))
  end))

  it("is left at once when it is cancelled", in_run(function()
    local task = rt.spawn(ticker.after, 3600)
    rt.sleep(0)
    task:cancel "no more"
    assert.equal("cancelled", rt.kind(rt.settle { task }[1].error))
  end))
end)

describe("the record of a native node", function()
  it("is of kind native, with arguments, results and errors", function()
    local folder <close> = helper.temporary()
    local file = folder.path .. "/journal.db"
    local _, said, status = helper.run { "run", "--journal", file, "-e", [[
      local rt = require "railtracks"
      local odd = rt.load(...)
      rt.call(odd.echo, { 1, 2 })
      rt.call(odd.echo_offload, "x")
      pcall(rt.call, odd.fails)
      pcall(rt.timeout, 0.01, odd.until_cancelled)
    ]], plugins .. "odd.so" }
    assert.equal(0, status, said)
    local output = helper.run { "show", "--json", "--journal", file }
    local calls = rt.json.decode(output).calls
    local seen = {}
    for _, call in ipairs(calls) do
      if call.node ~= "(command line)" then
        assert.equal("native", call.kind)
        seen[#seen + 1] = call.node .. " " .. call.status
      end
    end
    assert.same({ "echo done", "echo_offload done", "fails failed", "until_cancelled failed" },
      seen)
    assert.same({ { 1, 2 } }, calls[2].args)
    assert.same({ "x" }, calls[3].results)
    assert.equal("the first of 2", calls[4].error.message)
    assert.equal("native", calls[4].error.kind)
  end)
end)

