// The vision transformer of CLIP and of SigLIP, which is CLIP's without class token and first norm, and with
// a bias on its patches. B pictures, S image side, N tokens: the patches and CLIP's class token, H width.
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

  // [B, 3, S, S] -> hidden states [embeddings, layer 1, ..., up to the selected layer], each [B, N, H].
  std::vector<at::Tensor> hidden_states(const at::Tensor& pixels) const;
  at::Tensor features(const at::Tensor& pixels) const;  // [B, config.tokens(), H]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  at::Tensor embeddings(const at::Tensor& pixels) const;  // [B, N, H]

  VisionConfig config_;
  at::Tensor class_embedding_;     // [H], CLIP only
  at::Tensor patch_embedding_;     // [H, 3, patch, patch]
  at::Tensor patch_bias_;          // [H], SigLIP only
  at::Tensor position_embedding_;  // [N, H]
  Norm pre_layernorm_;             // CLIP only
  std::vector<ClipLayer> layers_;  // all of them are loaded; those past the selected layer never run
  Norm post_layernorm_;
};

}  // namespace moellava
