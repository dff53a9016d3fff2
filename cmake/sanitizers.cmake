# Which tests CI also runs under sanitizers (make check-sanitizers), as labels, and targets that build them:
#   quick    AddressSanitizer and UndefinedBehaviorSanitizer: what reads files and options, and the fuzzers' corpora
#   threads  ThreadSanitizer: what shares memory between threads
# make check-asan and check-tsan run more, and take longer.
set(quick "^(base|format|file|http|model|chat|fuzz)_|^quantize_(families|findings|import|import_families|quantize|resume|\
torture|validate|validate_foreign)$|\
^command_(bad_inputs|chat|cli|options|serve_log)$|^eval_(csv|task|choices)$|^run_follow$|\
^serve_(answers|bad_requests|leaving|life|streams)$")
set(threads "^(base_thread|backend_reference|http_limits|http_server|http_stream|cpu_device|run_session|engine_(cancel|schedule)|quantize_quantize|\
serve_(answers|leaving|life)|command_serve_(log|signals))$")
foreach(label quick threads)
  add_custom_target(${label}_tests DEPENDS samp samp_backend_reference) # some load it
  get_property(tests DIRECTORY PROPERTY TESTS)
  list(FILTER tests INCLUDE REGEX "${${label}}")
  foreach(test ${tests})
    set_property(TEST ${test} APPEND PROPERTY LABELS ${label})
    foreach(target test_${test} replay_${test})
      if(TARGET ${target})
        add_dependencies(${label}_tests ${target})
      endif()
    endforeach()
  endforeach()
endforeach()
