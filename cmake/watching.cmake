# tools/watching.c prints docs/metrics.md and deploy/grafana.json from the list of metrics; tests/serve/test_watching.c
# runs it and says when a committed file is another.
add_executable(watching ${CMAKE_SOURCE_DIR}/tools/watching.c)
target_link_libraries(watching PRIVATE samp_serve)
if(TARGET test_serve_watching)
  add_dependencies(test_serve_watching watching)
endif()
