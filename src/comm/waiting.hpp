// How a process waits for what others do.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "comm/pulse.hpp"

namespace moellava {

// Calls `done` until it returns true: at first without a pause, as most answers come at once, then with
// pauses, so that it does not take the processor from those it waits for. The watchdog sees it waiting.
template <class Done>
void wait_until(Pulse& pulse, const Done& done) {
  constexpr int kEagerLooks = 1000;
  constexpr auto kPause = std::chrono::microseconds(50);
  ++pulse.waiting;
  for (int looks = 0; !done(); looks = std::min(looks + 1, kEagerLooks)) {
    if (looks < kEagerLooks) {
      ::sched_yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
  --pulse.waiting;
  ++pulse.operations;
}

}  // namespace moellava
