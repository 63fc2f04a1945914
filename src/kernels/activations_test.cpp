#include "kernels/activations.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/kernel_testing.hpp"

namespace moellava {
namespace {

using Activations = KernelTest;

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

// Gates of every magnitude that a float can have, of both signs.
std::vector<float> gates(size_t count) {
  std::vector<float> values = random_floats(count);
  for (size_t i = 0; i < count; ++i) values[i] *= std::ldexp(1.0f, static_cast<int>(i % 12) - 3);
  const float special[] = {0, -0.0f, 88, -88, 104, -104, 1000, -1000, 3e38f, -3e38f, 1e-40f};
  for (size_t i = 0; i < std::size(special) && i < count; ++i) values[i] = special[i];
  return values;
}

void expect_close(float found, double expected, size_t i) {
  ASSERT_NEAR(found, expected, 1e-6 * std::abs(expected) + 1e-30) << i;
}

TEST_P(Activations, GatedSiluEqualsTheDefinitionForAllTails) {
  for (const size_t count : {1, 7, 8, 15, 16, 17, 31, 100, 257}) {
    const auto gate = gates(count), up = random_floats(count);
    std::vector<float> out(count + 1, -99);
    gated_silu(gate.data(), up.data(), static_cast<int64_t>(count), out.data());
    for (size_t i = 0; i < count; ++i) {
      const double x = gate[i];
      expect_close(out[i], x * sigmoid(x) * up[i], i);
    }
    EXPECT_EQ(out[count], -99);
  }
}

TEST_P(Activations, GatedSiluHasTheGradientsOfTheDefinition) {
  const size_t count = 257;
  auto gate = gates(count);
  gate[8] = 30, gate[9] = -30;  // the slope of 3e38 needs a product that no float holds
  const auto up = random_floats(count);
  std::vector<float> gradient = random_floats(count + 1), of_gate(count), of_up(count);
  gradient.erase(gradient.begin());
  gated_silu_backward(gradient.data(), gate.data(), up.data(), static_cast<int64_t>(count), of_gate.data(),
                      of_up.data());
  for (size_t i = 0; i < count; ++i) {
    const double x = gate[i], s = sigmoid(x);
    ASSERT_NEAR(of_gate[i], gradient[i] * up[i] * (s + x * s * (1 - s)), 4e-7 * (1 + std::abs(x) * s)) << i;
    expect_close(of_up[i], gradient[i] * x * s, i);
  }
}

// 2 u of the definition.
double twice_u(double x) {
  return 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

TEST_P(Activations, GeluTanhEqualsTheDefinitionForAllTails) {
  for (const size_t count : {1, 7, 8, 15, 16, 17, 31, 100, 257}) {
    const auto x = gates(count);
    std::vector<float> out(count + 1, -99);
    gelu_tanh(x.data(), static_cast<int64_t>(count), out.data());
    for (size_t i = 0; i < count; ++i) {
      const double value = x[i];
      ASSERT_NEAR(out[i], value * sigmoid(twice_u(value)), 4e-7 * std::abs(value)) << i;
    }
    EXPECT_EQ(out[count], -99);
  }
}

TEST_P(Activations, GeluTanhHasTheGradientOfTheDefinition) {
  const auto x = gates(257), gradient = random_floats(257);
  std::vector<float> of_x(257);
  gelu_tanh_backward(gradient.data(), x.data(), 257, of_x.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i], s = sigmoid(twice_u(value));
    const double inner = 2 * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * value * value);
    const double product = value * s * (1 - s);
    ASSERT_NEAR(of_x[i], gradient[i] * (s + (product == 0 ? 0 : product * inner)), 2e-6) << i;
  }
}

TEST_P(Activations, WhatIsNotFiniteStaysSo) {
  const std::vector<float> gate = {NAN, INFINITY, 1, 1}, up = {1, 1, NAN, INFINITY};
  std::vector<float> out(4), of_gate(4), of_up(4);
  gated_silu(gate.data(), up.data(), 4, out.data());
  for (size_t i = 0; i < 4; ++i) EXPECT_FALSE(std::isfinite(out[i])) << i;
  const std::vector<float> gradient(4, 1.0f);
  gated_silu_backward(gradient.data(), gate.data(), up.data(), 4, of_gate.data(), of_up.data());
  for (size_t i = 0; i < 4; ++i) EXPECT_FALSE(std::isfinite(of_gate[i]) && std::isfinite(of_up[i])) << i;
  gelu_tanh(gate.data(), 2, out.data());
  gelu_tanh_backward(gradient.data(), gate.data(), 2, of_gate.data());
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(of_gate[0]));
  EXPECT_EQ(out[1], INFINITY);
}

TEST_P(Activations, AValuesPlaceChangesNoBit) {
  const auto gate = gates(64), up = random_floats(64);
  std::vector<float> gated(64), plain(64), alone(2);
  gated_silu(gate.data(), up.data(), 64, gated.data());
  gelu_tanh(gate.data(), 64, plain.data());
  for (size_t i = 0; i < 64; ++i) {
    gated_silu(&gate[i], &up[i], 1, &alone[0]);
    gelu_tanh(&gate[i], 1, &alone[1]);
    EXPECT_EQ(alone, (std::vector<float>{gated[i], plain[i]})) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(AllTargets, Activations, testing::ValuesIn(kernel_targets()), kernel_name);

}  // namespace
}  // namespace moellava
