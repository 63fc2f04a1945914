// Runs as one process, and under mpirun as 2 and 3: every process knows what the others compute.
#include "train/data_parallel.hpp"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "nn/linear.hpp"
#include "tests/mpi_processes.hpp"
#include "tests/pretend_device.hpp"
#include "tests/pretend_processes.hpp"

namespace moellava {
namespace {

using testing::all_processes;
using testing::kPretendDevice;

constexpr size_t kAccumulation = 2;
constexpr int64_t kBucket = 7;  // far less than some parameters, more than others

std::vector<NamedParameter> make_parameters(at::Device device = at::kCPU) {
  const at::NoGradGuard no_grad;
  std::vector<NamedParameter> parameters;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{3, 5}, {2}, {4, 4}, {1}}) {
    constexpr const char* kNames[] = {"p0", "p1", "p2", "p3"};
    const auto number = parameters.size();
    at::Tensor tensor = at::empty(shape);
    fill_uniform(tensor, 1, 5, number);
    parameters.push_back({kNames[number], tensor.to(device)});
  }
  for (NamedParameter& parameter : parameters) parameter.tensor.set_requires_grad(true);
  return parameters;
}

// Of micro-batch `number`; every third one leaves the second parameter out, none needs the last.
at::Tensor loss_of(const std::vector<NamedParameter>& parameters, size_t number) {
  at::Tensor mix = at::empty({16});
  fill_uniform(mix, 1, 6, number);
  const auto part = [&](const at::Tensor& tensor) {
    return (tensor.flatten().sin() * mix.narrow(0, 0, tensor.numel()).to(tensor.device())).sum();
  };
  at::Tensor loss = part(parameters[0].tensor) + part(parameters[2].tensor);
  if (number % 3 != 0) loss = loss + part(parameters[1].tensor);
  return loss;
}

size_t micro_batches() {
  return kAccumulation * static_cast<size_t>(all_processes().size());
}

// [P] the sum of all micro-batches' gradients, one after the other in one process.
std::vector<std::vector<float>> expected_sums() {
  std::vector<NamedParameter> parameters = make_parameters();
  std::vector<std::vector<std::vector<float>>> gradients(parameters.size());  // [P][micro-batches]
  for (size_t number = 0; number < micro_batches(); ++number) {
    loss_of(parameters, number).backward();
    for (size_t p = 0; p < parameters.size(); ++p) {
      at::Tensor& gradient = parameters[p].tensor.mutable_grad();
      const at::Tensor values =
          gradient.defined() ? gradient.clone() : at::zeros_like(parameters[p].tensor.detach());
      const auto* first = static_cast<const float*>(values.const_data_ptr());
      gradients[p].emplace_back(first, first + values.numel());
      gradient.reset();
    }
  }
  std::vector<std::vector<float>> sums;
  for (auto& of_parameter : gradients) {
    std::vector<at::Tensor> parts;
    for (std::vector<float>& values : of_parameter) parts.push_back(at::tensor(values));
    sum_in_tree(parts);
    const auto* first = parts[0].const_data_ptr<float>();
    sums.emplace_back(first, first + parts[0].numel());
  }
  return sums;
}

void compute(DataParallel& parallel) {
  const Share own = share_of(micro_batches(), kAccumulation, all_processes().rank());
  parallel.clear_gradients();
  for (size_t i = own.begin; i < own.end; ++i)
    parallel.backward(loss_of(parallel.parameters(), i), i + 1 == own.end);
  parallel.finish_gradients();
}

// Where the parameters are, and where values lie between processes.
struct Place {
  at::Device parameters, memory;
};
const Place kPlaces[] = {{at::kCPU, at::kCPU}, {kPretendDevice, at::kCPU}, {kPretendDevice, kPretendDevice}};

