local helper = require "spec.helper"

--- Plugins that tell on standard error when they are opened and closed.
local source = [[
#include <railtracks.h>
#include <stdio.h>
#include <unistd.h>

static rt_call *kept;

static int keep(rt_call *c) { return kept = rt_later(c), 0; }
static int stay(rt_call *c) { while (1) pause(); return (void)c, 0; }
static int answer(rt_call *c) { return rt_return_int(c, 1); }

static int open_it(void **state, const char **error) {
  (void)state, (void)error;
  return fprintf(stderr, "%s opened\n", NAME), 0;
}

static void close_it(void *state) {
  (void)state;
  fprintf(stderr, "%s closed, %s\n", NAME, kept ? "a handle is out" : "no handle is out");
#ifdef GIVE_BACK
  if (kept) rt_finish(kept);
#endif
}

static const rt_native nodes[] = {
  {.name = "keep", .kind = RT_LATER, .run = keep},
  {.name = "stay", .kind = RT_OFFLOAD, .run = stay},
  {.name = "answer", .kind = RT_OFFLOAD, .run = answer},
  {.name = NULL},
};

const rt_plugin railtracks_plugin = {.api = RT_API, .size = sizeof(rt_plugin), .name = NAME,
  .nodes = nodes, .open = open_it, .close = close_it};
]]

local folder
helper.each_in_folder(function(path) folder = path end)

local function compile(name, flags)
  helper.write(folder .. "/told.c", source)
  local _, said, status = helper.shell(([[cc -w -shared -fPIC -I src %s -DNAME='"%s"' \
    -o %s/%s.so %s/told.c]]):format(flags or "", name, folder, name, folder))
  assert.equal(0, status, said)
end

--- What is said by a script that finds the plugins in FOLDER.
local function said(code)
  local _, text, status = helper.run({ "run", "--journal", "none", "--grace", "0.05", "-e",
    [[local rt = require "railtracks" ]] .. code },
    { env = "RAILTRACKS_PLUGINS=" .. folder })
  assert.equal(0, status, text)
  return text
end

describe("a plugin", function()
  it("is opened when it is loaded first, and closed when the engine is", function()
    compile "first"
    compile "second"
    assert.equal("first opened\nin between\nsecond opened\nsecond closed, no handle is out\n" ..
      "first closed, no handle is out\n", said [[
      local first = rt.load "first"
      assert(rt.load "first" == first)
      io.stderr:write "in between\n"
      assert(rt.load("second").answer() == 1)]])
  end)

  for _, how in ipairs { { "gives it back then", "-DGIVE_BACK" }, { "keeps it for ever", "" } } do
    it("is closed with a handle out, and " .. how[1], function()
      compile("first", how[2])
      assert.equal("first opened\nfirst closed, a handle is out\n", said [[
        local kind = rt.kind(select(2, pcall(rt.timeout, 0.01, rt.load("first").keep)))
        assert(kind == "timeout")]])
    end)
  end

  it("is not closed while a function of it runs, but others are", function()
    compile "first"
    compile "second"
    compile "third"
    local text = said [[
      rt.load "first"
      local stay = rt.load("second").stay
      rt.load "third"
      local task = rt.spawn(stay)
      while rt.stats().running == 0 do rt.sleep(0.001) end
      task:cancel()]]
    assert.matches("first closed", text, 1, true)
    assert.matches("third closed", text, 1, true)
    assert.not_matches("second closed", text, 1, true)
    assert.matches("the native node stay has not returned within the grace", text, 1, true)
  end)
end)
