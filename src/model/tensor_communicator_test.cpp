// Runs as one process, and under mpirun as 2 and 4: every process knows what the others have.
#include "model/tensor_communicator.hpp"

#include "tests/mpi_processes.hpp"
#include "tests/pretend_device.hpp"
#include "tests/pretend_processes.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::all_processes;
using testing::kPretendDevice;
using testing::random_tensor;

// Where values may be, and where they may lie on their way.
struct Place {
  at::Device values, memory;
};
const Place kPlaces[] = {{at::kCPU, at::kCPU}, {kPretendDevice, at::kCPU}, {kPretendDevice, kPretendDevice}};

class TensorCommunicatorTest : public ::testing::TestWithParam<Place> {
 protected:
  size_t ranks() const { return static_cast<size_t>(processes_.size()); }
  size_t rank() const { return static_cast<size_t>(processes_.rank()); }
  at::Tensor there(const at::Tensor& values) const { return values.to(GetParam().values); }
  // Back from where values are.
  at::Tensor here(const at::Tensor& values) const {
    EXPECT_EQ(values.device(), GetParam().values);
    return values.cpu();
  }

  testing::ProcessesWithPretendGpus processes_{all_processes()};
  const TensorCommunicator comm_{processes_, GetParam().memory};
};

TEST_P(TensorCommunicatorTest, AllToAllMovesRows) {
  // From rank r to rank q go r + q rows of two numbers 10 r + q.
  std::vector<at::Tensor> sent, expected;
  std::vector<int64_t> counts;
  for (size_t q = 0; q < ranks(); ++q) {
    counts.push_back(static_cast<int64_t>(rank() + q));
    sent.push_back(at::full({counts.back(), 2}, static_cast<double>(10 * rank() + q)));
    expected.push_back(at::full({counts.back(), 2}, static_cast<double>(10 * q + rank())));
  }
  const at::Tensor received = comm_.all_to_all(there(at::cat(sent)), counts, counts);
  EXPECT_TRUE(here(received).equal(at::cat(expected)));
  // Of any type, and not contiguous.
  const at::Tensor numbers = at::arange(static_cast<int64_t>(2 * ranks())).view({2, -1}).t();
  const std::vector<int64_t> one(ranks(), 1);
  EXPECT_TRUE(here(comm_.all_to_all(there(numbers), one, one))
                  .equal(numbers[static_cast<int64_t>(rank())].expand({static_cast<int64_t>(ranks()), 2})));
}

TEST_P(TensorCommunicatorTest, AllGatherJoinsPartsOfAnySize) {
  std::vector<at::Tensor> parts;
  std::vector<int64_t> counts;
  for (size_t r = 0; r < ranks(); ++r) {
    counts.push_back(static_cast<int64_t>(r));
    parts.push_back(random_tensor({counts.back(), 3}, r));
  }
  EXPECT_TRUE(here(comm_.all_gather(there(parts[rank()]), counts)).equal(at::cat(parts)));
}

// The sum over ranks has the bits of the sum in one process.
TEST_P(TensorCommunicatorTest, SumsAddInOneOrderWhereverThePartsAre) {
  for (const int64_t count : {1, 5, 1000, 100003}) {
    std::vector<at::Tensor> parts;
    for (size_t r = 0; r < ranks(); ++r) parts.push_back(random_tensor({count}, r));
    const at::Tensor mine = parts[rank()].clone();
    sum_in_tree(parts);
    std::vector<int64_t> counts(ranks(), 0);
    counts.back() = count - count / 2;
    counts.front() += count / 2;
    const at::Tensor own = here(comm_.reduce_scatter(there(mine), counts));
    const std::vector<at::Tensor> expected = parts[0].split_with_sizes(counts);
    EXPECT_TRUE(own.equal(expected[rank()])) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Places, TensorCommunicatorTest, ::testing::ValuesIn(kPlaces), [](const auto& place) {
  return std::string(place.param.values.is_cpu() ? "Processor" : "Device") +
         (place.param.memory.is_cpu() ? "OverHost" : "OverDevice");
});

TEST(SumInTree, IsAddedUpByPairs) {
  // 1 + 1e8 - 1e8 in float32: 0 from the left, 1 when the pair comes first.
  const std::vector<at::Tensor> four = {at::tensor({1e8f}), at::tensor({-1e8f}), at::tensor({1.f}),
                                        at::tensor({0.f})};
  sum_in_tree(four);
  EXPECT_EQ(four[0].item<float>(), 1);
  const std::vector<at::Tensor> three = {at::tensor({1e8f}), at::tensor({1.f}), at::tensor({-1e8f})};
  sum_in_tree(three);
  EXPECT_EQ(three[0].item<float>(), 0);
}

}  // namespace
}  // namespace moellava
