# The fuzzers: one for each *_fuzz.c in spec/fuzz, all made by the target 'fuzz'. Allocations of
# our objects can be made to fail.
file(GLOB fuzzers CONFIGURE_DEPENDS spec/fuzz/*_fuzz.c)
add_custom_target(fuzz)
foreach(file ${fuzzers})
  get_filename_component(name ${file} NAME_WE)
  add_executable(${name} EXCLUDE_FROM_ALL ${file} ${parts})
  target_link_libraries(${name} PRIVATE lib ${LUA_STATIC} ${libraries} ${CMAKE_DL_LIBS})
  target_compile_options(${name} PRIVATE -Wno-missing-field-initializers)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer -Wl,--wrap=malloc,--wrap=calloc
                      -Wl,--wrap=realloc)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzz ${name})
endforeach()

add_library(plugin_fuzz_library MODULE EXCLUDE_FROM_ALL spec/fuzz/plugin_fuzz_library.c)
target_include_directories(plugin_fuzz_library PRIVATE src)
add_dependencies(plugin_fuzz plugin_fuzz_library)
target_compile_definitions(plugin_fuzz PRIVATE
                           RT_FUZZED_LIBRARY="$<TARGET_FILE:plugin_fuzz_library>")
