// Vision features to the decoder's width. N tokens of a picture, W width of the tower, H of the decoder.
#pragma once

#include <string>
#include <vector>

#include "model/config.hpp"
#include "nn/linear.hpp"

namespace moellava {

// What image_projector_type asks for.
struct ProjectorType {
  int64_t linears = 0;   // GELU between them; 0: the features as they are ("identity")
  bool indexed = false;  // parameters are numbered "0.", "2.", ...: an mlp, but not a lone "linear"
  bool pooled = false;   // the mean of every 2 x 2 tokens of the grid comes first
};
// "linear", "mlpNx_gelu", "pool_mlpNx_gelu" or "identity"; the original's other projectors, and unknown ones,
// are refused by name.
ProjectorType projector_type(const std::string& name);

// Visual tokens of one picture as the decoder gets them: the tower's, or a quarter of them when pooled.
int64_t image_tokens(const ModelConfig& config);

class Projector {
 public:
  Projector() = default;
  // Throws BadData when the type does not go with these widths or with the tower's number of tokens.
  Projector(const std::string& type, const VisionConfig& vision, int64_t width);

  at::Tensor operator()(const at::Tensor& features) const;  // [..., N, W] -> [..., N or N / 4, H]
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  ProjectorType type_;
  int64_t grid_ = 0;             // tokens a side, when pooled
  std::vector<Linear> linears_;  // the first one W -> H, the others H -> H
};

}  // namespace moellava
