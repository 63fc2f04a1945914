// Stands in for NCCL and the CUDA runtime in tests of comm/nccl_communicator where there are no GPUs: what it
// uses of both, with host memory as that of a GPU and MPI as what connects them. Operations go on after they
// were begun, until somebody asks for their stream. What a real GPU would not forgive fails here, too: an
// operation that does not wait for libtorch's stream, that stands in no group, or is given the wrong GPU.
#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

struct CUstream_st {
  int gpu;
  bool behind_libtorch = false;  // since the last operation
  std::vector<MPI_Request> pending;
};

struct CUevent_st {
  bool recorded = false;  // in libtorch's stream
};

struct ncclComm {
  int gpu;
  int tag;                      // of its messages
  std::vector<int> world_rank;  // of each of its ranks
  int rank;
};

namespace {

thread_local int current_gpu = 0;
thread_local bool in_group = false;
thread_local std::vector<std::function<void()>> group;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "pretend NCCL: %s\n", what);
  std::abort();
}

int own_world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

// Of what ncclGetUniqueId() makes.
struct Id {
  int root, tag;
};

void add_to_group(ncclComm_t comm, cudaStream_t stream, std::function<void()> operation) {
  require(in_group, "an operation outside of a group");
  require(current_gpu == comm->gpu && stream->gpu == comm->gpu, "an operation on another GPU");
  require(stream->behind_libtorch, "an operation that does not wait for libtorch's stream");
  group.push_back([stream, run = std::move(operation)] {
    run();
    stream->behind_libtorch = false;
  });
}

void begin_send(const void* data, size_t bytes, int peer, ncclComm_t comm, cudaStream_t stream) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, comm->world_rank.at(static_cast<size_t>(peer)),
            comm->tag, MPI_COMM_WORLD, &request);
  stream->pending.push_back(request);
}

void begin_receive(void* data, size_t bytes, int peer, ncclComm_t comm, cudaStream_t stream) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, comm->world_rank.at(static_cast<size_t>(peer)),
            comm->tag, MPI_COMM_WORLD, &request);
  stream->pending.push_back(request);
}

}  // namespace

// --- CUDA ----------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 64;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* gpu) {
  *gpu = current_gpu;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int gpu) {
  current_gpu = gpu;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int gpu) {
  std::snprintf(id, static_cast<size_t>(length), "0000:%02x:00.0", static_cast<unsigned>(gpu));
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t /*code*/) {
  return "pretended failure";
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind /*kind*/) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  require(flags == cudaStreamNonBlocking, "a stream that holds libtorch's up");
  *stream = new CUstream_st{.gpu = current_gpu, .behind_libtorch = false, .pending = {}};
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  int done = 0;
  MPI_Testall(static_cast<int>(stream->pending.size()), stream->pending.data(), &done, MPI_STATUSES_IGNORE);
  if (done == 0) return cudaErrorNotReady;
  stream->pending.clear();
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->recorded = stream == cudaStreamLegacy;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  stream->behind_libtorch = event->recorded;
  event->recorded = false;
  return cudaSuccess;
}

// --- NCCL ----------------------------------------------------------------------------------------

const char* ncclGetErrorString(ncclResult_t /*code*/) {
  return "pretended failure";
}
const char* ncclGetLastError(ncclComm_t /*comm*/) {
  return "";
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t /*comm*/, ncclResult_t* failure) {
  *failure = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int made = 0;
  const Id own{.root = own_world_rank(), .tag = 1000 + 100 * own_world_rank() + made++};
  std::memcpy(id->internal, &own, sizeof own);
  return ncclSuccess;
}

// The root learns which process is which rank, and tells all.
ncclResult_t ncclCommInitRank(ncclComm_t* made, int size, ncclUniqueId id, int rank) {
  Id known{};
  std::memcpy(&known, id.internal, sizeof known);
  std::vector<int> world_rank(static_cast<size_t>(size));
  const int self = own_world_rank();
  if (rank == 0) {
    require(known.root == self, "an id of another process");
    world_rank[0] = self;
    for (int i = 1; i < size; ++i) {
      MPI_Status status;
      int other = 0;
      MPI_Recv(&other, 1, MPI_INT, MPI_ANY_SOURCE, known.tag, MPI_COMM_WORLD, &status);
      world_rank.at(static_cast<size_t>(other)) = status.MPI_SOURCE;
    }
    for (int i = 1; i < size; ++i)
      MPI_Send(world_rank.data(), size, MPI_INT, world_rank[static_cast<size_t>(i)], known.tag,
               MPI_COMM_WORLD);
  } else {
    MPI_Send(&rank, 1, MPI_INT, known.root, known.tag, MPI_COMM_WORLD);
    MPI_Recv(world_rank.data(), size, MPI_INT, known.root, known.tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  *made = new ncclComm{.gpu = current_gpu, .tag = known.tag, .world_rank = world_rank, .rank = rank};
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  return ncclCommDestroy(comm);
}

ncclResult_t ncclGroupStart() {
  require(!in_group, "a group in a group");
  in_group = true;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  require(in_group, "the end of no group");
  for (const auto& operation : group) operation();
  group.clear();
  in_group = false;
  return ncclSuccess;
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t /*type*/, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  add_to_group(comm, stream, [=] { begin_send(data, count, peer, comm, stream); });
  return ncclSuccess;
}
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t /*type*/, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  add_to_group(comm, stream, [=] { begin_receive(data, count, peer, comm, stream); });
  return ncclSuccess;
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t /*type*/, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  add_to_group(comm, stream, [=] {
    if (comm->rank != root) return begin_receive(to, count, root, comm, stream);
    if (to != from) std::memmove(to, from, count);
    for (int peer = 0; peer < static_cast<int>(comm->world_rank.size()); ++peer) {
      if (peer != root) begin_send(to, count, peer, comm, stream);
    }
  });
  return ncclSuccess;
}
