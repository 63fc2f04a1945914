#include "model/moe_llava.hpp"

#include <string_view>
#include <unordered_map>

namespace moellava {

MoeLlava::MoeLlava(const ModelConfig& config) : config_(config), decoder_(config.decoder, config.moe) {
  if (config.vision) {
    tower_.emplace(*config.vision);
    projector_ = Projector(config.projector, *config.vision, config.decoder.hidden_size);
  }
}

at::Tensor MoeLlava::encode_images(const at::Tensor& pixels) const {
  return tower_.value().features(pixels.to(decoder_.device()));
}

void MoeLlava::to(at::Device device) {
  if (device == decoder_.device()) return;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> moved;
  std::vector<at::Tensor> before;  // so that no address in `moved` is used again
  visit([&](const std::string&, at::Tensor& tensor) {
    before.push_back(tensor);
    tensor = tensor.detach().to(device).requires_grad_(tensor.requires_grad());
    moved[before.back().unsafeGetTensorImpl()] = tensor;
  });
  // What adapters share they share there, too.
  decoder_.visit_linears([&](const std::string&, Linear& linear) {
    if (linear.low_rank && linear.low_rank->shares_a)
      linear.low_rank->a = moved.at(linear.low_rank->a.unsafeGetTensorImpl());
  });
}

void MoeLlava::visit(const ParameterVisitor& visitor) {
  decoder_.visit(visitor);
  if (tower_) {
    projector_.visit("model.mm_projector.image_spatial_proj", visitor);
    tower_->visit("model.image_tower.image_tower", visitor);
  }
}

ParameterCount count_parameters(MoeLlava& model) {
  ParameterCount count;
  int64_t expert_parameters = 0;  // of all experts of all layers
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    const bool decoder =
        name.find(".mm_projector.") == std::string::npos && name.find(".image_tower.") == std::string::npos;
    count.total += tensor.numel();
    if (decoder) count.decoder_total += tensor.numel();
    if (name.find(".deepspeed_experts.") != std::string::npos) expert_parameters += tensor.numel();
  });
  int64_t silent = 0;
  const MoeConfig& moe = model.config().moe;
  if (moe.enabled()) {
    // Experts of all layers are equally large. As in the paper's sums, an expert's row of the router is
    // silent with it.
    int64_t experts = 0;
    for (int64_t number : moe.experts) experts += number;
    const int64_t one = expert_parameters / experts + model.config().decoder.hidden_size;
    for (int64_t number : moe.experts) silent += (number - std::min(number, moe.top_k)) * one;
  }
  count.active = count.total - silent;
  count.decoder_active = count.decoder_total - silent;
  return count;
}

}  // namespace moellava
