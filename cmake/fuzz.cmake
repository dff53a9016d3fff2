# cmake --preset fuzz: one libFuzzer program for each tests/fuzz/fuzz_*.c (tests/fuzz/README.md).
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
foreach(source ${sources})
  get_filename_component(stem ${source} NAME_WE)
  add_executable(${stem} ${source})
  target_link_libraries(${stem} PRIVATE samp_serve)
  target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
endforeach()
