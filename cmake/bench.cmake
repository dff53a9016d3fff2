# Programs that measure what the command itself cannot, run by tools/bench_*.sh: not tests, as a shared machine has no
# speed to assert.
add_executable(bench_quantize ${CMAKE_SOURCE_DIR}/tests/quantize/bench_quantize.c)
target_link_libraries(bench_quantize PRIVATE samp_model)
target_include_directories(bench_quantize PRIVATE ${CMAKE_SOURCE_DIR}/tests)
# Beside Hugging Face's tokenizers (tools/bench_tokenizer.py).
add_executable(bench_tokenizer ${CMAKE_SOURCE_DIR}/tests/model/bench_tokenizer.c)
target_link_libraries(bench_tokenizer PRIVATE samp_model)
# The HTTP server alone, for wrk, slowhttptest and curl.
add_executable(http_host ${CMAKE_SOURCE_DIR}/tests/http/http_host.c)
target_link_libraries(http_host PRIVATE samp_http)
# The engine beside plain steps of a session.
add_executable(bench_engine ${CMAKE_SOURCE_DIR}/tests/engine/bench_engine.c)
target_link_libraries(bench_engine PRIVATE samp_engine PkgConfig::CMOCKA)
target_include_directories(bench_engine PRIVATE ${CMAKE_SOURCE_DIR}/tests)
# What looking for drift costs an engine.
add_executable(bench_drift ${CMAKE_SOURCE_DIR}/tests/serve/bench_drift.c)
target_link_libraries(bench_drift PRIVATE samp_serve PkgConfig::CMOCKA)
target_include_directories(bench_drift PRIVATE ${CMAKE_SOURCE_DIR}/tests)
