#include "model/projector_file.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr std::string_view kCanonical = "model.mm_projector.image_spatial_proj.";

// "0.weight" of "model.mm_projector.0.weight"; "" for a tensor that is not of a projector.
std::string own_name(const std::string& name) {
  for (std::string_view stem : {"mm_projector.image_spatial_proj.", "mm_projector."}) {
    if (const size_t at = name.find(stem); at != std::string::npos) return name.substr(at + stem.size());
  }
  return "";
}

}  // namespace

TensorFile open_projector_file(const std::filesystem::path& path) {
  TensorFile file = open_tensor_file(path);
  bool found = false;
  for (TensorView& tensor : file.tensors) {
    const std::string own = own_name(tensor.name);
    if (own.empty()) continue;
    tensor.name = std::string(kCanonical) + own;
    found = true;
  }
  if (!found) {
    throw bad_data(path.string(), "holds no projector",
                   {.found = std::to_string(file.tensors.size()) + " other tensors",
                    .expected = "tensors like model.mm_projector.0.weight"});
  }
  return file;
}

std::string projector_type_of(const TensorFile& file) {
  constexpr std::string_view kBlock = "block.";
  bool pooled = false;
  int last = -1;  // index of the last module; Linear and GELU are counted alike
  for (const TensorView& tensor : file.tensors) {
    if (!tensor.name.starts_with(kCanonical)) continue;
    std::string_view own = std::string_view(tensor.name).substr(kCanonical.size());
    if (own.starts_with(kBlock)) {
      pooled = true;
      own.remove_prefix(kBlock.size());
    }
    int index = -1;  // stays so for "weight" and "bias"
    std::from_chars(own.data(), own.data() + own.size(), index);
    last = std::max(last, index);
  }
  if (last < 0) return "linear";
  return (pooled ? "pool_mlp" : "mlp") + std::to_string(last / 2 + 1) + "x_gelu";
}

}  // namespace moellava
