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

TensorView view_of(std::string name, const at::Tensor& tensor) {
  const auto numel = static_cast<size_t>(tensor.numel());
  return {.name = std::move(name),
          .dtype = DType::F32,
          .shape = tensor.sizes().vec(),
          .data = std::as_bytes(std::span(tensor.const_data_ptr<float>(), numel))};
}

FamilyTensors family_tensors(MoeLlava& model, const std::function<bool(const std::string& name)>& wanted) {
  const Family& family = family_by_name(model.config().family);
  FamilyTensors tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    tensors.keep.push_back(tensor.detach().cpu().contiguous());
    tensors.views.push_back(view_of(name, tensors.keep.back()));
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
