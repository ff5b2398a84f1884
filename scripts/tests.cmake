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

file(GLOB specs CONFIGURE_DEPENDS spec/*_spec.lua)
set(spec_environment "LUA_CPATH=${CMAKE_BINARY_DIR}/lua/?.so\;\;" "RAILTRACKS_JOURNAL=none"
    "RT_PROGRAM=$<TARGET_FILE:railtracks>" "RT_BUILD=${CMAKE_BINARY_DIR}")
if(RT_SANITIZE MATCHES "address")
  # lua5.4 itself is not built with the sanitizer, so its runtime must come first.
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libasan.so
                  OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
elseif(RT_SANITIZE MATCHES "thread")
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libtsan.so
                  OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
foreach(file ${specs})
  get_filename_component(name ${file} NAME_WE)
  add_test(NAME ${name}
           COMMAND ${LUA} ${BUSTED} --helper=spec/helper.lua --output=plainTerminal ${file}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${spec_environment}" TIMEOUT 600)
  if(runtime)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "RT_PRELOAD=${runtime}")
  endif()
endforeach()
