// Signals as requests to a run: SIGTERM, SIGUSR2 (which mpirun passes on) and SIGINT to stop after the
// current step, SIGUSR1 to save and go on.
#pragma once

#include <csignal>

namespace moellava {

// While an object lives, the first that asks to stop is only remembered; a second one ends the process at
// once.
class RunSignals {
 public:
  RunSignals();
  ~RunSignals();
  RunSignals(const RunSignals&) = delete;
  RunSignals& operator=(const RunSignals&) = delete;

  int stop() const;  // SIGTERM, also for SIGUSR2, SIGINT, or 0
  bool take_save();  // whether SIGUSR1 came since the last call

 private:
  struct sigaction old_term_ {};
  struct sigaction old_int_ {};
  struct sigaction old_user1_ {};
  struct sigaction old_user2_ {};
};

}  // namespace moellava
