#include "nn/feed_forward.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numeric>

#include "nn/norm.hpp"
#include "nn/precision.hpp"
#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

double naive_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::Silu:
      return x / (1 + std::exp(-x));
    case Activation::Gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::GeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::QuickGelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return 0;
}

TEST(Activation, EqualsItsFormula) {
  for (Activation activation :
       {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu}) {
    EXPECT_EQ(activation_by_name(activation_name(activation), "test"), activation);
    for (double x : {-3.0, -0.5, 0.0, 0.7, 4.0}) {
      EXPECT_NEAR(activate(activation, at::scalar_tensor(x, at::kDouble)).item<double>(),
                  naive_activation(activation, x), 1e-12);
    }
  }
}

// Values and gradients of `outputs` [G], of which all but the second go into a sum, and of their inputs.
std::vector<at::Tensor> values_and_gradients(const std::vector<at::Tensor>& outputs,
                                             const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> all;
  at::Tensor sum = at::zeros({});
  for (size_t g = 0; g < outputs.size(); ++g) {
    all.push_back(outputs[g].detach());
    if (g != 1) sum = sum + (outputs[g] * random_tensor(outputs[g].sizes(), 20 + g)).sum();
  }
  sum.backward();
  for (const at::Tensor& x : inputs) {
    all.push_back(x.grad().defined() ? x.grad() : at::zeros_like(x.detach()));
    x.mutable_grad().reset();
  }
  return all;
}

TEST(Activation, OfManyIsThatOfEach) {
  std::vector<at::Tensor> xs, ups;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{3, 5}, {2, 2}, {1, 5}, {300, 200}}) {
    xs.push_back((3 * random_tensor(shape, 1)).requires_grad_(true));
    ups.push_back(random_tensor(shape, 2).requires_grad_(true));
  }
  std::vector<at::Tensor> inputs = xs;
  inputs.insert(inputs.end(), ups.begin(), ups.end());
  for (Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh}) {
    std::vector<at::Tensor> gated, plain;
    for (size_t g = 0; g < xs.size(); ++g) {
      gated.push_back(activate(activation, xs[g]) * ups[g]);
      plain.push_back(activate(activation, xs[g]));
    }
    const auto of_each = values_and_gradients(gated, inputs), of_each_plain = values_and_gradients(plain, xs);
    const auto of_many = values_and_gradients(activate_gated(activation, xs, ups), inputs);
    const auto of_many_plain = values_and_gradients(activate_all(activation, xs), xs);
    for (size_t i = 0; i < of_each.size(); ++i) EXPECT_TENSORS_CLOSE(of_many[i], of_each[i]);
    for (size_t i = 0; i < of_each_plain.size(); ++i)
      EXPECT_TENSORS_CLOSE(of_many_plain[i], of_each_plain[i]);
  }
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(activate_gated(Activation::Silu, xs, ups)[0].requires_grad());
}

FeedForward make_feed_forward(bool gated, uint64_t seed = 10) {
  FeedForward ffn({.width = 4, .inner = 6, .gated = gated, .bias = true, .activation = Activation::Silu});
  uint64_t stream = seed;
  ffn.visit("", [&](const std::string&, at::Tensor& tensor) {
    tensor = random_tensor(tensor.sizes(), ++stream, at::kDouble);
  });
  return ffn;
}

TEST(FeedForward, EqualsTheFormula) {
  const at::Tensor x = random_tensor({3, 4}, 1, at::kDouble);
  const FeedForward gated = make_feed_forward(true);
  const at::Tensor up = x.matmul(gated.up_proj.weight.t()) + gated.up_proj.bias;
  const at::Tensor gate = x.matmul(gated.gate_proj.weight.t()) + gated.gate_proj.bias;
  const at::Tensor inner = gate * at::sigmoid(gate) * up;
  EXPECT_TENSORS_CLOSE(gated(x), (inner.matmul(gated.down_proj.weight.t()) + gated.down_proj.bias));
}

TEST(FeedForward, Gradient) {
  for (bool gated : {true, false}) {
    FeedForward ffn = make_feed_forward(gated);
    const at::Tensor x = random_tensor({3, 4}, 1, at::kDouble);
    expect_gradient_matches([&] { return ffn(x).square().sum(); },
                            {x, ffn.up_proj.weight, ffn.down_proj.bias});
  }
}

