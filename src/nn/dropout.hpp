// Dropout (Srivastava et al. 2014) that is a function of a key, a stream and the value's place, so that what
// was dropped needs not be remembered: a run that is resumed or a layer that is computed again drops the
// same.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moellava {

// One for all of a model, or of its adapters. Whoever trains sets the key of each micro-batch.
struct Dropout {
  double probability = 0;
  uint64_t key = 0;
};

// Each value of x is 0 with the given probability, else divided by 1 - probability; streams tell layers
// apart. x [...] -> [...] of its type and device.
at::Tensor drop_values(const at::Tensor& x, const Dropout& dropout, uint64_t stream);

}  // namespace moellava
