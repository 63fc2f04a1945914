// The communicator over NCCL, for the memory of NVIDIA GPUs: one GPU a process. Only where MOELLAVA_CUDA is
// on, and only comm/ includes this: it brings <nccl.h>.
#pragma once

#include <nccl.h>

#include <string>

#include "comm/communicator.hpp"
#include "comm/pulse.hpp"

namespace moellava {

class NcclCommunicator : public Communicator {
 public:
  // Of the processes of `host`, of which every one has a GPU, `gpu` in CUDA's numbers, to itself; collective.
  // `pulse` must outlive it. Throws Usage when two have the same, and Io with NCCL's own words.
  NcclCommunicator(std::unique_ptr<Communicator> host, int gpu, Pulse& pulse);
  ~NcclCommunicator() override;

  void barrier() override { host_->barrier(); }
  void broadcast(std::span<std::byte> data, int root) override;
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                  std::span<const size_t> bytes) override;
  void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) override;
  std::unique_ptr<Communicator> split(int colour) override { return host_->split(colour)->on_gpu(gpu_); }
  std::unique_ptr<Communicator> on_gpu(int gpu) override { return host_->on_gpu(gpu); }

 private:
  // While it lives, CUDA's calls of this thread mean that GPU.
  class UseGpu;

  void require_own_gpus() const;
  // Throws unless `code` is 0.
  void check(ncclResult_t code, const char* operation) const;
  void check(cudaError_t code, const char* operation) const;
  // What `begin` gives NCCL to do on stream_, behind all that libtorch has given the GPU so far; returns when
  // it is done.
  template <class Begin>
  void run(const char* operation, const Begin& begin);

  std::unique_ptr<Communicator> host_;
  int gpu_;
  Pulse& pulse_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t before_ = nullptr;
};

}  // namespace moellava
