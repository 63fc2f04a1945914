#include "model/moe/router.hpp"

#include <filesystem>

#include "base/json.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::golden;
using testing::load_golden;
using testing::random_tensor;

// DeepSpeed 0.9.5's own results on random logits.
TEST(Router, TheZLossIsTheMeanSquareOfTheLogarithmOfTheSum) {
  const at::Tensor logits = random_tensor({9, 4}, 61, at::kDouble) * 3;
  double expected = 0;
  for (int64_t t = 0; t < 9; ++t) {
    double sum = 0;
    for (int64_t e = 0; e < 4; ++e) sum += std::exp(logits[t][e].item<double>());
    expected += std::log(sum) * std::log(sum) / 9;
  }
  EXPECT_NEAR(router_z_loss(logits).item<double>(), expected, 1e-12);
  expect_gradient_matches([&] { return router_z_loss(logits); }, {logits});
}

TEST(Router, EqualsDeepSpeedOnAllGoldenCases) {
  const Json cases = read_json(golden("gating/cases.json"));
  ASSERT_GT(cases.size(), 40u);
  for (const Json& entry : cases) {
    const std::string name = entry["name"];
    SCOPED_TRACE(name);
    const std::string folder = "gating/" + name + "/";
    auto optional = [&](const char* file) {
      return std::filesystem::exists(golden(folder + file)) ? load_golden(folder + file) : at::Tensor();
    };
    const RouterOptions options{.top_k = entry["k"],
                                .capacity_factor = entry["capacity_factor"],
                                .min_capacity = entry["min_capacity"]};
    const Routing routing =
        route(load_golden(folder + "logits.npy"), options, optional("gumbel.npy"), optional("uniform.npy"));
    EXPECT_EQ(routing.capacity, entry["capacity"].get<int64_t>());
    EXPECT_NEAR(routing.balance_loss.item<double>(), entry["l_aux"].get<double>(), 1e-5);
    const at::Tensor combine = load_golden(folder + "combine.npy");
    EXPECT_LE((combine_weights(routing) - combine).abs().max().item<double>(), 2e-6);
    // A weight that underflows to 0 counts as not sent in the golden files, whatever its slot.
    const at::Tensor sent = combine > 0;
    const at::Tensor slot = load_golden(folder + "slot.npy").to(at::kInt);
    EXPECT_TRUE(buffer_slots(routing).masked_select(sent).equal(slot.masked_select(sent)));
    EXPECT_TRUE(((buffer_slots(routing) >= 0) & sent).equal(sent));
    const at::Tensor counts = at::one_hot(routing.expert.select(1, 0), combine.size(1)).sum(0);
    for (int64_t e = 0; e < counts.size(0); ++e)
      EXPECT_EQ(counts[e].item<int64_t>(), entry["exp_counts"][e].get<int64_t>());
  }
}

TEST(Router, CapacityIsRoundedUpAndBounded) {
  EXPECT_EQ(expert_capacity(6, 4, {.top_k = 2, .capacity_factor = 1.5}), 5);
  EXPECT_EQ(expert_capacity(6, 4, {.top_k = 2, .capacity_factor = 0.5}), 2);
  EXPECT_EQ(expert_capacity(6, 4, {.top_k = 1, .capacity_factor = 1.0}), 2);
  EXPECT_EQ(expert_capacity(1, 4, {.top_k = 2, .capacity_factor = 2.0}), 1);
  EXPECT_EQ(expert_capacity(4, 4, {.top_k = 2, .capacity_factor = 0.5, .min_capacity = 3}), 3);
}

TEST(Router, KeepsEarlierTokensAndAllFirstChoicesBeforeSecondOnes) {
  // Every token likes expert 0 first and 1 second, but the last, which likes 1 first and 0 second.
  const at::Tensor logits =
      at::tensor({3.f, 2.f, 0.f, 3.f, 2.f, 0.f, 3.f, 2.f, 0.f, 2.f, 3.f, 0.f}).view({4, 3});
  const Routing routing = route(logits, {.top_k = 2, .capacity_factor = 0.75});
  ASSERT_EQ(routing.capacity, 2);
  const at::Tensor expected = at::tensor({0, 1, 1, -1, -1, -1, 0, -1}, at::kLong).view({4, 2});
  EXPECT_TRUE(routing.slot.equal(expected)) << routing.slot;
  // A token that lost one choice gives the other everything; one that lost both gets nothing.
  EXPECT_NEAR(routing.weight[1][0].item<float>(), 1.0, 1e-6);
  EXPECT_EQ(routing.weight[2].sum().item<float>(), 0.0f);
}

TEST(Router, MoreThanTwoChoicesAreDistinctAndSumToOne) {
  const Routing routing = route(random_tensor({40, 6}, 1), {.top_k = 4, .drop_tokens = false});
  EXPECT_TRUE(routing.weight.sum(1).allclose(at::ones({40})));
  EXPECT_EQ(at::one_hot(routing.expert, 6).sum(1).max().item<int64_t>(), 1);
}

TEST(GumbelNoise, HasItsMeanAndVarianceAndIsApartByPlaceLayerAndSeed) {
  const at::Tensor noise = gumbel_noise(3, 0, 0, 25000, 4).to(at::kDouble);
  EXPECT_NEAR(noise.mean().item<double>(), 0.5772, 0.02);  // Euler's constant; standard error 0.004
  EXPECT_NEAR(noise.var().item<double>(), 1.6449, 0.05);   // pi^2 / 6; standard error 0.011
  const at::Tensor mean = noise.mean();
  for (const auto& other : {gumbel_noise(3, 0, 25000, 25000, 4), gumbel_noise(3, 1, 0, 25000, 4),
                            gumbel_noise(4, 0, 0, 25000, 4), noise.roll(1, 1)}) {
    const at::Tensor product = (noise - mean) * (other.to(at::kDouble) - mean);
    EXPECT_NEAR(product.mean().item<double>(), 0, 0.03);  // standard error 0.005
  }
}

