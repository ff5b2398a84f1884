# What `cmake --install` puts in place, and the Debian package.
#
#   cmake --build build && cmake --install build --prefix /usr/local
#   cd build && cpack -G DEB
include(GNUInstallDirs)
set(templates ${CMAKE_SOURCE_DIR}/scripts/install.d)
set(lua_version 5.4)
set(lua_modules ${CMAKE_INSTALL_LIBDIR}/lua/${lua_version})   # where lua5.4 looks below /usr

# For C programs, of the very objects that are in the program. They bring a Lua of their
# own, so that this one is shared with them and not carried.
add_library(shared SHARED ${parts})
add_library(static STATIC ${parts})
set_target_properties(shared static PROPERTIES OUTPUT_NAME railtracks)
target_link_libraries(shared PRIVATE PkgConfig::lua ${libraries})
set_target_properties(shared PROPERTIES EXPORT_NAME railtracks
                      VERSION ${PROJECT_VERSION} SOVERSION 0)
# As for the module: what Lua's end unloads may still be on a stack.
target_link_options(shared PRIVATE -Wl,-z,nodelete)
if(NOT RT_SANITIZE)   # what a sanitizer needs is in the program only
  target_link_options(shared PRIVATE -Wl,-z,defs)
endif()
# By name, so that whoever uses it needs no find module of ours.
set(private_libraries lua${lua_version} uv sqlite3 pthread m dl)
set_target_properties(static PROPERTIES EXPORT_NAME railtracks_static)
target_link_libraries(static INTERFACE "$<INSTALL_INTERFACE:${private_libraries}>")

install(TARGETS railtracks RUNTIME)
install(TARGETS module LIBRARY DESTINATION ${lua_modules})
if(TARGET line_editor)
  install(TARGETS line_editor LIBRARY DESTINATION ${lua_modules}/railtracks)
endif()
install(TARGETS shared static EXPORT railtracksTargets)
if(EXISTS ${CMAKE_SOURCE_DIR}/src/railtracks.h)
  install(FILES src/railtracks.h TYPE INCLUDE)
  target_include_directories(shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endif()
install(FILES docs/railtracks.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(DIRECTORY lua/meta DESTINATION ${CMAKE_INSTALL_DATADIR}/lua/${lua_version}/railtracks
        FILES_MATCHING PATTERN "*.lua")
install(FILES LICENSE TYPE DOC RENAME copyright)

# find_package(railtracks)
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/railtracks)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/railtracksConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(EXPORT railtracksTargets NAMESPACE railtracks:: DESTINATION ${config_folder})
install(FILES ${templates}/railtracksConfig.cmake
              ${CMAKE_BINARY_DIR}/railtracksConfigVersion.cmake DESTINATION ${config_folder})

# pkg-config. The prefix is known only when it is installed.
list(TRANSFORM private_libraries PREPEND -l OUTPUT_VARIABLE private_flags)
list(JOIN private_flags " " private_flags)
foreach(kind LIBDIR INCLUDEDIR)
  string(TOLOWER ${kind} name)
  set(${name} ${CMAKE_INSTALL_${kind}})
  if(NOT IS_ABSOLUTE ${${name}})
    string(PREPEND ${name} "\${prefix}/")
  endif()
endforeach()
configure_file(${templates}/railtracks.pc.in ${CMAKE_BINARY_DIR}/railtracks.pc.in @ONLY)
set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(NOT IS_ABSOLUTE ${pkgconfig_folder})
  string(PREPEND pkgconfig_folder "\${CMAKE_INSTALL_PREFIX}/")
endif()
install(CODE "
  set(file \"${pkgconfig_folder}/railtracks.pc\")
  message(STATUS \"Installing: \$ENV{DESTDIR}\${file}\")
  list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${file}\")
  file(READ \"${CMAKE_BINARY_DIR}/railtracks.pc.in\" text)
  file(MAKE_DIRECTORY \"\$ENV{DESTDIR}${pkgconfig_folder}\")
  file(WRITE \"\$ENV{DESTDIR}\${file}\" \"prefix=\${CMAKE_INSTALL_PREFIX}\\n\${text}\")")

# One Debian package. What the binaries are linked to is found by dpkg-shlibdeps;
# rt.json loads cjson and rt.uv luv when they are first used.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Railtracks for Lua authors <authors@railtracks.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "workflows of Lua functions, every call tracked")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "A program that runs Lua scripts whose calls wait at once on one loop and are\n\
recorded in a journal; the same as a module of lua5.4, and as a library for C.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION interpreters)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "lua-cjson, lua-luv, libcurl4")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "lua5.4, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake, lua-busted, liblua5.4-dev, libuv1-dev, libsqlite3-dev")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${templates}/triggers)
set(CPACK_PRE_BUILD_SCRIPTS ${templates}/debian_before.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${templates}/debian_after.cmake)
include(CPack)
