#include "nn/attention.hpp"

#include <cmath>

#include "tests/testing.hpp"

namespace moellava {
namespace {

using testing::expect_gradient_matches;
using testing::random_tensor;

Attention make_attention(int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype,
                         int64_t window = 0) {
  Attention attention({.width = heads * head_dim,
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .head_dim = head_dim,
                       .qkv_bias = true,
                       .out_bias = false,
                       .window = window});
  uint64_t stream = 100;
  attention.visit("", [&](const std::string&, at::Tensor& tensor) {
    tensor = random_tensor(tensor.sizes(), ++stream, dtype);
  });
  return attention;
}

RotaryTable in_dtype(const RotaryTable& table, at::ScalarType dtype) {
  return {table.cos.to(dtype), table.sin.to(dtype), {}};
}

// The plain version: one query at a time.
at::Tensor naive_causal(const Attention& a, const at::Tensor& x, const RotaryTable& rotary) {
  const auto& c = a.config;
  const int64_t positions = x.size(1);
  at::Tensor out = at::zeros({positions, c.heads * c.head_dim}, x.options());
  const at::Tensor q = a.q_proj(x[0]), k = a.k_proj(x[0]), v = a.v_proj(x[0]);
  auto head = [&](const at::Tensor& rows, int64_t h) {
    const at::Tensor own = rows.narrow(1, h * c.head_dim, c.head_dim).view({1, 1, positions, c.head_dim});
    return own;
  };
  for (int64_t h = 0; h < c.heads; ++h) {
    const int64_t kv = h / (c.heads / c.kv_heads);
    const at::Tensor qh = rotate(head(q, h), rotary)[0][0];
    const at::Tensor kh = rotate(head(k, kv), rotary)[0][0];
    const at::Tensor vh = head(v, kv)[0][0];
    for (int64_t t = 0; t < positions; ++t) {
      const int64_t first = c.window > 0 ? std::max<int64_t>(t + 1 - c.window, 0) : 0, count = t + 1 - first;
      at::Tensor query = qh[t] / std::sqrt(static_cast<double>(c.head_dim));
      if (rotary.query_scale.defined()) query = query * rotary.query_scale[t];
      const at::Tensor weights = kh.narrow(0, first, count).mv(query).softmax(0);
      out[t].narrow(0, h * c.head_dim, c.head_dim).copy_(vh.narrow(0, first, count).t().mv(weights));
    }
  }
  return a.o_proj(out).unsqueeze(0);
}

TEST(Attention, LongSequencesTakeAnotherWayToTheSameResult) {
  const Attention attention = make_attention(4, 2, 8, at::kDouble);
  const at::Tensor x = random_tensor({1, 600, 32}, 1, at::kDouble);
  auto run = [&](int64_t count) {
    const RotaryTable rotary = in_dtype(rotary_table({.dims = 4, .theta = 10000}, 0, count), at::kDouble);
    return attention.causal(x.narrow(1, 0, count), rotary, nullptr, 0);
  };
  EXPECT_TENSORS_CLOSE(run(600).narrow(1, 0, 500), run(500));
  EXPECT_TENSORS_CLOSE(attention.full(x.narrow(1, 0, 500)),
                       attention.full(x.narrow(1, 0, 500).repeat({1, 2, 1})).narrow(1, 0, 500));
}

TEST(Attention, CausalEqualsThePlainLoop) {
  for (int64_t kv_heads : {1, 2, 4}) {
    const Attention attention = make_attention(4, kv_heads, 8, at::kDouble);
    const at::Tensor x = random_tensor({1, 7, 32}, 1, at::kDouble);
    const RotaryTable rotary = in_dtype(rotary_table({.dims = 4, .theta = 10000}, 0, 7), at::kDouble);
    EXPECT_TENSORS_CLOSE(attention.causal(x, rotary, nullptr, 0), naive_causal(attention, x, rotary));
  }
}

TEST(Attention, AWindowHidesWhatIsFartherBack) {
  for (int64_t window : {1, 3, 7, 8}) {
    const Attention attention = make_attention(4, 2, 8, at::kDouble, window);
    const at::Tensor x = random_tensor({1, 7, 32}, 1, at::kDouble);
    const RotaryTable rotary = in_dtype(rotary_table({.dims = 4, .theta = 10000}, 0, 7), at::kDouble);
    EXPECT_TENSORS_CLOSE(attention.causal(x, rotary, nullptr, 0), naive_causal(attention, x, rotary));
  }
}

TEST(Attention, QueriesAreScaledByTheirPosition) {
  const Attention attention = make_attention(4, 2, 8, at::kDouble);
  const at::Tensor x = random_tensor({1, 7, 32}, 1, at::kDouble);
  RotaryTable rotary = in_dtype(rotary_table({.dims = 4, .theta = 10000}, 0, 7), at::kDouble);
  const at::Tensor plain = attention.causal(x, rotary, nullptr, 0);
  rotary.query_scale = logn_scale(at::arange(7), 4).to(at::kDouble);
  const at::Tensor scaled = attention.causal(x, rotary, nullptr, 0);
  EXPECT_TENSORS_CLOSE(scaled, naive_causal(attention, x, rotary));
  EXPECT_TENSORS_CLOSE(scaled.narrow(1, 0, 4), plain.narrow(1, 0, 4));
}

TEST(Attention, CacheGivesTheSameAnswersInAnyChunking) {
  for (int64_t window : {0, 2, 5}) {
    const Attention attention = make_attention(4, 2, 8, at::kFloat, window);
    const at::Tensor x = random_tensor({2, 9, 32}, 2);
    const RotaryConfig rotary{.dims = 8, .theta = 10000};
    const at::Tensor whole = attention.causal(x, rotary_table(rotary, 0, 9), nullptr, 0);
    LayerCache cache{at::zeros({2, 2, 9, 8}), at::zeros({2, 2, 9, 8})};
    std::vector<at::Tensor> parts;
    int64_t done = 0;
    for (int64_t count : {4, 1, 3, 1}) {
      parts.push_back(
          attention.causal(x.narrow(1, done, count), rotary_table(rotary, done, count), &cache, done));
      done += count;
    }
    EXPECT_TENSORS_CLOSE(at::cat(parts, 1), whole);
  }
}

TEST(Attention, LaterPositionsDoNotReachEarlierOnes) {
  const Attention attention = make_attention(2, 2, 4, at::kFloat);
  const RotaryTable rotary = rotary_table({.dims = 4, .theta = 10000}, 0, 5);
  const at::Tensor x = random_tensor({1, 5, 8}, 3);
  at::Tensor changed = x.clone();
  changed.select(1, 4).fill_(9);
  const at::Tensor before = attention.causal(x, rotary, nullptr, 0).narrow(1, 0, 4);
  const at::Tensor after = attention.causal(changed, rotary, nullptr, 0).narrow(1, 0, 4);
  EXPECT_TRUE(before.equal(after));
}

TEST(Attention, Gradient) {
  Attention attention = make_attention(2, 1, 4, at::kDouble);
  const at::Tensor x = random_tensor({1, 4, 8}, 4, at::kDouble);
  const RotaryTable rotary = in_dtype(rotary_table({.dims = 2, .theta = 100}, 0, 4), at::kDouble);
  const at::Tensor weight = random_tensor({1, 4, 8}, 5, at::kDouble);
  expect_gradient_matches(
      [&] { return (attention.causal(x, rotary, nullptr, 0) * weight).sum(); },
      {x, attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.bias, attention.o_proj.weight});
  expect_gradient_matches([&] { return (attention.full(x) * weight).sum(); }, {x, attention.k_proj.weight});
}

TEST(Rotary, TurnsPairsByTheirAngleAndKeepsTheRest) {
  constexpr int64_t kPosition = 3;
  const RotaryTable table = rotary_table({.dims = 4, .theta = 100}, kPosition, 1);
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}).view({1, 1, 1, 6});
  const at::Tensor y = rotate(x, table).flatten();
  // Pairs (0, 2) and (1, 3): frequencies 100^0 and 100^(-1/2).
  const double angles[] = {kPosition, kPosition * 0.1};
  const float* v = y.data_ptr<float>();
  for (int i = 0; i < 2; ++i) {
    const double c = std::cos(angles[i]), s = std::sin(angles[i]), a = i + 1, b = i + 3;
    EXPECT_NEAR(v[i], a * c - b * s, 1e-5);
    EXPECT_NEAR(v[i + 2], b * c + a * s, 1e-5);
  }
  EXPECT_EQ(v[4], 5.0f);
  EXPECT_EQ(v[5], 6.0f);
}

