#include "train/run_signals.hpp"

namespace moellava {

namespace {

volatile std::sig_atomic_t g_stop = 0;
volatile std::sig_atomic_t g_save = 0;

void remember(int signal) {
  if (signal == SIGUSR1)
    g_save = 1;
  else
    g_stop = signal == SIGUSR2 ? SIGTERM : signal;
}

}  // namespace

RunSignals::RunSignals() {
  g_stop = 0;
  g_save = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // system calls under way go on
  ::sigaction(SIGUSR1, &action, &old_user1_);
  // The default action comes back after the first.
  action.sa_flags |= static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGTERM, &action, &old_term_);
  ::sigaction(SIGINT, &action, &old_int_);
  ::sigaction(SIGUSR2, &action, &old_user2_);
}

RunSignals::~RunSignals() {
  ::sigaction(SIGTERM, &old_term_, nullptr);
  ::sigaction(SIGINT, &old_int_, nullptr);
  ::sigaction(SIGUSR1, &old_user1_, nullptr);
  ::sigaction(SIGUSR2, &old_user2_, nullptr);
}

int RunSignals::stop() const {
  return g_stop;
}

bool RunSignals::take_save() {
  const bool asked = g_save != 0;
  g_save = 0;
  return asked;
}

}  // namespace moellava
