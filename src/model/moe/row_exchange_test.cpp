// Runs as one process, and under mpirun as 2 and 4: every process computes for itself what the others do too.
#include "model/moe/row_exchange.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "model/moe/moe_layer.hpp"
#include "tests/mpi_processes.hpp"
#include "tests/pretend_device.hpp"
#include "tests/pretend_processes.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::all_processes;
using testing::random_tensor;

constexpr int64_t kWidth = 8, kExperts = 4;

MoeLayer make_layer(at::Device device = at::kCPU) {
  MoeLayer layer({.experts = kExperts, .top_k = 2, .capacity_factor = 1.0}, {.width = kWidth, .inner = 6});
  uint64_t stream = 0;
  layer.visit("", [&](const std::string&, at::Tensor& tensor) {
    const at::NoGradGuard no_grad;
    fill_uniform(tensor, 0.5, 3, stream++);
    tensor = tensor.to(device).set_requires_grad(true);
  });
  return layer;
}

bool is_here(size_t expert) {
  return expert * static_cast<size_t>(all_processes().size()) / kExperts ==
         static_cast<size_t>(all_processes().rank());
}

// The rows of one process; how many depends on the process, and the second one's need no gradient.
at::Tensor rows_of(int rank, at::Device device = at::kCPU) {
  return random_tensor({10 + 3 * rank, kWidth}, 20 + static_cast<uint64_t>(rank))
      .to(device)
      .requires_grad_(rank != 1);
}

at::Tensor loss_of(const at::Tensor& hidden, int rank) {
  const at::Tensor weights = random_tensor(hidden.sizes().vec(), 40 + static_cast<uint64_t>(rank));
  return (hidden * weights.to(hidden.device())).sum();
}

std::vector<at::Tensor> gradients_of(FeedForward& expert) {
  std::vector<at::Tensor> gradients;
  expert.visit("", [&](const std::string&, at::Tensor& tensor) {
    gradients.push_back(tensor.grad().defined() ? tensor.grad() : at::zeros_like(tensor.detach()));
  });
  return gradients;
}

// To the bit on the processor, where all are computed in one way.
bool alike(const at::Tensor& found, const at::Tensor& expected) {
  return found.is_cpu() ? found.equal(expected) : found.cpu().allclose(expected, 1e-5, 1e-6);
}

void expect_spread_experts_compute_the_same(at::Device device, at::Device memory) {
  MoeRun run;
  run.training = true;
  // All in one process.
  MoeLayer whole = make_layer();
  const int rank = all_processes().rank();
  at::Tensor expected, expected_gradient;
  for (int r = 0; r < all_processes().size(); ++r) {
    const at::Tensor rows = rows_of(r);
    const MoeOutput output = whole(rows, run, {});
    EXPECT_TRUE((output.routing.slot < 0).any().item<bool>());  // some are dropped
    torch::autograd::backward({loss_of(output.hidden, r)}, {});
    if (r != rank) continue;
    expected = output.hidden.detach();
    expected_gradient = rows.grad();
  }
  // Each its own.
  MoeLayer spread = make_layer(device);
  for (size_t e = 0; e < spread.experts.size(); ++e) {
    if (!is_here(e)) spread.experts[e] = FeedForward();
  }
  testing::ProcessesWithPretendGpus processes(all_processes());
  const TensorCommunicator spread_over(processes, memory);
  run.expert_processes = &spread_over;
  const at::Tensor rows = rows_of(rank, device);
  const MoeOutput output = spread(rows, run, {});
  torch::autograd::backward({loss_of(output.hidden, rank)}, {});

  EXPECT_TRUE(alike(output.hidden, expected));
  ASSERT_EQ(rows.grad().defined(), expected_gradient.defined());
  EXPECT_TRUE(!rows.grad().defined() || alike(rows.grad(), expected_gradient));
  for (size_t e = 0; e < spread.experts.size(); ++e) {
    if (!is_here(e)) continue;
    const auto found = gradients_of(spread.experts[e]);
    const auto sums = gradients_of(whole.experts[e]);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].cpu().allclose(sums[i], 1e-5, 1e-6)) << e;
  }
}

TEST(RowExchange, SpreadExpertsComputeWhatTheyDoInOneProcess) {
  expect_spread_experts_compute_the_same(at::kCPU, at::kCPU);
  expect_spread_experts_compute_the_same(testing::kPretendDevice, at::kCPU);
  expect_spread_experts_compute_the_same(testing::kPretendDevice, testing::kPretendDevice);
}

TEST(RowExchange, ExpertsOfOthersAreNotVisited) {
  MoeLayer layer = make_layer();
  layer.experts[1] = FeedForward();
  int experts = 0;
  layer.visit("mlp", [&](const std::string& name, at::Tensor&) {
    if (name.find("deepspeed_experts.1.") != std::string::npos) ADD_FAILURE() << name;
    experts += name.find("up_proj") != std::string::npos;
  });
  EXPECT_EQ(experts, kExperts - 1);
}

}  // namespace
}  // namespace moellava
