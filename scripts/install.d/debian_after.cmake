# Run by cpack on the finished package: takes out the scripts that cpack adds for ldconfig. The
# trigger does their work, and a package with a postrm is never quite removed.
set(folder ${CPACK_TEMPORARY_DIRECTORY}-without-scripts)
file(REMOVE_RECURSE ${folder})
execute_process(COMMAND dpkg-deb -R ${CPACK_PACKAGE_FILES} ${folder} COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE ${folder}/DEBIAN/postinst ${folder}/DEBIAN/postrm)
execute_process(COMMAND dpkg-deb --root-owner-group -b ${folder} ${CPACK_PACKAGE_FILES}
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE_RECURSE ${folder})
