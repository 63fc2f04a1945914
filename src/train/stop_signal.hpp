// SIGTERM, SIGUSR2 (which mpirun passes on) and SIGINT as a request to stop after the current
// step.
#pragma once

#include <csignal>

namespace moellava {

// While an object lives, the first such signal is only remembered; a second one ends the process at once.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  int received() const;  // SIGTERM, also for SIGUSR2, SIGINT, or 0

 private:
  struct sigaction old_term_ {};
  struct sigaction old_int_ {};
  struct sigaction old_user_ {};
};

}  // namespace moellava
