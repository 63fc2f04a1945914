#include "model/moe/moe_layer.hpp"

#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

constexpr int64_t kWidth = 6;
const FeedForwardConfig kExpert{
    .width = kWidth, .inner = 8, .gated = true, .bias = true, .activation = Activation::Silu};

MoeLayer make_layer(const MoeLayerConfig& config, at::ScalarType dtype = at::kFloat) {
  MoeLayer layer(config, kExpert);
  uint64_t stream = 50;
  layer.visit("", [&](const std::string& name, at::Tensor& tensor) {
    // The router stays float32 in every model.
    const bool router = name.find(".wg.") != std::string::npos;
    tensor = random_tensor(tensor.sizes(), ++stream, router ? at::kFloat : dtype);
  });
  return layer;
}

void make_experts_equal(MoeLayer& layer) {
  for (FeedForward& expert : layer.experts) expert = layer.experts[0];
}

// The plain version: every token through each of its experts by itself.
at::Tensor naive(const MoeLayer& layer, const at::Tensor& x, const Routing& routing) {
  at::Tensor y = at::zeros_like(x);
  for (int64_t t = 0; t < x.size(0); ++t) {
    for (int64_t k = 0; k < routing.expert.size(1); ++k) {
      if (routing.slot[t][k].item<int64_t>() < 0) continue;
      const auto expert = static_cast<size_t>(routing.expert[t][k].item<int64_t>());
      y[t] += layer.experts[expert](x[t]) * routing.weight[t][k].to(x.scalar_type());
    }
  }
  return y;
}

TEST(Dispatch, CombineOfDispatchIsIdentity) {
  const at::Tensor x = random_tensor({33, kWidth}, 1);
  for (int64_t top_k : {2, 3}) {
    const Routing routing = route(random_tensor({33, 4}, 2), {.top_k = top_k, .drop_tokens = false});
    const Dispatch plan = plan_dispatch(routing);
    EXPECT_TENSORS_CLOSE(combine(plan, routing, dispatch(plan, x)), x);
  }
}

TEST(Dispatch, RowsAreSortedByExpertAndSlot) {
  const Routing routing = route(random_tensor({20, 4}, 3), {.top_k = 2, .capacity_factor = 0.6});
  const Dispatch plan = plan_dispatch(routing);
  int64_t row = 0;
  for (int64_t e = 0; e < 4; ++e) {
    for (int64_t slot = 0; slot < plan.counts[static_cast<size_t>(e)]; ++slot, ++row) {
      const int64_t pair = plan.choice[row].item<int64_t>();
      EXPECT_EQ(plan.rows[row].item<int64_t>(), pair / 2);
      EXPECT_EQ(routing.expert.flatten()[pair].item<int64_t>(), e);
      EXPECT_EQ(routing.slot.flatten()[pair].item<int64_t>(), slot);
    }
    EXPECT_LE(plan.counts[static_cast<size_t>(e)], routing.capacity);
  }
  EXPECT_EQ(row, plan.rows.size(0));
}

TEST(MoeLayer, EqualsThePlainLoopWithAndWithoutDropping) {
  const MoeLayer layer =
      make_layer({.experts = 4, .top_k = 2, .capacity_factor = 0.5, .eval_capacity_factor = 2.0});
  const at::Tensor x = random_tensor({25, kWidth}, 4);
  for (bool training : {false, true}) {
    const MoeOutput output = layer(x, {.training = training}, {});
    EXPECT_EQ((output.routing.slot < 0).any().item<bool>(), training);
    EXPECT_TENSORS_CLOSE(output.hidden, naive(layer, x, output.routing));
  }
}

TEST(MoeLayer, OneExpertIsTheDenseFeedForward) {
  const MoeLayer layer = make_layer({.experts = 1, .top_k = 1, .eval_capacity_factor = 1.0});
  const at::Tensor x = random_tensor({9, kWidth}, 5);
  EXPECT_TENSORS_CLOSE(layer(x, {}, {}).hidden, layer.experts[0](x));
}

TEST(MoeLayer, EqualExpertsAreTheDenseFeedForward) {
  MoeLayer layer = make_layer({.experts = 4, .top_k = 2, .eval_capacity_factor = 2.0});
  make_experts_equal(layer);
  const at::Tensor x = random_tensor({30, kWidth}, 6);
  EXPECT_TENSORS_CLOSE(layer(x, {}, {}).hidden, layer.experts[0](x));
}

