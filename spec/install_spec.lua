local helper = require "spec.helper"
local terminal = require "spec.terminal"
local quote = helper.quote

local function cached(name)
  return helper.read(helper.build .. "/CMakeCache.txt"):match("\n" .. name .. ":[A-Z]+=([^\n]*)")
end

--- What only a program with the same sanitizer could link or load is left out with one.
local plain = cached "RT_SANITIZE" == ""
local unless_sanitized = plain and it or pending

--- A shell command that must succeed: what it wrote to standard output.
local function sh(command, ...)
  local output, said, status = helper.shell(command:format(...))
  if status ~= 0 then error(("%s\n%s%s"):format(command:format(...), output, said), 2) end
  return output
end

describe("an installed railtracks", function()
  local folder, prefix, libraries

  setup(function()
    folder = helper.folder()
    prefix = folder .. "/there"
    libraries = prefix .. "/" .. cached "CMAKE_INSTALL_LIBDIR"
    sh("cmake --install %s --prefix %s", quote(helper.build), quote(prefix))
  end)
  teardown(function() helper.remove(folder) end)

  local function line(output) return (output:gsub("%s+$", "")) end

  --- pkg-config, which knows of what is installed here too.
  local function pkg_config(words)
    return sh("PKG_CONFIG_PATH=%s/pkgconfig pkg-config %s", quote(libraries), words)
  end

  --- Writes a C program that runs a workflow in a Lua of its own.
  local function write_program()
    return helper.write(folder .. "/embeds.c", [[
      #include <lauxlib.h>
      #include <lualib.h>
      #if __has_include(<railtracks.h>)
      #include <railtracks.h>
      #endif
      int luaopen_railtracks(lua_State *L);

      int main(void) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        luaL_requiref(L, "railtracks", luaopen_railtracks, 0);
        int failed = luaL_dostring(L, "local rt = require 'railtracks'\n"
                                      "print(rt.run(function() rt.sleep(0) return 'ran' end))");
        if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
        lua_close(L);
        return failed;
      }]])
  end

  it("has a program that needs nothing of the build", function()
    local output, said, status = helper.run({ "run", "-e", "print(require('railtracks').version)" },
      { program = prefix .. "/bin/railtracks", cd = folder, env = "env -u LUA_CPATH -u LUA_PATH" })
    assert.equal("", said)
    assert.equal(0, status)
    assert.equal(cached "CMAKE_PROJECT_VERSION" .. "\n", output)
  end)

  it("has a prompt that edits lines", function()
    local pane <close> = terminal.open({}, { program = prefix .. "/bin/railtracks" })
    pane:prompt()
    pane:type "string.repl"
    pane:press("BSpace", "BSpace", "BSpace", "BSpace")
    pane:type "fo"
    pane:press "Tab"
    pane:prompt "string.format("
  end)

  it("is a module of stock Lua", function()
    local output, said, status = helper.stock({ "-e", [[
      print(package.searchpath("railtracks", package.cpath))
      local rt = require "railtracks"
      require "railtracks.testing".run(function() rt.sleep(0) end)
      print(rt.run(function() return rt.json.encode { 1 } end))]] },
      { env = ("LUA_CPATH=%s';;'"):format(quote(libraries .. "/lua/5.4/?.so;")) })
    assert.equal("", said)
    assert.equal(0, status)
    assert.equal(libraries .. "/lua/5.4/railtracks.so\n[1]\n", output)
  end)

  it("is known to pkg-config, with its prefix and its version", function()
    assert.equal(prefix, line(pkg_config "--variable=prefix railtracks"))
    assert.equal(cached "CMAKE_PROJECT_VERSION", line(pkg_config "--modversion railtracks"))
    assert.equal(("-L%s -lrailtracks"):format(libraries), line(pkg_config "--libs railtracks"))
    assert.equal(("-I%s/include"):format(prefix), line(pkg_config "--cflags railtracks"))
    local all = pkg_config "--static --libs railtracks"
    assert.matches("%-lrailtracks %-llua5%.4 .*%-lsqlite3", all)
  end)

  it("may be moved, as pkg-config --define-prefix tells", function()
    sh("cp -a %s %s/moved", quote(prefix), quote(folder))
    local output = sh("PKG_CONFIG_PATH=%s pkg-config --define-prefix --libs railtracks",
      quote((libraries:gsub("/there/", "/moved/") .. "/pkgconfig")))
    assert.equal(("-L%s -lrailtracks"):format(libraries:gsub("/there/", "/moved/")), line(output))
  end)

  unless_sanitized("is linked to by a C program, which shares its Lua with it", function()
    local program = folder .. "/embeds"
    sh("cc -o %s %s %s", quote(program), quote(write_program()),
      line(pkg_config "--cflags --libs railtracks lua5.4"))
    assert.equal("ran\n", sh("LD_LIBRARY_PATH=%s %s", quote(libraries), quote(program)))
    assert.matches("librailtracks%.so%.0\n", sh(
      "objdump -p %s | awk '/NEEDED/ { print $2 }'", quote(program)))
  end)

  unless_sanitized("is found by CMake, shared and static", function()
    write_program()
    helper.write(folder .. "/CMakeLists.txt", [[
      cmake_minimum_required(VERSION 3.25)
      project(embeds LANGUAGES C)
      find_package(railtracks 0.1 REQUIRED)
      find_package(PkgConfig REQUIRED)
      pkg_check_modules(lua REQUIRED IMPORTED_TARGET lua5.4)
      add_executable(with_shared embeds.c)
      target_link_libraries(with_shared railtracks::railtracks PkgConfig::lua)
      add_executable(with_static embeds.c)
      target_link_libraries(with_static railtracks::railtracks_static PkgConfig::lua)]])
    sh("cd %s && cmake -S . -B out -DCMAKE_PREFIX_PATH=%s && cmake --build out", quote(folder),
      quote(prefix))
    assert.equal("ran\n", sh("%s/out/with_shared", quote(folder)))
    assert.equal("ran\n", sh("%s/out/with_static", quote(folder)))
    local needed = sh("objdump -p %s/out/with_static | grep NEEDED", quote(folder))
    assert.not_matches("railtracks", needed)
  end)

  unless_sanitized("is what the example of an embedded engine is built with", function()
    assert.equal("HELLO\n1: HELLO\nfailed: usage: shout: argument 1: expected string, got number\n",
      sh("export PKG_CONFIG_PATH=%s && cc -o %s/embed examples/embed/embed.c " ..
        "$(pkg-config --cflags --libs railtracks) && LD_LIBRARY_PATH=%s %s/embed hello",
        quote(libraries .. "/pkgconfig"), quote(folder), quote(libraries), quote(folder)))
  end)

  unless_sanitized("builds what railtracks new-plugin writes, whose spec passes", function()
    local dir = folder .. "/greeter"
    local output, said, status = helper.run({ "new-plugin", dir },
      { program = prefix .. "/bin/railtracks" })
    assert.equal(0, status, said)
    assert.equal(("%s/CMakeLists.txt\n%s/greeter.c\n%s/greeter_spec.lua\n"):format(dir, dir, dir),
      output)
    sh("cd %s && cmake -S . -B build -DCMAKE_PREFIX_PATH=%s && cmake --build build",
      quote(dir), quote(prefix))
    local tested = sh("cd %s && LUA_CPATH=%s';;' ctest --test-dir build --output-on-failure",
      quote(dir), quote(libraries .. "/lua/5.4/?.so;"))
    assert.matches("100% tests passed, 0 tests failed out of 1", tested, 1, true)
    -- A name that CMake has a meaning for is one like any other.
    local other = folder .. "/test"
    assert.equal(0, select(3, helper.run { "new-plugin", other }))
    sh("cd %s && cmake -S . -B build -DCMAKE_PREFIX_PATH=%s && cmake --build build && test -f " ..
      "build/test.so", quote(other), quote(prefix))
    said, status = select(2, helper.run { "new-plugin", dir })
    assert.equal(1, status)
    assert.equal(("railtracks: new-plugin: %s/CMakeLists.txt is there already\n"):format(dir), said)
    said, status = select(2, helper.run { "new-plugin", folder .. "/a-b" })
    assert.equal(1, status)
    assert.matches("'a-b' is no name for a plugin", said, 1, true)
    assert.equal(2, select(3, helper.run { "new-plugin" }))
  end)

  unless_sanitized("exports what spec/abi.txt lists, and nothing else", function()
    local names = sh("nm -D --defined-only --format=posix %s/librailtracks.so | cut -d' ' -f1 | " ..
      "LC_ALL=C sort", quote(libraries))
    assert.equal(helper.read "spec/abi.txt", names)
    for name in names:gmatch("[^\n]+") do
      assert.is_truthy(name:find "^rt_" or name:find "^luaopen_railtracks", name)
    end
  end)

  it("has types for editors", function()
    for _, name in ipairs { "railtracks", "testing" } do
      local types = helper.read(prefix .. "/share/lua/5.4/railtracks/meta/" .. name .. ".lua")
      assert.matches("^%-%-%-@meta railtracks", types)
    end
  end)

  describe("has a manual page", function()
    local page

    setup(function() page = prefix .. "/share/man/man1/railtracks.1" end)

    it("that is formatted without a warning", function()
      local _, _, missing = helper.shell "command -v groff"
      if missing ~= 0 then return pending "needs groff" end
      local text, said = helper.shell("groff -man -ww -Tutf8 " .. quote(page))
      assert.equal("", said)
      assert.matches("railtracks", text)
    end)

    it("that tells of every command and every option", function()
      local text = helper.read(page):gsub("\\%-", "-")
      local known = 0
      for command in helper.run({ "help" }):gmatch("railtracks ([%l-]+)") do
        assert.is_truthy(text:find("\n.B " .. command .. "\n", 1, true), command)
        for option in helper.run({ "help", command }):gmatch("\n  (%-%-?[%w-]+)") do
          local section = text:match("\n%.SS railtracks " .. command .. "\n(.-)\n%.S[SH] ")
          assert.is_truthy(section and (section .. "\n"):find(
            option:gsub("%-", "%%-") .. "[ \"\n]"), option)
          known = known + 1
        end
      end
      assert.is_true(known > 10)
    end)

    it("that tells of every variable of the environment", function()
      local text, known = helper.read(page), 0
      local asked = sh [[grep -rhoE 'getenv ?\(?"[A-Z_]+"' src lua/railtracks]]
      for name in asked:gmatch '"([A-Z_]+)"' do
        assert.is_truthy(text:find("\n%.BR? [%w_, \"]*" .. name), name)
        known = known + 1
      end
      assert.is_true(known > 5)
    end)
  end)
end)