// Qwen's rules at the lengths where they begin to matter.
TEST(Rotary, LongContextsTurnSlower) {
  const RotaryConfig config{.dims = 128, .theta = 10000};
  for (int64_t length : {1, 4096, 8192}) EXPECT_EQ(dynamic_ntk_theta(config, length, 8192), 10000);
  // 2^(ceil(log2(length / native)) + 1) - 1
  EXPECT_DOUBLE_EQ(dynamic_ntk_theta(config, 8193, 8192), 10000 * std::pow(3, 128.0 / 126));
  EXPECT_DOUBLE_EQ(dynamic_ntk_theta(config, 16384, 8192), 10000 * std::pow(3, 128.0 / 126));
  EXPECT_DOUBLE_EQ(dynamic_ntk_theta(config, 16385, 8192), 10000 * std::pow(7, 128.0 / 126));
}

TEST(Rotary, QueriesBeyondTheNativeLengthGrow) {
  EXPECT_FALSE(logn_scale(at::arange(8192), 8192).defined());
  const at::Tensor scale = logn_scale(at::arange(8190, 8194), 8192);
  ASSERT_EQ(scale.sizes(), (std::vector<int64_t>{4, 1}));
  EXPECT_EQ(scale[0].item<float>(), 1);
  EXPECT_EQ(scale[1].item<float>(), 1);
  EXPECT_FLOAT_EQ(scale[3].item<float>(), static_cast<float>(std::log(8194.0) / std::log(8192.0)));
}

}  // namespace
}  // namespace moellava
