// LayerNorm and RMSNorm over the last dimension, statistics in fp32.
#pragma once

#include "nn/parameter.hpp"

namespace moellava {

enum class NormKind { Layer, Rms };

struct Norm {
  NormKind kind = NormKind::Rms;
  double eps = 1e-5;
  at::Tensor weight;  // [width]
  at::Tensor bias;    // [width], LayerNorm only

  Norm() = default;
  Norm(NormKind norm_kind, int64_t width, double epsilon);

  at::Tensor operator()(const at::Tensor& x) const;  // [..., width] -> [..., width]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
};

}  // namespace moellava
