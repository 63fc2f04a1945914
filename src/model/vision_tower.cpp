#include "model/vision_tower.hpp"

#include <ATen/core/grad_mode.h>

namespace moellava {

namespace {

std::variant<ClipTower, EfficientNetLite0> build(const VisionConfig& config) {
  switch (config.kind) {
    case TowerKind::Clip:
    case TowerKind::Siglip:
      return ClipTower(config);
    case TowerKind::EfficientNetLite0:
      return EfficientNetLite0();
  }
  return EfficientNetLite0();
}

}  // namespace

VisionTower::VisionTower(const VisionConfig& config) : tower_(build(config)) {}

at::Tensor VisionTower::features(const at::Tensor& pixels) const {
  const at::NoGradGuard frozen;
  return std::visit([&](const auto& tower) { return tower.features(pixels); }, tower_);
}

void VisionTower::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  std::visit([&](auto& tower) { tower.visit(prefix, visitor); }, tower_);
}

}  // namespace moellava
