# samp_room(NAME [DIR folder-under-src] LINKS libraries…): a static library from every .c file of one folder.
function(samp_room name)
  cmake_parse_arguments(ROOM "" "DIR" "LINKS" ${ARGN})
  if(NOT ROOM_DIR)
    set(ROOM_DIR ${name})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${ROOM_DIR}/*.c)
  if(NOT sources)
    message(FATAL_ERROR "room '${ROOM_DIR}' has no source file")
  endif()
  add_library(samp_${name} STATIC ${sources})
  target_include_directories(samp_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(samp_${name} PUBLIC ${ROOM_LINKS})
endfunction()

# samp_backend_module(NAME): backend/NAME as a shared object, found beside the program or in
# <prefix>/lib/samp. It links the rooms it needs privately and exports samp_backend_entry only.
function(samp_backend_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/${name}/*.c)
  add_library(samp_backend_${name} MODULE ${sources})
  target_link_libraries(samp_backend_${name} PRIVATE samp_backend)
  set_target_properties(samp_backend_${name} PROPERTIES PREFIX "" OUTPUT_NAME samp-backend-${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()
