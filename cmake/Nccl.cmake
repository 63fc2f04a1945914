# NCCL, for the memory of GPUs between processes, and the CUDA runtime: of the wheels beside libtorch's, with which they
# came. Its part of comm/ and the tests of that.
set(nccl ${LIBTORCH_DIR}/../nvidia/nccl)
set(cuda ${LIBTORCH_DIR}/../nvidia/cu13)
add_library(nccl INTERFACE)
target_include_directories(nccl SYSTEM INTERFACE ${nccl}/include ${cuda}/include)
target_link_libraries(nccl INTERFACE ${nccl}/lib/libnccl.so.2 ${cuda}/lib/libcudart.so.13)

target_sources(moellava_comm PRIVATE ${CMAKE_SOURCE_DIR}/src/comm/nccl_communicator.cpp)
target_compile_definitions(moellava_comm PRIVATE MOELLAVA_CUDA)
target_link_libraries(moellava_comm PUBLIC nccl)

# moellava_nccl_test(NAME SOURCES...): in one process and in some.
function(moellava_nccl_test name)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/src/comm/nccl_communicator_test.cpp ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE moellava_comm GTest::gtest_main)
  moellava_mpi_test(${name} * 1 2 3 4)
endfunction()
moellava_nccl_test(nccl_test ${CMAKE_SOURCE_DIR}/tests/pretend_nccl.cpp)
moellava_nccl_test(nccl_gpu_test)
