--- What `railtracks new-plugin DIR` writes: a small plugin that builds against the installed tree,
--- and its spec.

local files = {}

files["<<name>>.c"] = [[
#include <railtracks.h>

/* greet(name) -> a text */
static int greet(rt_call *c) {
  const char *name = rt_arg_text(c, 1, NULL);
  if (!*name) return rt_fail(c, "empty", "greet: nobody to greet");
  rt_value *words = rt_new_list(c);
  rt_list_add(words, rt_new_text(c, "hello", 5));
  rt_list_add(words, rt_arg_value(c, 1));
  return rt_return_value(c, words);
}

static const rt_native nodes[] = {
    {.name = "greet", .kind = RT_INLINE, .run = greet, .about = "Greets somebody."},
    {.name = NULL},
};

const rt_plugin railtracks_plugin = {
    .api = RT_API, .size = sizeof(rt_plugin), .name = "<<name>>", .nodes = nodes};
]]

files["CMakeLists.txt"] = [[
# cmake -S . -B build && cmake --build build && ctest --test-dir build --output-on-failure
cmake_minimum_required(VERSION 3.20)
project(<<name>> LANGUAGES C)
find_package(railtracks REQUIRED)

# Its functions of Railtracks are found in the program, or the module, that loads it.
get_target_property(headers railtracks::railtracks INTERFACE_INCLUDE_DIRECTORIES)
add_library(plugin MODULE <<name>>.c)
target_include_directories(plugin PRIVATE ${headers})
set_target_properties(plugin PROPERTIES PREFIX "" OUTPUT_NAME <<name>>)

enable_testing()
find_program(LUA lua5.4 REQUIRED)
find_program(BUSTED busted REQUIRED)
add_test(NAME spec COMMAND ${LUA} ${BUSTED} ${CMAKE_SOURCE_DIR}/<<name>>_spec.lua)
set_tests_properties(spec PROPERTIES ENVIRONMENT
  "RAILTRACKS_PLUGINS=${CMAKE_BINARY_DIR};RAILTRACKS_JOURNAL=none")
]]

files["<<name>>_spec.lua"] = [[
local rt = require "railtracks"
local testing = require "railtracks.testing"

local plugin = rt.load "<<name>>"

describe("greet", function()
  it("greets by name", testing.task(function()
    assert.same({ "hello", "world" }, rt.call(plugin.greet, "world"))
  end))

  it("refuses to greet nobody", testing.task(function()
    local ok, err = pcall(rt.call, plugin.greet, "")
    assert.is_false(ok)
    assert.equal("empty", err.code)
  end))
end)
]]

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Writes the files into the folder `dir`, which is made. Returns their paths, or nil and why not.
return function(dir)
  local name = dir:gsub("/+$", ""):match("[^/]*$")
  if not name:match "^[%a_][%w_]*$" then
    return nil, ("'%s' is no name for a plugin: letters, digits and _ are"):format(name)
  end
  local paths = {}
  for file in pairs(files) do
    local path = dir .. "/" .. file:gsub("<<name>>", name)
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    if exists(path) then return nil, path .. " is there already" end
  end
  if not os.execute("mkdir -p -- '" .. dir:gsub("'", "'\\''") .. "'") then
    return nil, "cannot make the folder " .. dir
  end
  for file, text in pairs(files) do
    local handle, problem = io.open(dir .. "/" .. file:gsub("<<name>>", name), "wb")
    if not handle then return nil, problem end
    local ok, why = handle:write((text:gsub("<<name>>", name)))
    ok = handle:close() and ok
    if not ok then return nil, why end
  end
  return paths
end