TEST(GumbelNoise, DoesNotDependOnHowAConversationIsCutIntoPasses) {
  const at::Tensor whole = gumbel_noise(9, 2, 0, 12, 4);
  const at::Tensor parts =
      at::cat({gumbel_noise(9, 2, 0, 7, 4), gumbel_noise(9, 2, 7, 4, 4), gumbel_noise(9, 2, 11, 1, 4)});
  EXPECT_TRUE(whole.equal(parts));
}

// With Gumbel noise the second expert is drawn from the softmax over the experts that are left.
TEST(GumbelNoise, DrawsTheSecondExpertFromTheRest) {
  constexpr int64_t kTokens = 20000;
  const at::Tensor row = at::tensor({0.3f, 2.0f, -0.7f, 1.1f});
  const Routing routing = route(row.expand({kTokens, 4}), {.top_k = 2, .drop_tokens = false},
                                gumbel_noise(5, 1, 100, kTokens, 4));
  EXPECT_TRUE(routing.expert.select(1, 0).eq(1).all().item<bool>());
  at::Tensor rest = row.clone();
  rest[1] = -INFINITY;
  const at::Tensor expected = rest.softmax(0);
  const at::Tensor found = at::one_hot(routing.expert.select(1, 1), 4).to(at::kFloat).mean(0);
  EXPECT_LE((found - expected).abs().max().item<double>(), 4 * 0.5 / std::sqrt(kTokens));
  // Noise decides who is second, not with which weight.
  const at::Tensor pair = row.softmax(0).gather(0, routing.expert[0]);
  EXPECT_TRUE(routing.weight[0].allclose(pair / pair.sum()));
}

TEST(Router, GradientOfWeightsAndBalanceLoss) {
  const at::Tensor logits = random_tensor({6, 4}, 2, at::kDouble) * 3;  // far from ties
  const at::Tensor mix = random_tensor({6, 2}, 3, at::kDouble);
  for (int64_t top_k : {1, 2}) {
    const RouterOptions options{.top_k = top_k, .capacity_factor = 0.8};
    // route() works in float32; its arithmetic in float64 is what autograd sees through the softmax of a
    // double input.
    const at::Tensor leaf = logits.clone().requires_grad_(true);
    const Routing routing = route(leaf.to(at::kFloat), options);
    const at::Tensor value = (routing.weight * mix.narrow(1, 0, top_k)).sum() + routing.balance_loss;
    const at::Tensor gradient = torch::autograd::grad({value}, {leaf})[0];
    // The same value written out in float64 with the choices held fixed.
    const at::Tensor kept = routing.slot >= 0;
    const at::Tensor first = at::one_hot(routing.expert.select(1, 0), 4).to(at::kDouble).mean(0);
    auto plain = [&](const at::Tensor& z) {
      const at::Tensor gates = z.softmax(1);
      at::Tensor weight = gates.gather(1, routing.expert) * kept;
      if (top_k > 1) weight = weight / weight.sum(1, true).clamp_min(1e-7);
      return (weight * mix.narrow(1, 0, top_k)).sum() + (gates.mean(0) * first).sum() * 4;
    };
    const at::Tensor copy = logits.clone();
    expect_gradient_matches([&] { return plain(copy); }, {copy});
    const at::Tensor again = logits.clone().requires_grad_(true);
    EXPECT_LE((torch::autograd::grad({plain(again)}, {again})[0] - gradient).abs().max().item<double>(),
              1e-5);
  }
}

// Two samples with padding before the second and behind both: each as alone, in a part of the buffers of its
// own.
TEST(Router, SamplesAreRoutedAsEachAlone) {
  const at::Tensor logits = testing::random_tensor({12, 4}, 60);
  const SampleRows samples[] = {{.begin = 0, .count = 4}, {.begin = 6, .count = 5}};
  for (const double factor : {2.0, 0.5}) {
    SCOPED_TRACE(factor);
    const RouterOptions options{.top_k = 2, .capacity_factor = factor};
    const Routing together = route_samples(logits, samples, options);
    for (const SampleRows& sample : samples) {
      const Routing alone = route(logits.narrow(0, sample.begin, sample.count), options);
      const auto own = [&](const at::Tensor& all) { return all.narrow(0, sample.begin, sample.count); };
      EXPECT_TRUE(own(together.expert).equal(alone.expert));
      EXPECT_TRUE(own(together.weight).equal(alone.weight));
      EXPECT_TRUE(own(together.slot >= 0).equal(alone.slot >= 0));
      EXPECT_EQ((alone.slot < 0).any().item<bool>(), factor < 1);
    }
    for (const int64_t row : {4, 5, 11}) {
      EXPECT_TRUE(together.slot[row].eq(-1).all().item<bool>());
      EXPECT_TRUE(together.weight[row].eq(0).all().item<bool>());
    }
    // No place of an expert is given twice.
    const at::Tensor taken = (together.expert * 1000 + together.slot).masked_select(together.slot >= 0);
    EXPECT_EQ(std::get<0>(at::_unique(taken)).numel(), taken.numel());
  }
}

}  // namespace
}  // namespace moellava
