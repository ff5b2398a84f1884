# Run by cpack on what is to be packaged: what Debian wants of a package and nobody else does.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}${CPACK_PACKAGING_INSTALL_PREFIX}/share)
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)   # or SOURCE_DATE_EPOCH
file(WRITE ${share}/doc/railtracks/changelog "\
railtracks (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * Version ${CPACK_PACKAGE_VERSION}.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
file(CHMOD ${share}/doc/railtracks/changelog
     PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
execute_process(COMMAND gzip -9n ${share}/doc/railtracks/changelog ${share}/man/man1/railtracks.1
                COMMAND_ERROR_IS_FATAL ANY)
