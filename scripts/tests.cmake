# The tests: one for each C file in spec/c and one for each *_spec.lua in spec.
enable_testing()
pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
find_program(LUA lua5.4 REQUIRED)
find_program(BUSTED busted REQUIRED)

file(GLOB c_tests CONFIGURE_DEPENDS spec/c/*_test.c spec/c/*_fuzz.c)
foreach(file ${c_tests})
  get_filename_component(name ${file} NAME_WE)
  add_executable(${name} ${file} ${parts})
  target_link_libraries(${name} PRIVATE lib ${LUA_STATIC} ${libraries} ${CMAKE_DL_LIBS}
                        PkgConfig::cmocka)
  target_compile_options(${name} PRIVATE -Wno-missing-field-initializers)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/spec)
  add_test(NAME c/${name} COMMAND ${name})
endforeach()

# C modules of Lua (cjson, luv) find Lua in them, as in any program that embeds the engine.
set_target_properties(drive_test embed_test PROPERTIES ENABLE_EXPORTS ON)

target_link_options(clock_test PRIVATE -Wl,--wrap=uv_run)

# Allocations and calls of libuv made by our objects can be made to fail.
target_link_options(fault_test PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
                    -Wl,--wrap=strdup,--wrap=uv_loop_init,--wrap=uv_async_init)

# The plugins: those that are examples, and one that does what the specs ask of it.
file(GLOB plugins CONFIGURE_DEPENDS examples/plugin/*.c spec/c/plugin/*.c)
foreach(file ${plugins})
  get_filename_component(name ${file} NAME_WE)
  add_library(plugin_${name} MODULE ${file})
  target_include_directories(plugin_${name} PRIVATE src ${XXHASH_INCLUDE})
  target_link_libraries(plugin_${name} PRIVATE Threads::Threads)
  target_compile_options(plugin_${name} PRIVATE -Wno-missing-field-initializers)
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
endforeach()

# The programs that have the engine inside.
foreach(name embed poll)
  add_executable(${name} examples/embed/${name}.c ${parts})
  target_link_libraries(${name} PRIVATE lib ${LUA_STATIC} ${libraries} ${CMAKE_DL_LIBS})
  target_compile_options(${name} PRIVATE -Wno-missing-field-initializers)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
endforeach()

# The specs run in stock Lua; a module built with a sanitizer wants a Lua that is, too.
set(spec_lua ${LUA})
if(RT_SANITIZE)
  add_executable(spec_lua spec/c/lua.c)
  target_link_libraries(spec_lua PRIVATE lua_headers ${LUA_STATIC} m ${CMAKE_DL_LIBS})
  target_link_options(spec_lua PRIVATE -Wl,-E)
  set(spec_lua $<TARGET_FILE:spec_lua>)
endif()

file(GLOB specs CONFIGURE_DEPENDS spec/*_spec.lua)
foreach(file ${specs})
  get_filename_component(name ${file} NAME_WE)
  add_test(NAME ${name}
           COMMAND ${spec_lua} ${BUSTED} --output=plainTerminal ${file}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT
    "LUA_CPATH=${CMAKE_BINARY_DIR}/lua/?.so\;\;;RAILTRACKS_JOURNAL=none;RT_LUA=${spec_lua};RT_PROGRAM=$<TARGET_FILE:railtracks>;RT_BUILD=${CMAKE_BINARY_DIR}")
endforeach()

# What has threads in it is run with ThreadSanitizer too.
foreach(name c/stream_test c/journal_test c/journal_fault_test journal_spec journal_full_spec
             native_spec plugin_close_spec later_spec ask_later_spec log_spec c/embed_test
             c/drive_test view_spec view_closed_spec metrics_spec)
  if(TEST ${name})
    set_property(TEST ${name} PROPERTY LABELS thread)
  endif()
endforeach()
