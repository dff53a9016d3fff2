# make install: the program, loadable backends, man pages, completions and findings (written by the program itself,
# from the tables its --help is made of).
include(GNUInstallDirs)
install(TARGETS samp RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS samp_backend_reference LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/samp)
set(generated ${CMAKE_BINARY_DIR}/generated)
add_custom_command(OUTPUT ${generated}/done
  COMMAND ${CMAKE_SOURCE_DIR}/cmake/generate_docs.sh ${generated}
    ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:samp>
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}/done
  DEPENDS samp ${CMAKE_SOURCE_DIR}/cmake/generate_docs.sh)
add_custom_target(docs ALL DEPENDS ${generated}/done)
install(DIRECTORY ${generated}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${generated}/findings.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${generated}/samp.bash RENAME samp DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${generated}/_samp DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/profiles DESTINATION ${CMAKE_INSTALL_DATADIR}/samp)