// Threads that share groups, and the number there was.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

// Output, then the gradients of rows and of every parameter, undefined ones as zeros.
std::vector<at::Tensor> output_and_gradients(const at::Tensor& y, const at::Tensor& x,
                                             std::vector<FeedForward>& parts) {
  std::vector<at::Tensor> inputs{x}, results{y.detach()};
  for (FeedForward& part : parts)
    part.visit("", [&](const std::string&, at::Tensor& tensor) { inputs.push_back(tensor); });
  const auto gradients = torch::autograd::grad({(y * y.detach().cos()).sum()}, inputs, {}, std::nullopt,
                                               /*create_graph=*/false, /*allow_unused=*/true);
  for (size_t i = 0; i < inputs.size(); ++i)
    results.push_back(gradients[i].defined() ? gradients[i] : at::zeros_like(inputs[i]));
  return results;
}

std::vector<const FeedForward*> pointers_to(const std::vector<FeedForward>& parts) {
  std::vector<const FeedForward*> pointers;
  for (const FeedForward& part : parts) pointers.push_back(&part);
  return pointers;
}

TEST(GroupedFeedForward, EqualsEachOnItsRows) {
  const Threads threads(3);
  for (const std::vector<int64_t>& counts :  // several tiles of rows, and less than one
       {std::vector<int64_t>{600, 1, 97}, std::vector<int64_t>{2, 3}}) {
    for (bool gated : {true, false}) {
      std::vector<FeedForward> parts;
      for (size_t g = 0; g < counts.size(); ++g) parts.push_back(make_feed_forward(gated, 100 * g));
      for (FeedForward& part : parts)
        part.visit("", [](const std::string&, at::Tensor& tensor) { tensor.requires_grad_(true); });
      const int64_t rows = std::accumulate(counts.begin(), counts.end(), int64_t{0});
      const at::Tensor x = random_tensor({rows, 4}, 1, at::kDouble).requires_grad_(true);
      const std::vector<at::Tensor> xs = x.split_with_sizes(counts, 0);

      std::vector<at::Tensor> outputs;
      for (size_t g = 0; g < counts.size(); ++g) outputs.push_back(parts[g](xs[g]));
      const auto expected = output_and_gradients(at::cat(outputs), x, parts);
      const auto grouped =
          output_and_gradients(at::cat(grouped_feed_forward(xs, pointers_to(parts))), x, parts);
      ASSERT_EQ(grouped.size(), expected.size());
      for (size_t i = 0; i < grouped.size(); ++i) EXPECT_TENSORS_CLOSE(grouped[i], expected[i]);
    }
  }
}

// So that experts that are spread over processes come to the same bits.
TEST(GroupedFeedForward, BitsOfAGroupDependOnItsOwnRowsAlone) {
  const Threads threads(2);
  std::vector<FeedForward> parts;
  for (uint64_t g = 0; g < 2; ++g) {
    parts.push_back(make_feed_forward(true, 100 * g));
    parts[g].visit("", [](const std::string&, at::Tensor& tensor) { tensor = tensor.to(at::kFloat); });
  }
  const at::Tensor x = random_tensor({77, 4}, 1);
  const auto both = grouped_feed_forward({random_tensor({13, 4}, 2), x}, pointers_to(parts));
  EXPECT_TRUE(grouped_feed_forward({x}, {&parts[1]})[0].equal(both[1]));
}

TEST(GroupedFeedForward, GradientOfWhatIsTrainedAlone) {
  std::vector<FeedForward> parts{make_feed_forward(true), make_feed_forward(true, 100)};
  parts[0].up_proj.weight.requires_grad_(true);
  const std::vector<at::Tensor> xs{random_tensor({3, 4}, 1, at::kDouble),
                                   random_tensor({2, 4}, 2, at::kDouble)};
  at::cat(grouped_feed_forward(xs, pointers_to(parts))).sum().backward();
  EXPECT_TRUE(parts[0].up_proj.weight.grad().defined());
  EXPECT_FALSE(parts[0].gate_proj.weight.grad().defined());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(grouped_feed_forward(xs, pointers_to(parts))[0].requires_grad());
}

