# Turns the Lua files below FOLDER into one C file, so that the program and the module
# need nothing beside them. The types are among them, for the REPL's :doc.
#
#   cmake -D FOLDER=lua/railtracks -D META=lua/meta/railtracks.lua -D OUT=embedded.c
#         -P embed.cmake
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*.lua)
list(SORT files)
set(arrays "")
set(table "")
set(number 0)
foreach(file ${files} meta.lua)
  if(file STREQUAL "meta.lua")
    file(READ ${META} hex HEX)
  else()
    file(READ ${FOLDER}/${file} hex HEX)
  endif()
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,0x[^,]*,)" "\\1\n  " bytes "${bytes}")
  string(REGEX REPLACE "\\.lua$" "" module ".${file}")
  string(REPLACE "/" "." module ${module})
  string(REGEX REPLACE "\\.init$" "" module ${module})
  string(APPEND arrays "static const unsigned char file${number}[] = {\n  ${bytes}0};\n")
  string(APPEND table "  {\"railtracks${module}\", \"=railtracks:${file}\", file${number}, sizeof file${number} - 1},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT}.new "#include \"embedded.h\"\n\n${arrays}
const rt_embedded rt_embedded_files[] = {\n${table}  {0}};\n")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
file(REMOVE ${OUT}.new)
