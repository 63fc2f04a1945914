#include "model/projector.hpp"

#include <cmath>

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr const char* kField = "config.json: image_projector_type";

// N of "mlpNx_gelu" with N from 1 to 9; 0 for anything else.
int64_t mlp_depth(std::string_view name) {
  const bool is_mlp = name.size() == 10 && name.starts_with("mlp") && name.ends_with("x_gelu");
  return is_mlp && name[3] >= '1' && name[3] <= '9' ? name[3] - '0' : 0;
}

// Tokens a side of the square that a picture's tokens form.
int64_t even_grid(int64_t tokens) {
  const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(tokens))));
  if (side * side != tokens || side % 2 != 0) {
    throw bad_data(kField, "pools 2 x 2 tokens of a square grid",
                   {.found = std::to_string(tokens) + " tokens of the vision tower",
                    .expected = "the square of an even number, as 576"});
  }
  return side;
}

}  // namespace

ProjectorType projector_type(const std::string& name) {
  constexpr std::string_view kPool = "pool_";
  if (name == "identity") return {};
  if (name == "linear") return {.linears = 1};
  const bool pooled = name.starts_with(kPool);
  if (const int64_t depth = mlp_depth(std::string_view(name).substr(pooled ? kPool.size() : 0)))
    return {.linears = depth, .indexed = true, .pooled = pooled};
  // The original's heavier projectors; no published model uses one.
  bool known = false;
  for (const char* prefix : {"simple_in", "qformer", "cheap_"}) known = known || name.starts_with(prefix);
  throw bad_data(kField, known ? "projector not supported" : "unknown projector",
                 {.found = "\"" + printable(name) + "\"",
                  .expected = "linear, mlpNx_gelu, pool_mlpNx_gelu (N from 1 to 9) or identity"});
}

int64_t image_tokens(const ModelConfig& config) {
  if (!config.vision) return 0;
  return config.vision->tokens() / (projector_type(config.projector).pooled ? 4 : 1);
}

Projector::Projector(const std::string& type, const VisionConfig& vision, int64_t width)
    : type_(projector_type(type)) {
  if (type_.pooled) grid_ = even_grid(vision.tokens());
  if (type_.linears == 0 && vision.hidden_size != width) {
    throw bad_data(kField, "identity needs equal widths",
                   {.found = std::to_string(vision.hidden_size) + " of the vision tower",
                    .expected = std::to_string(width) + " of the language model"});
  }
  for (int64_t i = 0; i < type_.linears; ++i)
    linears_.emplace_back(i == 0 ? vision.hidden_size : width, width, /*with_bias=*/true);
}

at::Tensor Projector::operator()(const at::Tensor& features) const {
  at::Tensor x = features;
  if (type_.pooled) {
    // [..., g/2, 2, g/2, 2, W] -> [..., g/2, g/2, W] -> [..., N/4, W]
    x = x.unflatten(-2, {grid_ / 2, 2, grid_ / 2, 2}).mean({-4, -2}).flatten(-3, -2);
  }
  for (size_t i = 0; i < linears_.size(); ++i) x = linears_[i](i == 0 ? x : at::gelu(x, "none"));
  return x;
}

void Projector::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  const std::string block = prefix + (type_.pooled ? ".block" : "");
  // The checkpoint counts Linear and GELU modules alike: 0, 2, 4, ...
  for (size_t i = 0; i < linears_.size(); ++i)
    linears_[i].visit(type_.indexed ? block + "." + std::to_string(2 * i) : block, visitor);
}

}  // namespace moellava
