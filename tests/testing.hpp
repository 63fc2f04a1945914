// Shared by tests of the torch folders: golden files, tolerances, gradient checks.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "files/npy.hpp"

namespace moellava::testing {

inline std::string golden(const std::string& path) {
  return MOELLAVA_SOURCE_DIR "/tests/golden/" + path;
}

inline at::Tensor load_golden(const std::string& path) {
  const NpyArray array = read_npy(golden(path));
  return at::tensor(array.values, at::kFloat).view(array.shape);
}

// Largest difference allowed, relative to the largest magnitude of the reference.
inline double tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return 1e-9;
    case at::kFloat:
      return 1e-4;
    default:
      return 1e-2;  // bfloat16, float16
  }
}

inline double relative_difference(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor reference = expected.to(at::kDouble);
  const double scale = std::max(reference.abs().max().item<double>(), 1e-30);
  return (found.to(at::kDouble) - reference).abs().max().item<double>() / scale;
}

#define EXPECT_TENSORS_CLOSE(found, expected)                                \
  do {                                                                       \
    ASSERT_EQ((found).sizes(), (expected).sizes());                          \
    EXPECT_LE(::moellava::testing::relative_difference((found), (expected)), \
              ::moellava::testing::tolerance((found).scalar_type()));        \
  } while (false)

// Reproducible values in [-1, 1).
inline at::Tensor random_tensor(at::IntArrayRef shape, uint64_t stream, at::ScalarType dtype = at::kFloat) {
  at::Tensor values = at::empty(shape, at::kDouble);
  double* data = values.data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i)
    data[i] = 2 * random_unit(7, stream, static_cast<uint64_t>(i)) - 1;
  return values.to(dtype);
}

// Compares autograd with central differences for a scalar function of float64 tensors (leaves, changed in
// place).
inline void expect_gradient_matches(const std::function<at::Tensor()>& function,
                                    const std::vector<at::Tensor>& inputs) {
  constexpr double kStep = 1e-6;
  for (const at::Tensor& input : inputs) input.requires_grad_(true);
  const std::vector<at::Tensor> gradients = torch::autograd::grad({function()}, inputs);
  for (size_t n = 0; n < inputs.size(); ++n) {
    const at::Tensor values = inputs[n].detach();
    const at::Tensor gradient = gradients[n].contiguous();
    double* data = values.data_ptr<double>();
    at::Tensor numeric = at::empty_like(values);
    for (int64_t i = 0; i < values.numel(); ++i) {
      const double old = data[i];
      data[i] = old + kStep;
      const double above = function().item<double>();
      data[i] = old - kStep;
      const double below = function().item<double>();
      data[i] = old;
      numeric.data_ptr<double>()[i] = (above - below) / (2 * kStep);
    }
    EXPECT_LE((gradient - numeric).abs().max().item<double>(),
              1e-6 * std::max(1.0, numeric.abs().max().item<double>()))
        << "input " << n;
  }
}

}  // namespace moellava::testing