TEST(GroupedFeedForward, AnAdapterThatAddsNothingChangesNoBit) {
  std::vector<FeedForward> parts{make_feed_forward(true), make_feed_forward(true, 100)};
  const std::vector<at::Tensor> xs{random_tensor({2, 4}, 1, at::kDouble),
                                   random_tensor({3, 4}, 2, at::kDouble)};
  const auto before = grouped_feed_forward(xs, pointers_to(parts));
  const auto adapt = [&](const at::Tensor& b) {
    parts[0].up_proj.low_rank = LowRank{.a = random_tensor({2, 4}, 2, at::kDouble), .b = b, .scale = 2};
  };
  adapt(at::zeros({6, 2}, at::kDouble));
  EXPECT_TRUE(grouped_feed_forward(xs, pointers_to(parts))[0].equal(before[0]));
  adapt(random_tensor({6, 2}, 3, at::kDouble));
  const auto after = grouped_feed_forward(xs, pointers_to(parts));
  EXPECT_TENSORS_CLOSE(after[0], parts[0](xs[0]));
  EXPECT_TRUE(after[1].equal(before[1]));
}

TEST(GroupedFeedForward, FactorsAreRoundedAsInEach) {
  for (bool gated : {true, false}) {
    std::optional<Bfloat16Products> products(true);
    std::vector<FeedForward> parts;
    for (uint64_t g = 0; g < 2; ++g) {
      parts.push_back(make_feed_forward(gated, 100 * g));
      parts[g].visit("", [](const std::string&, at::Tensor& tensor) {
        tensor = tensor.to(at::kFloat).requires_grad_(true);
      });
    }
    const at::Tensor x = random_tensor({9, 4}, 1).requires_grad_(true);
    const auto one_by_one = [&] {
      const auto xs = x.split_with_sizes({6, 3});
      return at::cat({parts[0](xs[0]), parts[1](xs[1])});
    };
    const auto expected = output_and_gradients(one_by_one(), x, parts);
    const auto found = output_and_gradients(
        at::cat(grouped_feed_forward(x.split_with_sizes({6, 3}), pointers_to(parts))), x, parts);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TENSORS_CLOSE(found[i], expected[i]);
    products.reset();
    EXPECT_GT((one_by_one() - expected[0]).abs().max().item<double>(), 1e-4);
  }
}

TEST(GroupedFeedForward, HalfWeightsComputeOneAfterAnother) {
  std::vector<FeedForward> parts(2, make_feed_forward(true));
  for (FeedForward& part : parts)
    part.visit("", [](const std::string&, at::Tensor& tensor) { tensor = tensor.to(at::kBFloat16); });
  const std::vector<at::Tensor> xs{random_tensor({2, 4}, 1), random_tensor({3, 4}, 2)};
  const auto outputs = grouped_feed_forward(xs, pointers_to(parts));
  for (size_t g = 0; g < 2; ++g) EXPECT_TRUE(outputs[g].equal(parts[g](xs[g])));
}

TEST(Norm, EqualsTheFormula) {
  for (NormKind kind : {NormKind::Layer, NormKind::Rms}) {
    Norm norm(kind, 5, 1e-5);
    const at::Tensor x = random_tensor({2, 5}, 3);
    norm.weight = random_tensor({5}, 4);
    if (kind == NormKind::Layer) norm.bias = random_tensor({5}, 5);
    const at::Tensor y = norm(x);
    for (int64_t row = 0; row < 2; ++row) {
      const at::Tensor v = x[row].to(at::kDouble);
      const double mean = kind == NormKind::Layer ? v.mean().item<double>() : 0;
      const double scale = 1 / std::sqrt((v - mean).square().mean().item<double>() + 1e-5);
      at::Tensor expected = (v - mean) * scale * norm.weight.to(at::kDouble);
      if (norm.bias.defined()) expected = expected + norm.bias.to(at::kDouble);
      EXPECT_TENSORS_CLOSE(y[row], expected.to(at::kFloat));
    }
  }
}

}  // namespace
}  // namespace moellava
