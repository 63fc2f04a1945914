// The vision tower, chosen by config; nothing above it knows which it is.
#pragma once

#include <variant>

#include "model/clip.hpp"
#include "model/efficientnet.hpp"

namespace moellava {

class VisionTower {
 public:
  explicit VisionTower(const VisionConfig& config);

  // [B, 3, S, S] -> [B, N, mm_hidden_size]; never tracked by autograd: the tower is frozen in every stage.
  at::Tensor features(const at::Tensor& pixels) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  std::variant<ClipTower, EfficientNetLite0> tower_;
};

}  // namespace moellava
