// A command that may run in many processes, started by mpirun, srun or torchrun.
#pragma once

#include <chrono>
#include <functional>

#include "comm/processes.hpp"

namespace moellava {

// Calls `work` in the processes that the launcher started, and returns when all are done. A failure in any of
// them is told once, with its rank, and ends all. torchrun brings no MPI: on one machine its first process
// becomes mpirun with as many, the others return at once; on several machines it is refused.
// `standstill`: how long they may wait for one that lives.
void in_processes(std::chrono::seconds standstill, const std::function<void(Processes&)>& work);

// Threads for one of `launch.local_size` processes of this machine: the processors that it may use, shared.
int threads_of_process(const Launch& launch);

}  // namespace moellava