TEST(MoeLayer, OverflowDropsExactlyTheTokensThePlanSays) {
  MoeLayer layer = make_layer({.experts = 4, .top_k = 2});
  make_experts_equal(layer);
  const at::Tensor x = random_tensor({16, kWidth}, 7);
  const MoeOutput output = layer(x, {.capacity_factor = 0.4}, {});
  const at::Tensor dense = layer.experts[0](x);
  int64_t dropped = 0;
  for (int64_t t = 0; t < 16; ++t) {
    const bool lost_all = (output.routing.slot[t] < 0).all().item<bool>();
    dropped += lost_all;
    EXPECT_TRUE(output.hidden[t].allclose(lost_all ? at::zeros_like(dense[t]) : dense[t], 1e-4, 1e-5));
  }
  EXPECT_GT(dropped, 0);
}

TEST(MoeLayer, NoiseChangesOnlyTheSecondChoice) {
  const MoeLayer layer = make_layer({.experts = 4, .top_k = 2});
  const at::Tensor x = random_tensor({12, kWidth}, 8);
  const MoeOutput plain = layer(x, {}, {});
  const MoeOutput noisy = layer(x, {}, random_tensor({12, 4}, 9) * 20);
  EXPECT_TRUE(plain.routing.expert.select(1, 0).equal(noisy.routing.expert.select(1, 0)));
  EXPECT_FALSE(plain.routing.expert.select(1, 1).equal(noisy.routing.expert.select(1, 1)));
  EXPECT_EQ(plain.balance_loss.item<float>(), noisy.balance_loss.item<float>());
}

TEST(MoeLayer, ARunMayChangeTheNumberOfChoices) {
  const MoeLayer layer = make_layer({.experts = 4, .top_k = 2, .eval_capacity_factor = 4.0});
  const at::Tensor x = random_tensor({12, kWidth}, 8);
  const Routing own = layer(x, {}, {}).routing;
  for (int64_t top_k : {1, 2, 3, 4}) {
    const MoeOutput output = layer(x, {.top_k = top_k}, {});
    ASSERT_EQ(output.routing.expert.size(1), top_k);
    EXPECT_TRUE(output.routing.expert.select(1, 0).equal(own.expert.select(1, 0)));
    EXPECT_TENSORS_CLOSE(output.hidden, naive(layer, x, output.routing));
    // One choice keeps its own probability; several share 1.
    const at::Tensor expected =
        top_k == 1 ? output.routing.logits.softmax(1).gather(1, output.routing.expert) : at::ones({12, 1});
    EXPECT_TRUE(output.routing.weight.sum(1, true).allclose(expected));
  }
}

TEST(MoeLayer, AMaskedExpertGetsNobodyAndTheOthersShareItsWeight) {
  const MoeLayer layer = make_layer({});
  const at::Tensor x = random_tensor({37, kWidth}, 3);
  const at::Tensor noise = gumbel_noise(5, 0, 0, 37, 4);
  for (const at::Tensor& drawn : {at::Tensor(), noise}) {
    const MoeOutput whole = layer(x, {}, drawn);
    ASSERT_TRUE(whole.routing.expert.eq(1).any().item<bool>());  // else nothing would be tested
    const MoeOutput masked = layer(x, {}, drawn, {}, {.masked = {1}, .swapped = {}});
    EXPECT_FALSE(masked.routing.expert.eq(1).any().item<bool>());
    EXPECT_TENSORS_CLOSE(masked.routing.weight.sum(1), at::ones({37}));
    EXPECT_TENSORS_CLOSE(masked.hidden, naive(layer, x, masked.routing));
    // Tokens that had not chosen it go where they went, with the weights they had.
    const at::Tensor others = whole.routing.expert.ne(1).all(1).nonzero().squeeze(1);
    EXPECT_TENSORS_CLOSE(masked.hidden.index_select(0, others), whole.hidden.index_select(0, others));
    EXPECT_TRUE(std::isfinite(masked.balance_loss.item<float>()));
  }
}

