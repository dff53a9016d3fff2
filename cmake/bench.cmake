# Programs that measure what the command itself cannot, run by tools/bench_*.sh: not tests, as a shared machine has no
# speed to assert.
add_executable(bench_quantize ${CMAKE_SOURCE_DIR}/tests/quantize/bench_quantize.c)
target_link_libraries(bench_quantize PRIVATE samp_model)
target_include_directories(bench_quantize PRIVATE ${CMAKE_SOURCE_DIR}/tests)
