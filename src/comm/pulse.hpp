// What a process tells the others about itself.
#pragma once

#include <atomic>
#include <cstdint>

namespace moellava {

struct Pulse {
  std::atomic<int64_t> step = 0;        // of the work it does; 0 before the first
  std::atomic<int64_t> operations = 0;  // collective ones that it has finished
  std::atomic<int64_t> waiting = 0;     // threads that wait for others now
};

}  // namespace moellava
