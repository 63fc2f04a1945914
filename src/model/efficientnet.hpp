// EfficientNet-Lite0 (Tan and Le 2019, the Lite variant: ReLU6, no squeeze-and-excitation) as a vision tower:
// a picture of 224 x 224 gives 7 x 7 = 49 visual tokens of width 1280. Inference only.
#pragma once

#include <vector>

#include "nn/parameter.hpp"

namespace moellava {

// Convolution without bias, "SAME" padding as TensorFlow has it, batch norm with stored statistics.
struct ConvNorm {
  at::Tensor weight;                        // [out, in / groups, k, k]
  at::Tensor scale, shift, mean, variance;  // [out]
  int64_t stride = 1;
  int64_t groups = 1;

  ConvNorm() = default;
  ConvNorm(int64_t in, int64_t out, int64_t kernel, int64_t conv_stride, int64_t conv_groups);
  at::Tensor operator()(
      const at::Tensor& x) const;  // [B, in, h, w] -> [B, out, ceil(h/stride), ceil(w/stride)]
  void visit(const std::string& conv_name, const std::string& norm_name, const ParameterVisitor& visitor);
};

// Inverted bottleneck: expand 1x1, depthwise kxk, project 1x1, with a skip where shapes allow.
struct MobileBlock {
  bool expands = true;
  bool skips = false;
  ConvNorm expand, depthwise, project;
};

class EfficientNetLite0 {
 public:
  EfficientNetLite0();
  at::Tensor features(const at::Tensor& pixels) const;  // [B, 3, 224, 224] -> [B, 49, 1280], row by row
  // Names as in the published .pth: "_conv_stem.weight", "_blocks.0._bn1.running_mean", ...
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  ConvNorm stem_;
  std::vector<MobileBlock> blocks_;
  ConvNorm head_;
};

}  // namespace moellava
