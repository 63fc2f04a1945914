// Runs as one process, and under mpirun as 2, 3 and 4: with tests/pretend_nccl.cpp in place of NCCL
// (nccl_test), and with NCCL itself where every process finds a GPU of its own (nccl_gpu_test).
#include "comm/nccl_communicator.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "base/error.hpp"
#include "tests/mpi_processes.hpp"

namespace moellava {
namespace {

Communicator& all() {
  return testing::all_processes();
}

int own_gpu() {
  return detect_launch(std::getenv).local_rank;
}

// Numbers in the memory of the GPU.
class OnGpu {
 public:
  explicit OnGpu(const std::vector<int64_t>& numbers) : count_(numbers.size()) {
    cudaSetDevice(own_gpu());
    EXPECT_EQ(cudaMalloc(&memory_, std::max<size_t>(bytes(), 1)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(memory_, numbers.data(), bytes(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~OnGpu() { cudaFree(memory_); }
  OnGpu(const OnGpu&) = delete;
  OnGpu& operator=(const OnGpu&) = delete;

  std::span<std::byte> span() { return {static_cast<std::byte*>(memory_), bytes()}; }
  std::vector<int64_t> numbers() const {
    std::vector<int64_t> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), memory_, bytes(), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  size_t bytes() const { return count_ * sizeof(int64_t); }

  size_t count_;
  void* memory_ = nullptr;
};

class Nccl : public ::testing::Test {
 protected:
  void SetUp() override {
    int gpus = 0;
    if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus < detect_launch(std::getenv).local_size)
      GTEST_SKIP() << "no GPU for each process";
    if (detect_launch(std::getenv).by == Launcher::None) GTEST_SKIP() << "not under mpirun";
  }
};

// Rank r's part has r + 1 numbers, all 10 times `round` plus r.
void expect_gathered(Communicator& comm, int64_t round) {
  std::vector<int64_t> expected;
  std::vector<size_t> bytes;
  for (int r = 0; r < comm.size(); ++r) {
    expected.insert(expected.end(), static_cast<size_t>(r + 1), 10 * round + r);
    bytes.push_back(static_cast<size_t>(r + 1) * sizeof(int64_t));
  }
  OnGpu own(std::vector<int64_t>(static_cast<size_t>(comm.rank() + 1), 10 * round + comm.rank()));
  OnGpu gathered(std::vector<int64_t>(expected.size(), -1));
  comm.all_gather(own.span(), gathered.span(), bytes);
  EXPECT_EQ(gathered.numbers(), expected);
}

TEST_F(Nccl, BroadcastGivesTheRootsBytesToAll) {
  const auto comm = all().on_gpu(own_gpu());
  EXPECT_EQ(comm->rank(), all().rank());
  EXPECT_EQ(comm->size(), all().size());
  for (int root = 0; root < comm->size(); ++root) {
    OnGpu value({100 + comm->rank(), 7});
    comm->broadcast(value.span(), root);
    EXPECT_EQ(value.numbers(), (std::vector<int64_t>{100 + root, 7}));
  }
  comm->barrier();
}

TEST_F(Nccl, AllGatherTakesPartsOfAnySize) {
  const auto comm = all().on_gpu(own_gpu());
  for (int64_t round = 0; round < 20; ++round) expect_gathered(*comm, round);
}

TEST_F(Nccl, AllToAllSendsEachPartToItsRank) {
  const auto comm = all().on_gpu(own_gpu());
  const auto ranks = static_cast<size_t>(comm->size()), rank = static_cast<size_t>(comm->rank());
  // From rank r to rank q go r * q numbers 10 r + q: some parts are empty.
  std::vector<int64_t> sent, expected;
  std::vector<size_t> send, receive;
  for (size_t q = 0; q < ranks; ++q) {
    sent.insert(sent.end(), rank * q, static_cast<int64_t>(10 * rank + q));
    expected.insert(expected.end(), q * rank, static_cast<int64_t>(10 * q + rank));
    send.push_back(rank * q * sizeof(int64_t));
    receive.push_back(q * rank * sizeof(int64_t));
  }
  OnGpu from(sent), to(std::vector<int64_t>(expected.size(), -1));
  comm->all_to_all(from.span(), send, to.span(), receive);
  EXPECT_EQ(to.numbers(), expected);
}

TEST_F(Nccl, GroupsWorkApartAndTwoThreadsEachWithItsOwn) {
  const auto group = all().split(all().rank() % 2)->on_gpu(own_gpu());
  const auto part = all().on_gpu(own_gpu())->split(all().rank() % 2);
  EXPECT_EQ(part->size(), group->size());
  const auto work = [](Communicator& comm, int64_t begin) {
    for (int64_t round = begin; round < begin + 20; ++round) expect_gathered(comm, round);
  };
  std::thread other([&] { work(*part, 1000); });
  work(*group, 0);
  other.join();
}

TEST_F(Nccl, TwoProcessesWithOneGpuAreRefused) {
  if (all().size() == 1) GTEST_SKIP() << "one process";
  try {
    all().on_gpu(0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_NE(std::string(error.what()).find("ranks 0 and 1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace moellava
