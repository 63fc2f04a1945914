// Vision features to the decoder's width: "mlp2x_gelu" is Linear, exact GELU, Linear.
#pragma once

#include <string>
#include <vector>

#include "nn/linear.hpp"

namespace moellava {

struct Projector {
  std::vector<Linear> linears;  // GELU between them

  Projector() = default;
  // `type`: "linear" or "mlpNx_gelu"; others are refused by name.
  Projector(const std::string& type, int64_t vision_width, int64_t width);

  at::Tensor operator()(const at::Tensor& features) const;  // [..., vision_width] -> [..., width]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

}  // namespace moellava