TEST(MoeLayer, MaskedAllButTwoIsTheSumOfTheseTwo) {
  const MoeLayer layer = make_layer({});
  const at::Tensor x = random_tensor({9, kWidth}, 3);
  const at::Tensor gates = x.matmul(layer.router.weight.t()).index_select(1, at::tensor({0, 3})).softmax(1);
  const at::Tensor expected =
      layer.experts[0](x) * gates.narrow(1, 0, 1) + layer.experts[3](x) * gates.narrow(1, 1, 1);
  EXPECT_TENSORS_CLOSE(layer(x, {}, {}, {}, {.masked = {2, 1}, .swapped = {}}).hidden, expected);
}

TEST(MoeLayer, SwappedExpertsWorkInEachOthersPlace) {
  MoeLayer layer = make_layer({});
  const at::Tensor x = random_tensor({37, kWidth}, 3);
  const at::Tensor before = layer(x, {}, {}).hidden;
  const ExpertEdits edits{.masked = {}, .swapped = {{0, 2}}};
  const at::Tensor swapped = layer(x, {}, {}, {}, edits).hidden;
  EXPECT_GT(testing::relative_difference(swapped, before), 1e-2);
  const ExpertEdits back{.masked = {}, .swapped = {{0, 2}, {2, 0}}};
  EXPECT_TRUE(layer(x, {}, {}, {}, back).hidden.equal(before));
  MoeLayer moved = layer;
  std::swap(moved.experts[0], moved.experts[2]);
  EXPECT_TRUE(moved(x, {}, {}).hidden.equal(swapped));
  // Of two that are equal nobody notices.
  layer.experts[2] = layer.experts[0];
  EXPECT_TRUE(layer(x, {}, {}, {}, edits).hidden.equal(layer(x, {}, {}).hidden));
}

TEST(MoeLayer, BalanceLossCarriesAGradientUnlessTheOriginalRecipeIsAsked) {
  MoeLayer layer = make_layer({.experts = 4, .top_k = 2});
  layer.router.weight.requires_grad_(true);
  const at::Tensor x = random_tensor({12, kWidth}, 10);
  EXPECT_TRUE(layer(x, {}, {}).balance_loss.requires_grad());
  EXPECT_FALSE(layer(x, {.balance_gradient = false}, {}).balance_loss.requires_grad());
}

TEST(MoeLayer, ResidualMixesTheDenseBranch) {
  const MoeLayer layer =
      make_layer({.experts = 2, .top_k = 1, .eval_capacity_factor = 2.0, .use_residual = true});
  const at::Tensor x = random_tensor({5, kWidth}, 11);
  const MoeOutput output = layer(x, {}, {});
  const at::Tensor share = layer.coefficient(x).softmax(-1);
  const at::Tensor expected =
      naive(layer, x, output.routing) * share.narrow(1, 0, 1) + layer.residual(x) * share.narrow(1, 1, 1);
  EXPECT_TENSORS_CLOSE(output.hidden, expected);
}

// Gradients through dispatch, experts and combine in float64; the router's are checked in router_test.
TEST(MoeLayer, Gradient) {
  MoeLayer layer = make_layer({.experts = 3, .top_k = 2, .capacity_factor = 0.7}, at::kDouble);
  const at::Tensor x = random_tensor({7, kWidth}, 12, at::kDouble);
  const at::Tensor mix = random_tensor({7, kWidth}, 13, at::kDouble);
  const Routing routing =
      route(at::linear(x.to(at::kFloat), layer.router.weight), {.top_k = 2, .capacity_factor = 0.7});
  const Dispatch plan = plan_dispatch(routing);
  auto value = [&] {
    const at::Tensor sorted = dispatch(plan, x);
    std::vector<at::Tensor> outputs;
    int64_t begin = 0;
    for (size_t e = 0; e < 3; ++e) {
      if (plan.counts[e] > 0) outputs.push_back(layer.experts[e](sorted.narrow(0, begin, plan.counts[e])));
      begin += plan.counts[e];
    }
    return (combine(plan, routing, at::cat(outputs, 0)) * mix).sum();
  };
  expect_gradient_matches(value, {x, layer.experts[0].up_proj.weight, layer.experts[1].down_proj.bias});
}

}  // namespace
}  // namespace moellava
