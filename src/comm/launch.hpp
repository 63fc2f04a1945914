// Who started this process, and as which of how many: told by the variables that launchers set.
#pragma once

#include <functional>
#include <string>

namespace moellava {

enum class Launcher { None, Mpi, Slurm, Torchrun };

struct Launch {
  Launcher by = Launcher::None;  // None: one process by itself
  int rank = 0;
  int size = 1;
  int local_rank = 0;  // among the processes of this machine
  int local_size = 1;
};

// Reads OMPI_COMM_WORLD_* (mpirun of Open MPI), SLURM_* inside a step (srun), or RANK, WORLD_SIZE, ...
// (torchrun), in this order; `environment` is std::getenv or a stand-in. Throws Usage for variables that
// contradict each other.
Launch detect_launch(const std::function<const char*(const char*)>& environment);

// "rank 3 of 8 on host node7"
std::string rank_text(int rank, int size);

}  // namespace moellava
