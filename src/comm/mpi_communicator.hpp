// The communicator over MPI, for host memory. Only comm/ includes this: it brings <mpi.h>.
#pragma once

#include <mpi.h>

#include <string>

#include "comm/communicator.hpp"
#include "comm/pulse.hpp"

namespace moellava {

// Throws Io with MPI's own words unless `code` is MPI_SUCCESS.
void check_mpi(int code, const std::string& what);

class MpiCommunicator : public Communicator {
 public:
  // A communicator of its own with the processes of `comm` that name the same `colour`; collective over
  // `comm`. `pulse` must outlive it.
  MpiCommunicator(MPI_Comm comm, int colour, Pulse& pulse);
  ~MpiCommunicator() override;

  void barrier() override;
  void broadcast(std::span<std::byte> data, int root) override;
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                  std::span<const size_t> bytes) override;
  void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) override;
  std::unique_ptr<Communicator> split(int colour) override;
  std::unique_ptr<Communicator> on_gpu(int gpu) override;

 private:
  struct Members {
    MPI_Comm comm;
    int rank, size;
  };
  MpiCommunicator(const Members& members, Pulse& pulse);
  static Members make(MPI_Comm comm, int colour);
  // Waits for the operation that `started`, MPI's return code, has begun.
  void finish(int started, MPI_Request& request, const char* operation);

  MPI_Comm comm_;
  Pulse& pulse_;
};

}  // namespace moellava
