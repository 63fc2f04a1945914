#include "comm/processes.hpp"

#include <cstdlib>

#include "base/error.hpp"
#include "comm/mpi_communicator.hpp"
#include "comm/watchdog.hpp"

namespace moellava {

struct Processes::Mpi {
  Pulse pulse;
  std::unique_ptr<Watchdog> watchdog;
};

namespace {

void start_mpi(const Launch& launch) {
  int threads = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &threads), "MPI");
  int size = 0;
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI");
  if (size != launch.size || threads < MPI_THREAD_MULTIPLE) {
    MPI_Finalize();
    if (size == launch.size) throw usage_error("MPI", "this MPI does not work with several threads");
    throw usage_error("MPI", "does not see the processes that the launcher started",
                      {.found = std::to_string(size),
                       .expected = std::to_string(launch.size),
                       .hint = launch.by == Launcher::Slurm ? "start with srun --mpi=pmix"
                                                            : "start with Open MPI's own mpirun"});
  }
}

}  // namespace

Processes::Processes(const Launch& launch, std::chrono::milliseconds standstill) {
  if (launch.by != Launcher::Mpi && launch.by != Launcher::Slurm) {
    all_ = std::make_unique<SingleProcess>();
    return;
  }
  start_mpi(launch);
  mpi_ = std::make_unique<Mpi>();
  MPI_Comm watched = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &watched), "MPI");
  WatchLimits limits;
  limits.standstill = standstill;
  mpi_->watchdog = std::make_unique<Watchdog>(watched, mpi_->pulse, limits);
  all_ = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, 0, mpi_->pulse);
}

Processes::~Processes() {
  if (!mpi_) return;
  all_->barrier();
  mpi_->watchdog.reset();
  all_.reset();
  MPI_Finalize();
}

void Processes::at_step(int64_t step) {
  if (mpi_) mpi_->pulse.step = step;
}

void Processes::abort(int exit_code) {
  if (mpi_) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace moellava
