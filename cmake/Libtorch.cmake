# Imported target `libtorch` from the unpacked PyPI wheel (tools/fetch.sh puts it into the cache).
# find_package(Torch) of a CUDA wheel insists on a CUDA toolkit, so the libraries are named here.
option(MOELLAVA_CUDA "Compute on NVIDIA GPUs, too" OFF)
set(libtorch libtorch-2.11.0)
set(fetched libtorch)
set(cuda_libraries)
if(MOELLAVA_CUDA)
  set(libtorch libtorch-cuda-2.11.0)
  set(fetched libtorch-cuda)
  set(cuda_libraries torch_cuda c10_cuda)
endif()
if(NOT DEFINED LIBTORCH_DIR)
  if(DEFINED ENV{LIBTORCH_DIR})
    set(LIBTORCH_DIR $ENV{LIBTORCH_DIR})
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(LIBTORCH_DIR $ENV{XDG_CACHE_HOME}/moe-llava/${libtorch}/torch)
  else()
    set(LIBTORCH_DIR $ENV{HOME}/.cache/moe-llava/${libtorch}/torch)
  endif()
endif()
if(NOT EXISTS ${LIBTORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "libtorch not found in ${LIBTORCH_DIR}: run tools/fetch.sh ${fetched}, or set LIBTORCH_DIR")
endif()

add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE
  ${LIBTORCH_DIR}/include ${LIBTORCH_DIR}/include/torch/csrc/api/include)
# Operators register themselves in static constructors: without --no-as-needed the linker drops them.
target_link_options(libtorch INTERFACE -L${LIBTORCH_DIR}/lib -Wl,-rpath,${LIBTORCH_DIR}/lib
  -Wl,-rpath-link,${LIBTORCH_DIR}/lib)
if(MOELLAVA_CUDA)  # what its CUDA libraries need they find themselves, in the folders of the wheels beside it
  target_link_options(libtorch INTERFACE -Wl,--allow-shlib-undefined)
endif()
# at::parallel_for() in our own files runs on libtorch's threads only when OpenMP is on; otherwise on one. The wheel
# brings its libgomp.so.1, which the program then shares. (clang's OpenMP would be a second pool: left out.)
target_compile_options(libtorch INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fopenmp>)
target_link_options(libtorch INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fopenmp>)
target_link_libraries(libtorch INTERFACE -Wl,--no-as-needed torch_cpu c10 ${cuda_libraries} -Wl,--as-needed)

# Its headers, which take longer to parse than our code to compile, parsed once: for target_precompile_headers().
file(CONFIGURE OUTPUT torch_headers.cpp CONTENT "")
add_library(torch_headers OBJECT ${CMAKE_CURRENT_BINARY_DIR}/torch_headers.cpp)
target_link_libraries(torch_headers PRIVATE libtorch)
target_precompile_headers(torch_headers PRIVATE <ATen/ATen.h> <ATen/Parallel.h>)
