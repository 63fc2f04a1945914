#include "comm/nccl_communicator.hpp"

#include <cuda_runtime_api.h>
#include <unistd.h>

#include <exception>

#include "base/error.hpp"
#include "comm/collectives.hpp"
#include "comm/launch.hpp"
#include "comm/waiting.hpp"

namespace moellava {

namespace {

// Where libtorch computes unless told otherwise; a stream that does not wait for it by itself must be made
// to.
const cudaStream_t kLibtorchStream = cudaStreamLegacy;

}  // namespace

class NcclCommunicator::UseGpu {
 public:
  explicit UseGpu(const NcclCommunicator& comm) {
    comm.check(cudaGetDevice(&before_), "current GPU");
    comm.check(cudaSetDevice(comm.gpu_), "choice of the GPU");
  }
  ~UseGpu() { cudaSetDevice(before_); }
  UseGpu(const UseGpu&) = delete;
  UseGpu& operator=(const UseGpu&) = delete;

 private:
  int before_ = 0;
};

NcclCommunicator::NcclCommunicator(std::unique_ptr<Communicator> host, int gpu, Pulse& pulse)
    : Communicator(host->rank(), host->size()), host_(std::move(host)), gpu_(gpu), pulse_(pulse) {
  const UseGpu use(*this);
  require_own_gpus();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
  check(cudaEventCreateWithFlags(&before_, cudaEventDisableTiming), "event");
  ncclUniqueId id{};
  if (rank() == 0) check(ncclGetUniqueId(&id), "id");
  host_->broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  ++pulse_.waiting;  // for all others
  check(ncclCommInitRank(&comm_, size(), id, rank()), "start");
  --pulse_.waiting;
}

NcclCommunicator::~NcclCommunicator() {
  int before = 0;
  cudaGetDevice(&before);
  cudaSetDevice(gpu_);
  // After a failure the others do not come to an orderly end.
  if (comm_ != nullptr) std::uncaught_exceptions() > 0 ? ncclCommAbort(comm_) : ncclCommDestroy(comm_);
  if (before_ != nullptr) cudaEventDestroy(before_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  cudaSetDevice(before);
}

void NcclCommunicator::check(ncclResult_t code, const char* operation) const {
  if (code == ncclSuccess) return;
  const std::string more = comm_ != nullptr ? ncclGetLastError(comm_) : "";
  throw make_error(ErrorKind::Io, rank_text(rank(), size()) + ", NCCL " + operation, "communication failed",
                   {.found = printable(ncclGetErrorString(code) + (more.empty() ? "" : ": " + more))});
}

void NcclCommunicator::check(cudaError_t code, const char* operation) const {
  if (code == cudaSuccess) return;
  throw make_error(ErrorKind::Io, rank_text(rank(), size()) + ", CUDA " + operation, "failed",
                   {.found = printable(cudaGetErrorString(code))});
}

void NcclCommunicator::require_own_gpus() const {
  char machine[256] = "", bus[32] = "";
  ::gethostname(machine, sizeof machine - 1);
  check(cudaDeviceGetPCIBusId(bus, sizeof bus, gpu_), "GPU's place");
  const std::string own = std::string(machine) + " " + bus;
  const auto all = all_gather_lists(*host_, std::vector<char>(own.begin(), own.end()));
  for (size_t r = 0; r < all.size(); ++r) {
    for (size_t q = 0; q < r; ++q) {
      if (all[q] != all[r]) continue;
      throw usage_error("--ddp_backend nccl", "two processes have one GPU",
                        {.found = "ranks " + std::to_string(q) + " and " + std::to_string(r),
                         .expected = "a GPU for each process",
                         .hint = "fewer processes, or --ddp_backend mpi"});
    }
  }
}

template <class Begin>
void NcclCommunicator::run(const char* operation, const Begin& begin) {
  const UseGpu use(*this);
  check(cudaEventRecord(before_, kLibtorchStream), operation);
  check(cudaStreamWaitEvent(stream_, before_, 0), operation);
  check(ncclGroupStart(), operation);
  begin();
  check(ncclGroupEnd(), operation);
  wait_until(pulse_, [&] {
    ncclResult_t failure = ncclSuccess;
    check(ncclCommGetAsyncError(comm_, &failure), operation);
    check(failure, operation);
    const cudaError_t state = cudaStreamQuery(stream_);
    if (state != cudaErrorNotReady) check(state, operation);
    return state == cudaSuccess;
  });
}

void NcclCommunicator::broadcast(std::span<std::byte> data, int root) {
  run("broadcast", [&] {
    check(ncclBroadcast(data.data(), data.data(), data.size(), ncclUint8, root, comm_, stream_), "broadcast");
  });
}

void NcclCommunicator::all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                                  std::span<const size_t> bytes) {
  run("all-gather", [&] {
    std::byte* to = all.data();
    for (size_t r = 0; r < bytes.size(); to += bytes[r], ++r) {
      if (bytes[r] == 0) continue;
      check(ncclBroadcast(own.data(), to, bytes[r], ncclUint8, static_cast<int>(r), comm_, stream_),
            "all-gather");
    }
  });
}

void NcclCommunicator::all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) {
  run("all-to-all", [&] {
    const std::byte* from = send.data();
    std::byte* to = receive.data();
    for (size_t r = 0; r < send_bytes.size(); from += send_bytes[r], to += receive_bytes[r], ++r) {
      const int peer = static_cast<int>(r);
      if (send_bytes[r] > 0)
        check(ncclSend(from, send_bytes[r], ncclUint8, peer, comm_, stream_), "all-to-all");
      if (receive_bytes[r] > 0)
        check(ncclRecv(to, receive_bytes[r], ncclUint8, peer, comm_, stream_), "all-to-all");
    }
  });
}

}  // namespace moellava
