// Sees to it that a run of many processes never stands still: a thread in each process tells rank 0 twice a
// second that it lives, and rank 0 tells the others. Only comm/ includes this: it brings <mpi.h>.
#pragma once

#include <mpi.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/pulse.hpp"

namespace moellava {

struct WatchLimits {
  // A process that has said nothing for so long is dead or stopped.
  std::chrono::milliseconds silence = std::chrono::seconds(7);
  // All live, but some wait for others and nothing moves: so long at most.
  std::chrono::milliseconds standstill = std::chrono::minutes(30);
};

class Watchdog {
 public:
  // Collective over `comm`, which is its own from now on. `pulse` must outlive it.
  Watchdog(MPI_Comm comm, const Pulse& pulse, const WatchLimits& limits);
  // Collective: waits until the watched ones are about to leave too.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  struct Beat {
    int64_t step, operations, waiting, leaving;
  };
  // A process that this one listens to.
  struct Peer {
    int rank;
    std::string host;
    Beat last;
    Clock::time_point heard;
    Clock::time_point moved;  // when its operations were last seen to grow
    Beat outgoing;            // what is on its way to it
    MPI_Request sending;
  };

  void run();
  void send_beats();
  void receive_beats();
  void require_life(Clock::time_point now) const;
  void require_motion(Clock::time_point now) const;
  bool all_leave() const;
  Beat own_beat() const;
  std::vector<std::string> gather_hosts() const;
  [[noreturn]] void end_all(const std::string& why) const;

  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
  const Pulse& pulse_;
  WatchLimits limits_;
  std::vector<Peer> peers_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool leaving_ = false;
  std::thread thread_;
};

}  // namespace moellava
