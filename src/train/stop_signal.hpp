// SIGTERM and SIGINT as a request to stop after the current step.
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

  int received() const;  // SIGTERM, SIGINT, or 0

 private:
  struct sigaction old_term_ {};
  struct sigaction old_int_ {};
};

}  // namespace moellava
