#include "train/stop_signal.hpp"

namespace moellava {

namespace {

volatile std::sig_atomic_t g_received = 0;

void remember(int signal) {
  g_received = signal == SIGUSR2 ? SIGTERM : signal;
}

}  // namespace

StopSignal::StopSignal() {
  g_received = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  // The default action comes back after the first; system calls under way go on.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGTERM, &action, &old_term_);
  ::sigaction(SIGINT, &action, &old_int_);
  ::sigaction(SIGUSR2, &action, &old_user_);
}

StopSignal::~StopSignal() {
  ::sigaction(SIGTERM, &old_term_, nullptr);
  ::sigaction(SIGINT, &old_int_, nullptr);
  ::sigaction(SIGUSR2, &old_user_, nullptr);
}

int StopSignal::received() const {
  return g_received;
}

}  // namespace moellava
