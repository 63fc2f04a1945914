#include "model/fingerprint.hpp"

#include <algorithm>

namespace moellava {

namespace {

constexpr int64_t kValues = 64;  // of a parameter: training moves nearly all of them

}  // namespace

uint64_t weights_fingerprint(MoeLlava& model) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  model.visit([&](const std::string&, at::Tensor& parameter) {
    const at::Tensor values = parameter.contiguous();
    const auto* bytes = static_cast<const unsigned char*>(values.const_data_ptr());
    const auto size = static_cast<int64_t>(values.element_size());
    const int64_t step = std::max<int64_t>(1, values.numel() / kValues);
    for (int64_t i = 0; i < values.numel(); i += step) {
      for (int64_t b = 0; b < size; ++b) hash = (hash ^ bytes[i * size + b]) * 0x100000001b3ull;
    }
  });
  return hash;
}

}  // namespace moellava
