#include "model/fingerprint.hpp"

#include <algorithm>

#include "base/fnv1a.hpp"

namespace moellava {

namespace {

constexpr int64_t kValues = 64;  // of a parameter: training moves nearly all of them

}  // namespace

uint64_t weights_fingerprint(MoeLlava& model) {
  Fnv1a hash;
  model.visit([&](const std::string&, at::Tensor& parameter) {
    const at::Tensor values = parameter.cpu().contiguous();
    const auto* bytes = static_cast<const char*>(values.const_data_ptr());
    const auto size = static_cast<size_t>(values.element_size());
    const int64_t step = std::max<int64_t>(1, values.numel() / kValues);
    for (int64_t i = 0; i < values.numel(); i += step)
      hash.add({bytes + static_cast<size_t>(i) * size, size});
  });
  return hash.value();
}

}  // namespace moellava
