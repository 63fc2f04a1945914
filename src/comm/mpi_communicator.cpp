#include "comm/mpi_communicator.hpp"

#include <algorithm>
#include <climits>

#include "base/error.hpp"
#include "comm/launch.hpp"
#include "comm/waiting.hpp"
#ifdef MOELLAVA_CUDA
#include "comm/nccl_communicator.hpp"
#endif

namespace moellava {

namespace {

// MPI's 32-bit byte counts and offsets of parts that stand one behind the other.
struct Parts {
  std::vector<int> counts, offsets;

  explicit Parts(std::span<const size_t> bytes) {
    size_t offset = 0;
    for (size_t count : bytes) {
      if (count > INT_MAX - offset) {
        throw limit_error("communication", "one operation moves too much",
                          {.found = "more than " + std::to_string(offset) + " bytes",
                           .expected = "at most " + std::to_string(INT_MAX)});
      }
      counts.push_back(static_cast<int>(count));
      offsets.push_back(static_cast<int>(offset));
      offset += count;
    }
  }
};

}  // namespace

void check_mpi(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw make_error(ErrorKind::Io, what, "communication failed", {.found = printable(text)});
}

MpiCommunicator::Members MpiCommunicator::make(MPI_Comm comm, int colour) {
  Members made{};
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI");
  check_mpi(MPI_Comm_split(comm, colour, rank, &made.comm), "MPI");
  check_mpi(MPI_Comm_set_errhandler(made.comm, MPI_ERRORS_RETURN), "MPI");
  check_mpi(MPI_Comm_rank(made.comm, &made.rank), "MPI");
  check_mpi(MPI_Comm_size(made.comm, &made.size), "MPI");
  return made;
}

MpiCommunicator::MpiCommunicator(MPI_Comm comm, int colour, Pulse& pulse)
    : MpiCommunicator(make(comm, colour), pulse) {}

MpiCommunicator::MpiCommunicator(const Members& members, Pulse& pulse)
    : Communicator(members.rank, members.size), comm_(members.comm), pulse_(pulse) {}

MpiCommunicator::~MpiCommunicator() {
  MPI_Comm_free(&comm_);
}

void MpiCommunicator::finish(int started, MPI_Request& request, const char* operation) {
  const auto check = [&](int code) {
    if (code != MPI_SUCCESS) check_mpi(code, rank_text(rank(), size()) + ", " + operation);
  };
  check(started);
  wait_until(pulse_, [&] {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    return done != 0;
  });
}

void MpiCommunicator::barrier() {
  MPI_Request request = MPI_REQUEST_NULL;
  finish(MPI_Ibarrier(comm_, &request), request, "barrier");
}

void MpiCommunicator::broadcast(std::span<std::byte> data, int root) {
  for (size_t begin = 0; begin < data.size(); begin += INT_MAX) {
    const auto part = data.subspan(begin, std::min<size_t>(INT_MAX, data.size() - begin));
    MPI_Request request = MPI_REQUEST_NULL;
    finish(MPI_Ibcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, comm_, &request), request,
           "broadcast");
  }
}

void MpiCommunicator::all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                                 std::span<const size_t> bytes) {
  const Parts parts(bytes);
  MPI_Request request = MPI_REQUEST_NULL;
  finish(MPI_Iallgatherv(own.data(), static_cast<int>(own.size()), MPI_BYTE, all.data(), parts.counts.data(),
                         parts.offsets.data(), MPI_BYTE, comm_, &request),
         request, "all-gather");
}

void MpiCommunicator::all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                                 std::span<std::byte> receive, std::span<const size_t> receive_bytes) {
  const Parts from(send_bytes);
  const Parts to(receive_bytes);
  MPI_Request request = MPI_REQUEST_NULL;
  finish(MPI_Ialltoallv(send.data(), from.counts.data(), from.offsets.data(), MPI_BYTE, receive.data(),
                        to.counts.data(), to.offsets.data(), MPI_BYTE, comm_, &request),
         request, "all-to-all");
}

std::unique_ptr<Communicator> MpiCommunicator::split(int colour) {
  return std::make_unique<MpiCommunicator>(comm_, colour, pulse_);
}

std::unique_ptr<Communicator> MpiCommunicator::on_gpu(int gpu) {
#ifdef MOELLAVA_CUDA
  return std::make_unique<NcclCommunicator>(split(0), gpu, pulse_);
#else
  throw usage_error(
      "--ddp_backend", "this program was built without NCCL",
      {.found = "nccl for GPU " + std::to_string(gpu), .expected = "mpi", .hint = "the cuda preset has it"});
#endif
}

}  // namespace moellava
