// The processes of a test program that may run under mpirun (cmake/Mpi.cmake): every test runs in all of
// them.
#pragma once

#include <cstdlib>

#include "comm/processes.hpp"

namespace moellava::testing {

inline Processes& processes() {
  static Processes only(detect_launch(std::getenv));
  return only;
}

inline Communicator& all_processes() {
  return processes().all();
}

}  // namespace moellava::testing
