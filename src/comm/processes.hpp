// The processes of a run from their start to their end.
#pragma once

#include <chrono>
#include <memory>

#include "comm/communicator.hpp"
#include "comm/launch.hpp"

namespace moellava {

// With Launcher::Mpi or Slurm, MPI joins the processes and a watchdog ends all of them when one dies, is
// stopped or keeps the others waiting; otherwise there is this one process and no MPI. One at a time.
class Processes {
 public:
  // `standstill`: how long the others may wait for a process that lives. Throws Usage when MPI sees other
  // processes than the launcher's variables tell.
  explicit Processes(const Launch& launch, std::chrono::milliseconds standstill = std::chrono::minutes(30));
  // Every process must get here, or abort.
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  Communicator& all() { return *all_; }
  int rank() const { return all_->rank(); }
  int size() const { return all_->size(); }
  bool first() const { return rank() == 0; }

  // What the others are told about this process, should it die.
  void at_step(int64_t step);
  // Ends all processes; mpirun returns `exit_code`.
  [[noreturn]] void abort(int exit_code);

 private:
  struct Mpi;
  std::unique_ptr<Mpi> mpi_;
  std::unique_ptr<Communicator> all_;
};

}  // namespace moellava
