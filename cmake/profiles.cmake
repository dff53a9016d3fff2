# profiles/*.json become one C file of the plan room (samp_hardware_builtins), and are installed for people to copy.
file(GLOB profiles CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/profiles/*.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${profiles})
set(texts "")
set(rows "")
foreach(profile ${profiles})
  get_filename_component(name ${profile} NAME_WE)
  file(READ ${profile} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND texts "static const char ${name}_json[] = {${bytes}};\n")
  string(APPEND rows "    {\"${name}\", ${name}_json, sizeof ${name}_json},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/profiles.c @ONLY CONTENT
"#include \"plan/hardware.h\"
@texts@
const samp_hardware_builtin samp_hardware_builtins[] = {
@rows@};
const size_t samp_hardware_n_builtins = sizeof samp_hardware_builtins / sizeof *samp_hardware_builtins;
")
target_sources(samp_plan PRIVATE ${CMAKE_BINARY_DIR}/generated/profiles.c)
