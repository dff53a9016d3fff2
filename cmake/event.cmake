# PkgConfig::EVENT: libevent's core and its TLS half. Debian's libevent-dev is there for one architecture at a time, so
# a cross build takes the host's headers, which are the same, and links the other architecture's run-time libraries.
if(CMAKE_CROSSCOMPILING)
  find_library(SAMP_EVENT_CORE libevent_core-2.1.so.7 REQUIRED)
  find_library(SAMP_EVENT_OPENSSL libevent_openssl-2.1.so.7 REQUIRED)
  add_library(PkgConfig::EVENT INTERFACE IMPORTED)
  target_link_libraries(PkgConfig::EVENT INTERFACE ${SAMP_EVENT_OPENSSL} ${SAMP_EVENT_CORE})
else()
  pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_core libevent_openssl)
endif()
