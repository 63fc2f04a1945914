// The processes of one run, and how bytes go from one to another. R processes, each with its rank 0..R-1.
// Nothing here knows what the bytes mean.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace moellava {

// Every operation is collective: all processes call the same ones in the same order, and each returns when
// its own part is done. Buffers are contiguous and lie in host memory, or all in that of the GPU which the
// communicator is for. A failure throws Io naming the rank; a process that died or stands still ends all
// (comm/watchdog.hpp).
class Communicator {
 public:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  virtual void barrier() = 0;
  // Everybody's `data` becomes that of rank `root`.
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  // `all` gets the parts of all ranks in their order; rank r gives bytes[r] ([R], the same everywhere).
  virtual void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                          std::span<const size_t> bytes) = 0;
  // `send` holds a part for each rank in order, of send_bytes[r] ([R]); `receive` gets those from each rank.
  virtual void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                          std::span<std::byte> receive, std::span<const size_t> receive_bytes) = 0;
  // The processes that name the same `colour`, in the order of their ranks. Operations of two communicators
  // do not mix, so that two threads may work at once, each with its own.
  virtual std::unique_ptr<Communicator> split(int colour) = 0;
  // One of the same processes whose buffers lie in the memory of this process's GPU, `gpu` in CUDA's numbers:
  // NCCL. Throws Usage where it was not built in.
  virtual std::unique_ptr<Communicator> on_gpu(int gpu) = 0;

 private:
  int rank_;
  int size_;
};

// One process by itself: nothing leaves it.
class SingleProcess : public Communicator {
 public:
  SingleProcess() : Communicator(0, 1) {}
  void barrier() override {}
  void broadcast(std::span<std::byte> data, int root) override;
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all,
                  std::span<const size_t> bytes) override;
  void all_to_all(std::span<const std::byte> send, std::span<const size_t> send_bytes,
                  std::span<std::byte> receive, std::span<const size_t> receive_bytes) override;
  std::unique_ptr<Communicator> split(int colour) override;
  std::unique_ptr<Communicator> on_gpu(int gpu) override;  // never: there is nobody to send to
};

}  // namespace moellava
