#include "model/family_tensors.hpp"

#include <map>

#include "model/families/family.hpp"

namespace moellava {

namespace {

// An adapter of fused q, k and v has one A for all, and a B for each (nn/low_rank.hpp).
bool is_third(const Family& family, const std::string& file_name) {
  return family.fused_qkv && file_name.find(".c_attn.") != std::string::npos &&
         file_name.find(".lora_A.") == std::string::npos;
}

}  // namespace

FamilyTensors family_tensors(MoeLlava& model, const std::function<bool(const std::string& name)>& wanted) {
  const Family& family = family_by_name(model.config().family);
  FamilyTensors tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    tensors.keep.push_back(tensor.detach().contiguous());
    const at::Tensor& kept = tensors.keep.back();
    const std::span<const float> values(kept.data_ptr<float>(), static_cast<size_t>(kept.numel()));
    tensors.views.push_back(
        {.name = name, .dtype = DType::F32, .shape = kept.sizes().vec(), .data = std::as_bytes(values)});
  };
  // Attention visits q.weight, q.bias, k.weight, k.bias, v.weight, v.bias: collect all six, then fuse.
  std::map<std::string, std::vector<at::Tensor>> thirds;
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    if (!wanted(name)) return;
    const std::string file_name = family.file_name(name);
    if (!is_third(family, file_name)) return add(file_name, tensor);
    auto& parts = thirds[file_name];
    parts.push_back(tensor.detach());
    if (parts.size() == 3) add(file_name, at::cat(parts, 0));
  });
  return tensors;
}

}  // namespace moellava
