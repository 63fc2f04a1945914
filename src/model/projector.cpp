#include "model/projector.hpp"

#include "base/error.hpp"

namespace moellava {

namespace {

// 1 for "linear", N for "mlpNx_gelu"; 0 for anything else.
int depth_of(const std::string& type) {
  if (type == "linear") return 1;
  const bool is_mlp = type.size() == 10 && type.starts_with("mlp") && type.ends_with("x_gelu");
  return is_mlp && type[3] >= '1' && type[3] <= '9' ? type[3] - '0' : 0;
}

}  // namespace

Projector::Projector(const std::string& type, int64_t vision_width, int64_t width) {
  const int depth = depth_of(type);
  if (depth == 0) {
    throw bad_data(
        "config.json: image_projector_type", "unsupported projector",
        {.found = "\"" + printable(type) + "\"", .expected = "linear or mlpNx_gelu with N from 1 to 9"});
  }
  for (int i = 0; i < depth; ++i)
    linears.emplace_back(i == 0 ? vision_width : width, width, /*with_bias=*/true);
}

at::Tensor Projector::operator()(const at::Tensor& features) const {
  at::Tensor x = linears[0](features);
  for (size_t i = 1; i < linears.size(); ++i) x = linears[i](at::gelu(x, "none"));
  return x;
}

void Projector::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  // The checkpoint counts Linear and GELU modules alike: 0, 2, 4, ...; a lone Linear has no index.
  if (linears.size() == 1) return linears[0].visit(prefix, visitor);
  for (size_t i = 0; i < linears.size(); ++i) linears[i].visit(prefix + "." + std::to_string(2 * i), visitor);
}

}  // namespace moellava
