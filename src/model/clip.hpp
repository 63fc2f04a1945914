// CLIP's vision transformer. B pictures, S image side, N patches, H width.
#pragma once

#include "model/config.hpp"

namespace moellava {

struct ClipLayer {
  Norm layer_norm1;
  Attention self_attn;
  Norm layer_norm2;
  Linear fc1, fc2;
};

class ClipTower {
 public:
  ClipTower() = default;
  explicit ClipTower(const VisionConfig& config);

  // [B, 3, S, S] -> hidden states [embeddings, layer 1, ..., up to the selected layer], each [B, 1 + N, H].
  std::vector<at::Tensor> hidden_states(const at::Tensor& pixels) const;
  at::Tensor features(
      const at::Tensor& pixels) const;  // [B, N, H]; the class token too when the config says so
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  VisionConfig config_;
  at::Tensor class_embedding_;     // [H]
  at::Tensor patch_embedding_;     // [H, 3, patch, patch]
  at::Tensor position_embedding_;  // [1 + N, H]
  Norm pre_layernorm_;
  std::vector<ClipLayer> layers_;  // all of them are loaded; those past the selected layer never run
  Norm post_layernorm_;
};

}  // namespace moellava
