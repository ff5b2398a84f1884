# find_package(railtracks): the targets railtracks::railtracks, which is shared, and
# railtracks::railtracks_static.
include(${CMAKE_CURRENT_LIST_DIR}/railtracksTargets.cmake)