void expect_gradients_of_all_micro_batches(const Place& place) {
  testing::ProcessesWithPretendGpus processes(all_processes());
  DataParallel parallel(processes, make_parameters(place.parameters),
                        {.bucket = kBucket, .memory = place.memory});
  const auto expected = expected_sums();
  for (int step = 0; step < 3; ++step) {
    compute(parallel);
    for (size_t p = 0; p < expected.size(); ++p) {
      const at::Tensor gradient = parallel.parameters()[p].tensor.grad();
      const bool own = parallel.owns(p);
      if (all_processes().size() == 1 && p == 3) {
        EXPECT_FALSE(gradient.defined());
      } else {
        ASSERT_EQ(gradient.defined(), own) << p;
      }
      if (!gradient.defined()) continue;
      EXPECT_EQ(gradient.device(), place.parameters);
      const at::Tensor here = gradient.cpu();
      const auto* values = static_cast<const float*>(here.const_data_ptr());
      EXPECT_EQ(std::vector<float>(values, values + here.numel()), expected[p]) << p;
    }
  }
}

TEST(DataParallel, OwnersGetTheGradientOfAllMicroBatchesToTheBit) {
  for (const Place& place : kPlaces) expect_gradients_of_all_micro_batches(place);
}

TEST(DataParallel, TheNormIsThatOfOneProcessAndNamesWhatIsNotFinite) {
  DataParallel parallel(all_processes(), make_parameters(), {.bucket = kBucket});
  compute(parallel);
  std::vector<NamedParameter> alone = make_parameters();
  const auto sums = expected_sums();
  for (size_t p = 0; p < alone.size(); ++p)
    alone[p].tensor.mutable_grad() = at::tensor(sums[p]).view(alone[p].tensor.sizes());
  EXPECT_EQ(parallel.norm().norm, join_norms(parallel.all_names(), gradient_norms(alone)).norm);
  EXPECT_EQ(parallel.norm().not_finite, "");
  for (const NamedParameter& parameter : parallel.owned()) {
    if (parameter.name == "p2") parameter.tensor.mutable_grad().fill_(NAN);
  }
  EXPECT_EQ(parallel.norm().not_finite, "p2");
}

void expect_owners_values(const Place& place) {
  testing::ProcessesWithPretendGpus processes(all_processes());
  DataParallel parallel(processes, make_parameters(place.parameters),
                        {.bucket = kBucket, .memory = place.memory});
  std::vector<at::Tensor> state;
  for (const NamedParameter& parameter : parallel.owned()) {
    const at::NoGradGuard no_grad;
    parameter.tensor.detach().add_(1);
    state.push_back(parameter.tensor.detach() * 2);
  }
  parallel.share_parameters();
  const std::vector<NamedParameter> before = make_parameters(place.parameters);
  for (size_t p = 0; p < before.size(); ++p)
    EXPECT_TRUE(parallel.parameters()[p].tensor.equal(before[p].tensor + 1)) << p;
  std::vector<at::Tensor> whole;
  for (const NamedParameter& parameter : before) whole.push_back(at::zeros_like(parameter.tensor.detach()));
  parallel.gather(state, whole);
  if (all_processes().rank() != 0) return;
  for (size_t p = 0; p < before.size(); ++p) EXPECT_TRUE(whole[p].equal((before[p].tensor + 1) * 2)) << p;
}

TEST(DataParallel, EverybodyGetsTheOwnersValuesAndTheFirstTheirState) {
  for (const Place& place : kPlaces) expect_owners_values(place);
}

TEST(DataParallel, SharesAreBlocks) {
  const auto share = [](size_t micro_batches, int rank) {
    const Share own = share_of(micro_batches, 2, rank);
    return std::pair(own.begin, own.end);
  };
  EXPECT_EQ(share(4, 0), std::pair(size_t{0}, size_t{2}));
  EXPECT_EQ(share(4, 1), std::pair(size_t{2}, size_t{4}));
  EXPECT_EQ(share(3, 1), std::pair(size_t{2}, size_t{3}));  // the last step of an epoch
  EXPECT_EQ(share(1, 1), std::pair(size_t{1}, size_t{1}));
}

}  // namespace
}  // namespace moellava
