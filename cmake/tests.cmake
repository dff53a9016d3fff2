# Each tests/<room>/test_*.c is one program and one CTest entry: it links the room it tests (and what
# stands above it), runs alone, has a time limit, and reports a skip by exit code 77.
# Each tests/<room>/*.sh is one CTest entry too: run with the build folder as its argument.
set(limit_seconds 300)
if(CMAKE_CROSSCOMPILING OR SAMP_SANITIZE)
  set(limit_seconds 3600) # emulated or instrumented, perhaps on a busy machine
endif()
set(SAMP_SHARED_DATA ${CMAKE_SOURCE_DIR}/../shared/data CACHE PATH "evaluation data beside the project, when there")
foreach(room base format file http model chat constrain backend cpu run eval engine plan quantize serve bench doctor
    report command)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${room}/test_*.c)
  foreach(source ${sources})
    get_filename_component(stem ${source} NAME_WE)
    string(REPLACE "test_" "${room}_" test ${stem})
    add_executable(test_${test} ${source})
    target_link_libraries(test_${test} PRIVATE samp_${room} PkgConfig::CMOCKA)
    target_include_directories(test_${test} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(test_${test} PRIVATE
      SAMP_GOLDEN="${CMAKE_SOURCE_DIR}/tests/golden" SAMP_DATA="${SAMP_SHARED_DATA}"
      SAMP_SOURCE="${CMAKE_SOURCE_DIR}" SAMP_BUILD="${CMAKE_BINARY_DIR}")
    add_test(NAME ${test} COMMAND test_${test})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${limit_seconds} LABELS ${room})
  endforeach()
endforeach()
# Shared objects that must be refused as backends: tests/backend/refused_NAME.c.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/backend/refused_*.c)
foreach(source ${sources})
  get_filename_component(stem ${source} NAME_WE)
  string(REPLACE "refused_" "" name ${stem})
  add_library(${stem} MODULE ${source})
  set_target_properties(${stem} PROPERTIES PREFIX "" OUTPUT_NAME samp-backend-${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test-backends)
  add_dependencies(test_backend_load ${stem})
endforeach()
add_dependencies(test_backend_load samp_backend_reference)
# The driver's library that test_doctor.c puts in a made-up root.
add_library(fake_nvml MODULE ${CMAKE_SOURCE_DIR}/tests/doctor/fake_nvml.c)
set_target_properties(fake_nvml PROPERTIES PREFIX "" OUTPUT_NAME fake-nvml
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test-doctor)
add_dependencies(test_doctor_doctor fake_nvml)
add_dependencies(test_backend_reference samp_backend_reference)
foreach(test bad_inputs serve_signals serve_log serve_clock) # they run the program
  if(TARGET test_command_${test})
    add_dependencies(test_command_${test} samp)
  endif()
endforeach()
# Moves the program's wall clock in test_serve_clock.c.
add_library(clock_shim MODULE ${CMAKE_SOURCE_DIR}/tests/command/clock_shim.c)
set_target_properties(clock_shim PROPERTIES PREFIX "" OUTPUT_NAME clock-shim
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test-command)
add_dependencies(test_command_serve_clock clock_shim)
file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.sh)
foreach(script ${scripts})
  get_filename_component(stem ${script} NAME_WE)
  get_filename_component(folder ${script} DIRECTORY)
  get_filename_component(room ${folder} NAME)
  string(REPLACE "test_" "${room}_" test ${stem})
  if(CMAKE_CROSSCOMPILING AND room STREQUAL command)
    continue() # they run the program itself
  endif()
  add_test(NAME ${test} COMMAND bash ${script} ${CMAKE_BINARY_DIR})
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS ${room}
    ENVIRONMENT "SAMP_SOURCE=${CMAKE_SOURCE_DIR};SAMP_DATA=${SAMP_SHARED_DATA}")
endforeach()
# Fuzz targets double as replay programs over their stored corpora when not built with libFuzzer.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
foreach(source ${sources})
  get_filename_component(stem ${source} NAME_WE)
  if(NOT SAMP_FUZZ)
    add_executable(replay_${stem} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
    target_link_libraries(replay_${stem} PRIVATE samp_serve)
    add_test(NAME ${stem} COMMAND replay_${stem} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${stem})
    set_tests_properties(${stem} PROPERTIES TIMEOUT 120 LABELS fuzz)
  endif()
endforeach()
