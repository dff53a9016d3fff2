# Per-file instruction sets of the number formats' inner loops (kernels.h).
if(SAMP_ARCHITECTURE STREQUAL x86)
  set(avx2 -mavx2 -mfma -mf16c)
  set(folder ${CMAKE_SOURCE_DIR}/src/format)
  set_source_files_properties(${folder}/kernels_avx2.c
    TARGET_DIRECTORY samp_format PROPERTIES COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE};${avx2}")
  set_source_files_properties(${folder}/kernels_avx512.c
    TARGET_DIRECTORY samp_format PROPERTIES
    COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE};${avx2};-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq")
endif()
if(SAMP_ARCHITECTURE STREQUAL arm64)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/format/kernels_neon.c
    TARGET_DIRECTORY samp_format PROPERTIES COMPILE_OPTIONS "${SAMP_KERNEL_OPTIMIZE}")
endif()
