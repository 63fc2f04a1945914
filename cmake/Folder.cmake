# moellava_folder(NAME [TORCH] LINK libs...): the library of src/NAME, its tests (*_test.cpp beside the code) and
# its fuzz targets (*_fuzz.cpp), found by glob so that none is forgotten. TORCH: it may use libtorch, whose headers are
# then parsed once for all such folders.
include(GoogleTest)

function(moellava_folder name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|/main)\\.cpp$")

  if(sources)
    add_library(moellava_${name} STATIC ${sources})
    target_include_directories(moellava_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(moellava_${name} PUBLIC ${ARG_LINK})
    if(ARG_TORCH)
      target_precompile_headers(moellava_${name} REUSE_FROM torch_headers)
    endif()
  else()
    add_library(moellava_${name} INTERFACE)
    target_include_directories(moellava_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(moellava_${name} INTERFACE ${ARG_LINK})
  endif()

  if(tests)
    add_executable(${name}_test ${tests})
    target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
    # Golden files are .npy and safetensors, whatever is under test.
    target_link_libraries(${name}_test PRIVATE moellava_${name} moellava_files GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE MOELLAVA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    if(ARG_TORCH)
      target_link_libraries(${name}_test PRIVATE pretend_device)
      target_precompile_headers(${name}_test REUSE_FROM torch_headers)
    endif()
    gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 LABELS ${name} ENVIRONMENT OMP_WAIT_POLICY=passive)
  endif()

  if(MOELLAVA_FUZZ)
    foreach(source ${fuzzers})
      get_filename_component(target ${source} NAME_WE)
      add_executable(${target} ${source})
      target_link_libraries(${target} PRIVATE moellava_${name})
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      # Seeds are copied, so that what libFuzzer finds does not land in the source tree.
      add_test(NAME fuzz.${target} COMMAND ${CMAKE_SOURCE_DIR}/tools/run_fuzz.sh $<TARGET_FILE:${target}>
        ${CMAKE_SOURCE_DIR}/tests/fuzz_corpus/${target})
      set_tests_properties(fuzz.${target} PROPERTIES LABELS fuzz TIMEOUT 120)
    endforeach()
  endif()
endfunction()
