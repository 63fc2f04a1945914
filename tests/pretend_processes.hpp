// Processes whose GPU is tests/pretend_device: what is sent from its memory and to it goes over MPI, as NCCL
// would take it, and a buffer of the processor's faults.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "comm/communicator.hpp"

namespace moellava::testing {

// The pages of the pretend device's memory that hold `bytes`, open while this lives.
class OpenedBytes {
 public:
  explicit OpenedBytes(std::span<const std::byte> bytes) {
    const auto page = static_cast<uintptr_t>(::getpagesize());
    const auto first = reinterpret_cast<uintptr_t>(bytes.data()) / page * page;
    begin_ = reinterpret_cast<void*>(first);
    if (!bytes.empty()) size_ = reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size() - first;
    if (size_ > 0) ::mprotect(begin_, size_, PROT_READ | PROT_WRITE);
  }
  ~OpenedBytes() {  // leaves memory of the processor unreadable: the test ends there
    if (size_ > 0) ::mprotect(begin_, size_, PROT_NONE);
  }
  OpenedBytes(const OpenedBytes&) = delete;
  OpenedBytes& operator=(const OpenedBytes&) = delete;

 private:
  void* begin_ = nullptr;
  size_t size_ = 0;
};

class PretendGpuProcesses : public Communicator {
 public:
  explicit PretendGpuProcesses(std::unique_ptr<Communicator> host)
      : Communicator(host->rank(), host->size()), host_(std::move(host)) {}

  void barrier() override { host_->barrier(); }
  void broadcast(std::span<std::byte> data, int root) override {
    const OpenedBytes opened(data);
    host_->broadcast(data, root);
  }
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                  std::span<const size_t> bytes) override {
    const OpenedBytes from(own), to(all);
    host_->all_gather(own, all, bytes);
  }
  void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) override {
    const OpenedBytes from(send), to(receive);
    host_->all_to_all(send, send_bytes, receive, receive_bytes);
  }
  std::unique_ptr<Communicator> split(int colour) override {
    return std::make_unique<PretendGpuProcesses>(host_->split(colour));
  }
  std::unique_ptr<Communicator> on_gpu(int gpu) override { return host_->on_gpu(gpu); }

 private:
  std::unique_ptr<Communicator> host_;
};

// `host`'s own operations, and that GPU. `host` must outlive it.
class ProcessesWithPretendGpus : public Communicator {
 public:
  explicit ProcessesWithPretendGpus(Communicator& host)
      : Communicator(host.rank(), host.size()), host_(host) {}

  void barrier() override { host_.barrier(); }
  void broadcast(std::span<std::byte> data, int root) override { host_.broadcast(data, root); }
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                  std::span<const size_t> bytes) override {
    host_.all_gather(own, all, bytes);
  }
  void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) override {
    host_.all_to_all(send, send_bytes, receive, receive_bytes);
  }
  std::unique_ptr<Communicator> split(int colour) override { return host_.split(colour); }
  std::unique_ptr<Communicator> on_gpu(int /*gpu*/) override {
    return std::make_unique<PretendGpuProcesses>(host_.split(0));
  }

 private:
  Communicator& host_;
};

}  // namespace moellava::testing
