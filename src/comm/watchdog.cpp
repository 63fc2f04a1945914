#include "comm/watchdog.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/error.hpp"
#include "comm/mpi_communicator.hpp"

namespace moellava {

namespace {

constexpr auto kBeat = std::chrono::milliseconds(500);
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr int kTag = 1;
constexpr size_t kHostBytes = 64;

std::string seconds_text(std::chrono::steady_clock::duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

Watchdog::Watchdog(MPI_Comm comm, const Pulse& pulse, const WatchLimits& limits)
    : comm_(comm), pulse_(pulse), limits_(limits) {
  check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI");
  check_mpi(MPI_Comm_size(comm_, &size_), "MPI");
  const std::vector<std::string> hosts = gather_hosts();
  const auto now = Clock::now();
  for (int rank = 0; rank < size_; ++rank) {
    // Rank 0 hears everybody, everybody hears rank 0.
    if (rank == rank_ || (rank_ != 0 && rank != 0)) continue;
    peers_.push_back({.rank = rank,
                      .host = hosts[static_cast<size_t>(rank)],
                      .last = {},
                      .heard = now,
                      .moved = now,
                      .outgoing = {},
                      .sending = MPI_REQUEST_NULL});
  }
  thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  stop_.notify_all();
  thread_.join();
  MPI_Comm_free(&comm_);
}

std::vector<std::string> Watchdog::gather_hosts() const {
  char own[kHostBytes] = {};
  ::gethostname(own, sizeof own - 1);
  std::vector<char> all(kHostBytes * static_cast<size_t>(size_));
  check_mpi(MPI_Allgather(own, kHostBytes, MPI_CHAR, all.data(), kHostBytes, MPI_CHAR, comm_), "MPI");
  std::vector<std::string> hosts;
  for (size_t at = 0; at < all.size(); at += kHostBytes) hosts.push_back(printable(all.data() + at));
  return hosts;
}

void Watchdog::run() {
  auto next_beat = Clock::now();
  auto looked = next_beat;
  std::unique_lock lock(mutex_);
  bool told = false;
  while (true) {
    const auto now = Clock::now();
    // Was it this process that stood still? Then the others' silence says nothing.
    if (now - looked > limits_.silence / 2) {
      for (Peer& peer : peers_) peer.heard = peer.moved = now;
    }
    looked = now;
    if (now >= next_beat || leaving_ != told) {
      send_beats();
      told = leaving_;
      next_beat = now + kBeat;
    }
    receive_beats();
    require_life(now);
    if (rank_ == 0) require_motion(now);
    if (told && all_leave()) break;
    stop_.wait_for(lock, kLook, [&] { return leaving_ != told; });
  }
  for (Peer& peer : peers_) MPI_Wait(&peer.sending, MPI_STATUS_IGNORE);
}

Watchdog::Beat Watchdog::own_beat() const {
  return {
      .step = pulse_.step, .operations = pulse_.operations, .waiting = pulse_.waiting, .leaving = leaving_};
}

void Watchdog::send_beats() {
  for (Peer& peer : peers_) {
    int done = 1;
    if (peer.sending != MPI_REQUEST_NULL) MPI_Test(&peer.sending, &done, MPI_STATUS_IGNORE);
    // The last word must get through, all others may be left out.
    if (done == 0 && !leaving_) continue;
    if (done == 0) MPI_Wait(&peer.sending, MPI_STATUS_IGNORE);
    peer.outgoing = own_beat();
    MPI_Isend(&peer.outgoing, sizeof peer.outgoing, MPI_BYTE, peer.rank, kTag, comm_, &peer.sending);
  }
}

void Watchdog::receive_beats() {
  for (Peer& peer : peers_) {
    int there = 0;
    while (MPI_Iprobe(peer.rank, kTag, comm_, &there, MPI_STATUS_IGNORE) == MPI_SUCCESS && there != 0) {
      Beat beat{};
      MPI_Recv(&beat, sizeof beat, MPI_BYTE, peer.rank, kTag, comm_, MPI_STATUS_IGNORE);
      peer.heard = Clock::now();
      if (beat.operations != peer.last.operations) peer.moved = peer.heard;
      peer.last = beat;
    }
  }
}

void Watchdog::require_life(Clock::time_point now) const {
  for (const Peer& peer : peers_) {
    if (peer.last.leaving != 0 || now - peer.heard <= limits_.silence) continue;
    end_all("rank " + std::to_string(peer.rank) + " of " + std::to_string(size_) + " on host " + peer.host +
            ": no sign of life for " + seconds_text(now - peer.heard) + "; it was last seen at step " +
            std::to_string(peer.last.step));
  }
}

// Only rank 0 can tell: it knows what all the others do.
void Watchdog::require_motion(Clock::time_point now) const {
  bool somebody_waits = pulse_.waiting > 0;
  std::string busy = pulse_.waiting > 0 ? "" : "rank 0";
  auto moved = Clock::time_point::min();
  for (const Peer& peer : peers_) {
    moved = std::max(moved, peer.moved);
    if (peer.last.waiting > 0) somebody_waits = true;
    if (peer.last.waiting == 0)
      busy += (busy.empty() ? "rank " : ", rank ") + std::to_string(peer.rank) + " on host " + peer.host;
  }
  if (!somebody_waits || now - moved <= limits_.standstill) return;
  end_all((busy.empty() ? "all ranks wait for each other" : busy + ": the others wait for it") + " for " +
          seconds_text(now - moved) + ", at step " + std::to_string(pulse_.step));
}

bool Watchdog::all_leave() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.last.leaving != 0; });
}

void Watchdog::end_all(const std::string& why) const {
  std::fprintf(stderr, "error: %s: all processes are ended\n", why.c_str());
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ErrorKind::Io));
  ::_exit(static_cast<int>(ErrorKind::Io));
}

}  // namespace moellava
