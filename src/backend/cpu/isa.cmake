# Per-file instruction sets of the CPU backend: only the files of a level are compiled for it, and run only
# where base/cpu.h finds that level. vector_*.c are the vector functions, matmul_*.c the matrix products.
set(SAMP_CPU_MATMUL ${SAMP_KERNEL_OPTIMIZE})
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # GCC regroups sums and moves products away from their additions, which spills the tiles'
  # accumulators: without this its prefill tiles run at 75 % of the speed (GCC 12, Zen 1).
  list(APPEND SAMP_CPU_MATMUL -fno-tree-reassoc -fno-tree-ter)
endif()
if(SAMP_ARCHITECTURE STREQUAL x86)
  set(SAMP_CPU_AVX2 -mavx2 -mfma -mf16c)
  set(SAMP_CPU_AVX512 ${SAMP_CPU_AVX2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
  set(folder ${CMAKE_SOURCE_DIR}/src/backend/cpu)
  set_source_files_properties(${folder}/vector_avx2.c ${folder}/attention_avx2.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE};${SAMP_CPU_AVX2}")
  set_source_files_properties(${folder}/vector_avx512.c ${folder}/attention_avx512.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE};${SAMP_CPU_AVX512}")
  set_source_files_properties(${folder}/matmul_avx2.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_CPU_MATMUL};${SAMP_CPU_AVX2}")
  set_source_files_properties(${folder}/matmul_avx512.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_CPU_MATMUL};${SAMP_CPU_AVX512}")
  set_source_files_properties(${folder}/matmul_avx512vbmi.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_CPU_MATMUL};${SAMP_CPU_AVX512};-mavx512vbmi")
endif()
if(SAMP_ARCHITECTURE STREQUAL arm64)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # On ARM, GCC also schedules before it allocates registers: every tile then spills its sums.
    list(APPEND SAMP_CPU_MATMUL -fno-schedule-insns)
  endif()
  set(folder ${CMAKE_SOURCE_DIR}/src/backend/cpu)
  set_source_files_properties(${folder}/vector_neon.c ${folder}/attention_neon.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE}")
  set_source_files_properties(${folder}/matmul_common_neon.c ${folder}/matmul_neon.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_CPU_MATMUL}")
  set_source_files_properties(${folder}/matmul_dotprod.c
    TARGET_DIRECTORY samp_cpu PROPERTIES COMPILE_OPTIONS "${SAMP_CPU_MATMUL};-march=armv8.2-a+dotprod")
  set_source_files_properties(${folder}/matmul_i8mm.c
    TARGET_DIRECTORY samp_cpu PROPERTIES
    COMPILE_OPTIONS "${SAMP_CPU_MATMUL};-march=armv8.2-a+dotprod+i8mm")
endif()
