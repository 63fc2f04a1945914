#include "model/efficientnet.hpp"

#include <algorithm>

namespace moellava {

namespace {

constexpr double kBatchNormEps = 1e-3;

struct Stage {
  int repeats;
  int64_t kernel, stride, expansion, out;
};
// Table 1 of the paper, B0 column.
constexpr Stage kStages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
                             {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};

// TensorFlow's SAME: the output is ceil(size / stride) and an odd pixel of padding goes to the right and
// bottom. This is how many pixels are padded in all.
int64_t same_padding(int64_t size, int64_t kernel, int64_t stride) {
  return std::max<int64_t>(((size + stride - 1) / stride - 1) * stride + kernel - size, 0);
}

}  // namespace

ConvNorm::ConvNorm(int64_t in, int64_t out, int64_t kernel, int64_t conv_stride, int64_t conv_groups)
    : weight(new_parameter({out, in / conv_groups, kernel, kernel})),
      scale(new_parameter({out}, 1)),
      shift(new_parameter({out}, 0)),
      mean(new_parameter({out}, 0)),
      variance(new_parameter({out}, 1)),
      stride(conv_stride),
      groups(conv_groups) {}

// The normalisation is folded into weight and bias: one pass over the activations instead of two.
at::Tensor ConvNorm::operator()(const at::Tensor& x) const {
  const int64_t height = same_padding(x.size(2), weight.size(2), stride);
  const int64_t width = same_padding(x.size(3), weight.size(3), stride);
  const at::Tensor factor = scale * at::rsqrt(variance + kBatchNormEps);  // [out]
  const at::Tensor folded = weight * factor.view({-1, 1, 1, 1});
  const at::Tensor bias = shift - mean * factor;
  if (height % 2 == 0 && width % 2 == 0) {
    return at::conv2d(x, folded, bias, stride, at::IntArrayRef{height / 2, width / 2}, /*dilation=*/1,
                      groups);
  }
  const at::Tensor padded =
      at::constant_pad_nd(x, {width / 2, width - width / 2, height / 2, height - height / 2});
  return at::conv2d(padded, folded, bias, stride, at::IntArrayRef{0}, /*dilation=*/1, groups);
}

void ConvNorm::visit(const std::string& conv_name, const std::string& norm_name,
                     const ParameterVisitor& visitor) {
  visitor(conv_name + ".weight", weight);
  visitor(norm_name + ".weight", scale);
  visitor(norm_name + ".bias", shift);
  visitor(norm_name + ".running_mean", mean);
  visitor(norm_name + ".running_var", variance);
}

EfficientNetLite0::EfficientNetLite0() : stem_(3, 32, 3, 2, 1), head_(320, 1280, 1, 1, 1) {
  int64_t width = 32;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.repeats; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      const int64_t inner = width * stage.expansion;
      MobileBlock block;
      block.expands = stage.expansion != 1;
      block.skips = stride == 1 && width == stage.out;
      if (block.expands) block.expand = ConvNorm(width, inner, 1, 1, 1);
      block.depthwise = ConvNorm(inner, inner, stage.kernel, stride, inner);
      block.project = ConvNorm(inner, stage.out, 1, 1, 1);
      blocks_.push_back(std::move(block));
      width = stage.out;
    }
  }
}

at::Tensor EfficientNetLite0::features(const at::Tensor& pixels) const {
  at::Tensor x = at::relu6(stem_(pixels.contiguous(at::MemoryFormat::ChannelsLast)));  // faster on a CPU
  for (const MobileBlock& block : blocks_) {
    at::Tensor y = block.expands ? at::relu6(block.expand(x)) : x;
    y = block.project(at::relu6(block.depthwise(y)));
    x = block.skips ? x + y : y;
  }
  return at::relu6(head_(x)).flatten(2).transpose(1, 2).contiguous();
}

void EfficientNetLite0::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  stem_.visit(prefix + "._conv_stem", prefix + "._bn0", visitor);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    MobileBlock& block = blocks_[i];
    const std::string name = prefix + "._blocks." + std::to_string(i);
    if (block.expands) block.expand.visit(name + "._expand_conv", name + "._bn0", visitor);
    block.depthwise.visit(name + "._depthwise_conv", name + "._bn1", visitor);
    block.project.visit(name + "._project_conv", name + "._bn2", visitor);
  }
  head_.visit(prefix + "._conv_head", prefix + "._bn1", visitor);
}

}  // namespace moellava
