local rt = require "railtracks"
local helper = require "spec.helper"

local in_run, usage = helper.in_run, helper.refusal
local plugins = helper.build .. "/plugins/"

local head = [[
#include <railtracks.h>
static int run(rt_call *c) { return rt_return_int(c, 1); }
]]

local folder
helper.each_in_folder(function(path) folder = path end)

--- Compiles a plugin with these nodes and these fields instead of the right ones.
local function compile(name, nodes, fields)
  local source = helper.write(("%s/%s.c"):format(folder, name), ([[%s
    static const rt_native nodes[] = {%s {.name = 0}};
    const rt_plugin railtracks_plugin = {%s};
  ]]):format(head, nodes, fields or
    '.api = RT_API, .size = sizeof(rt_plugin), .name = "mine", .nodes = nodes'))
  local library = ("%s/%s.so"):format(folder, name)
  local command = ("cc -w -shared -fPIC -I src -o %s %s"):format(library, source)
  local _, said, status = helper.shell(command)
  assert.equal(0, status, said)
  return library
end

local one = '{.name = "one", .run = run},'

--- What rt.load says of it, without the path.
local function refusal(library)
  local ok, err = pcall(rt.load, library)
  assert.is_false(ok)
  assert.equal("native", rt.kind(err))
  assert.equal(library, err.path)
  local text = err.message:gsub("^rt.load: " .. library:gsub("%p", "%%%0") .. ": ", "")
  return text
end

describe("rt.load", function()
  it("gives the nodes by name, the same ones each time", in_run(function()
    local library = compile("mine", one .. '{.name = "two", .run = run, .about = "Twice."},')
    local mine = rt.load(library)
    assert.equal(1, rt.call(mine.one))
    assert.equal("Twice.", mine.two.description)
    assert.equal(mine, rt.load(library))
    os.execute(("ln -s mine.so %s/other.so"):format(folder))
    assert.equal(mine, rt.load(folder .. "/other.so"))
  end))

  it("works outside a run", function()
    assert.equal(1, rt.run(rt.load(compile("mine", one)).one))
  end)

  it("adds the suffix of shared libraries", function()
    compile("mine", one)
    assert.is_table(rt.load(folder .. "/mine"))
  end)

  it("looks for a bare name in RAILTRACKS_PLUGINS, beside the script and here", function()
    compile("mine", one)
    local script = helper.write(folder .. "/script.lua",
      [[local rt = require "railtracks" print(rt.call(rt.load("mine").one))]])
    local function said(command)
      local output, err, status = helper.shell(command)
      return status == 0 and output or err
    end
    local program = helper.shell("readlink -f " .. helper.program):gsub("\n", "")
    assert.equal("1\n", said(program .. " run --journal none " .. script))
    local e = " run --journal none -e " ..
      helper.quote [[print(require "railtracks".load("mine").one())]]
    assert.equal("1\n", said("cd " .. folder .. " && " .. program .. e))
    assert.equal("1\n", said("RAILTRACKS_PLUGINS=/nowhere:" .. folder .. " " .. program .. e))
    assert.matches("there is no plugin mine, tried:\n.*/mine%.so", said(program .. e))
  end)

  it("takes no folder for a plugin, and no file without the suffix before one with it", function()
    compile("mine", one)
    local elsewhere = folder .. "/elsewhere"
    os.execute("mkdir -p " .. elsewhere .. "/mine")
    helper.write(folder .. "/script.lua", [[print(require "railtracks".load("mine").one())]])
    local program = helper.shell("readlink -f " .. helper.program):gsub("\n", "")
    local command = ("RAILTRACKS_PLUGINS=%s %s run --journal none %s/script.lua")
      :format(elsewhere, program, folder)
    assert.equal("1\n", (helper.shell(command)))
    os.execute("rmdir " .. elsewhere .. "/mine; echo text > " .. elsewhere .. "/mine")
    assert.equal("1\n", (helper.shell(command)))
    assert.matches("there is no plugin " .. folder .. "/elsewhere, tried:",
      tostring(select(2, pcall(rt.load, elsewhere))), 1, true)
  end)

  it("refuses what is no name", function()
    assert.matches("a name without zero bytes", usage(rt.load, "a\0b"), 1, true)
    assert.matches("expected the path or name of a plugin, got nil", usage(rt.load), 1, true)
    assert.matches("got an empty string", usage(rt.load, ""), 1, true)
  end)

  it("says what is wrong with a file", function()
    local text = helper.write(folder .. "/text.so", "no library")
    assert.matches("file too short", refusal(text), 1, true)
    assert.equal("is no plugin: it exports no railtracks_plugin",
      refusal(helper.build .. "/lua/railtracks.so"))
  end)

  local size = ".size = sizeof(rt_plugin), "
  local right = ".api = RT_API, " .. size
  for _, case in ipairs {
    { "was made for version 99 of railtracks.h, expected 1", one, ".api = 99, " .. size },
    { "its railtracks_plugin is of 8 bytes, expected 48", one, ".api = RT_API, .size = 8" },
    { "the plugin has no name", one, right .. ".nodes = nodes" },
    { "the plugin has no name", one, right .. '.name = "", .nodes = nodes' },
    { "the plugin has no table of nodes", one, right .. '.name = "x"' },
    { "node 2 has an empty name", one .. '{.name = "", .run = run},' },
    { "two nodes are named 'one'", one .. one },
    { "node 'one' has no function to run", '{.name = "one"},' },
    { "node 'one' is of kind 9, expected RT_INLINE, RT_OFFLOAD or RT_LATER",
      '{.name = "one", .run = run, .kind = (rt_kind)9},' },
  } do
    it("refuses a plugin of which it says: " .. case[1], function()
      local before = rt.nodes.one
      assert.equal(case[1], refusal(compile("bad", case[2], case[3])))
      assert.equal(before, rt.nodes.one)
    end)
  end

  it("says why a plugin refuses to open", function()
    head = head .. [[static int refuse(void **state, const char **error) {
      *error = "the moon is full"; return 1; }]]
    assert.equal("the moon is full", refusal(compile("mine", one,
      right .. '.name = "x", .nodes = nodes, .open = refuse')))
  end)

  it("opens a plugin once for each engine and closes it with it", function()
    local output, said, status = helper.stock({ "-e", ([[
      local rt = require "railtracks"
      local ticker = rt.load "%sticker.so"
      print(rt.run(ticker.after, 0, "tick"))
    ]]):format(plugins) }, { env = "RAILTRACKS_JOURNAL=none" })
    assert.equal("tick\n", output, said)
    assert.equal(0, status)
  end)
end)
