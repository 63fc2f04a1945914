# Open MPI, for host memory between processes; and tests that run under its mpirun.
set(MPI_CXX_SKIP_MPICXX ON)  # the C functions are all we use
find_package(MPI REQUIRED COMPONENTS CXX)

# How tests start N processes: also as root, on fewer cores than processes, wherever the system puts them. Inside a
# container the processes may not read each other's memory.
set(MOELLAVA_MPIRUN ${MPIEXEC_EXECUTABLE} --allow-run-as-root --oversubscribe --bind-to none
  --mca btl_vader_single_copy_mechanism none)

# moellava_mpi_test(TARGET FILTER N...): these tests of a test program, in N processes at once.
function(moellava_mpi_test target filter)
  foreach(processes ${ARGN})
    add_test(NAME ${target}.${processes}_processes
      COMMAND ${MOELLAVA_MPIRUN} -n ${processes} $<TARGET_FILE:${target}> --gtest_filter=${filter} --gtest_brief=1)
    set_tests_properties(${target}.${processes}_processes PROPERTIES TIMEOUT 120 LABELS mpi PROCESSORS 2
      ENVIRONMENT "OMP_NUM_THREADS=1")
  endforeach()
endfunction()
