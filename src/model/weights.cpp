#include "model/weights.hpp"

#include <ATen/core/grad_mode.h>

#include <optional>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "model/name_list.hpp"

namespace moellava {

namespace {

// [heads, dim/2, 2] rows to [heads, 2, dim/2]: neighbours become halves.
at::Tensor halves_from_neighbours(const at::Tensor& weight, int64_t heads) {
  const int64_t dim = weight.size(0) / heads;
  at::DimVector shape{heads, dim / 2, 2};
  shape.append(weight.sizes().begin() + 1, weight.sizes().end());
  return weight.view(shape).transpose(1, 2).reshape(weight.sizes());
}

bool fits(const TensorView& view, const WeightRef& ref, const at::Tensor& parameter) {
  std::vector<int64_t> expected = parameter.sizes().vec();
  if (expected.empty()) return false;
  expected[0] *= ref.parts;
  return view.shape == expected;
}

// The rows of `view` that are the part `ref` asks for.
TensorView part_of(const TensorView& view, const WeightRef& ref) {
  TensorView part = view;
  part.shape[0] /= ref.parts;
  const size_t bytes = view.data.size() / static_cast<size_t>(ref.parts);
  part.data = view.data.subspan(static_cast<size_t>(ref.part) * bytes, bytes);
  return part;
}

at::Tensor read_float32(const TensorView& view, const WeightRef& ref) {
  at::Tensor values = at::empty(view.shape, at::kFloat);
  to_float32(view, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  return ref.interleaved_heads > 0 ? halves_from_neighbours(values, ref.interleaved_heads) : values;
}

std::optional<at::ScalarType> float_type(DType dtype) {
  if (dtype == DType::F32) return at::kFloat;
  if (dtype == DType::F16) return at::kHalf;
  if (dtype == DType::BF16) return at::kBFloat16;
  return std::nullopt;
}

// The file's own bytes, which live as long as the tensor; nothing when they cannot be used as they are.
// Matrices only: vectors and convolutions are small, and their users want float32.
std::optional<at::Tensor> view_stored(const TensorView& view, const WeightRef& ref,
                                      const std::shared_ptr<const void>& storage) {
  const auto dtype = float_type(view.dtype);
  if (!dtype || view.shape.size() != 2 || ref.interleaved_heads > 0) return std::nullopt;
  void* bytes = const_cast<std::byte*>(view.data.data());  // mapped read-only; nobody trains such a model
  if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(*dtype) != 0) {
    return at::from_blob(bytes, view.shape, at::TensorOptions(*dtype)).clone();
  }
  return at::from_blob(
      bytes, view.shape, [storage](void*) {}, at::TensorOptions(*dtype));
}

}  // namespace

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

bool is_integer(DType dtype) {
  return dtype == DType::I64 || dtype == DType::I32 || dtype == DType::I16 || dtype == DType::I8 ||
         dtype == DType::U8 || dtype == DType::Bool;
}

std::string join_problems(MoeLlava& model, const TensorFile& file, const WeightJoin& join) {
  NameList missing("missing");
  NameList unexpected("unexpected");
  NameList misshaped("with another shape");
  NameList integers("of integers, which are no weights");
  std::set<std::string> used;
  model.visit([&](const std::string& name, at::Tensor& parameter) {
    if (!join.wanted(name)) return;
    const WeightRef ref = join.locate(name);
    const TensorView* view = file.find(ref.name);
    if (view == nullptr) return missing.add(ref.name);
    used.insert(ref.name);
    if (!fits(*view, ref, parameter)) {
      misshaped.add(ref.name + " " + shape_text(view->shape) + " instead of " +
                    shape_text(parameter.sizes()));
    }
    if (is_integer(view->dtype)) integers.add(ref.name + " " + dtype_name(view->dtype));
  });
  for (const TensorView& tensor : file.tensors) {
    if (!used.contains(tensor.name) && !join.may_be_extra(tensor.name)) unexpected.add(tensor.name);
  }
  return text_of_lists({&missing, &unexpected, &misshaped, &integers});
}

void fill_parameters(MoeLlava& model, const TensorFile& file, const WeightJoin& join, WeightMemory memory) {
  const at::NoGradGuard no_grad;
  model.visit([&](const std::string& name, at::Tensor& parameter) {
    if (!join.wanted(name)) return;
    const WeightRef ref = join.locate(name);
    const TensorView view = part_of(*file.find(ref.name), ref);
    std::optional<at::Tensor> stored;
    if (memory == WeightMemory::AsStored) stored = view_stored(view, ref, file.storage);
    parameter = stored ? *stored : read_float32(view, ref);
  });
}

bool is_tower_parameter(const std::string& name) {
  return name.find(".image_tower.") != std::string::npos;
}

bool is_projector_parameter(const std::string& name) {
  return name.find(".mm_projector.") != std::string::npos;
}

bool is_expert_parameter(const std::string& name) {
  return name.find(".deepspeed_experts.") != std::string::npos;
}

bool is_router_parameter(const std::string& name) {
  return name.find(".deepspeed_moe.gate.wg.") != std::string::npos ||
         name.find(".mlp.coefficient.") != std::string::npos;
}

std::string dense_name_of_expert(const std::string& name) {
  constexpr std::string_view kExperts = ".deepspeed_moe.experts.deepspeed_experts.";
  std::string dense = name;
  if (const size_t at = dense.find(kExperts); at != std::string::npos) {
    const size_t end = dense.find('.', at + kExperts.size());
    dense.erase(at, end - at);
  }
  // The dense branch of a residual MoE is called ".mlp.mlp.".
  constexpr std::string_view kBranch = ".mlp.mlp.";
  if (const size_t at = dense.find(kBranch); at != std::string::npos)
    dense.replace(at, kBranch.size(), ".mlp.");
  return dense;
}

}  // namespace moellava
