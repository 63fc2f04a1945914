#include "model/adapter_tensors.hpp"

#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "model/families/family.hpp"
#include "model/name_list.hpp"
#include "model/weights.hpp"

namespace moellava {

namespace {

// One module of the family's files: a linear layer, or q, k and v fused.
struct Module {
  std::vector<Linear*> parts;  // as their rows follow each other
  std::vector<std::string> names;

  int64_t inputs() const { return parts[0]->weight.size(1); }
  int64_t outputs() const {
    int64_t sum = 0;
    for (const Linear* part : parts) sum += part->weight.size(0);
    return sum;
  }
};

std::map<std::string, Module> modules_of(MoeLlava& model) {
  const Family& family = family_by_name(model.config().family);
  std::map<std::string, Module> modules;
  model.decoder().visit_linears([&](const std::string& name, Linear& linear) {
    Module& module = modules[family.file_name(name)];
    module.parts.push_back(&linear);
    module.names.push_back(name);
  });
  return modules;
}

struct Matrices {
  const TensorView* a = nullptr;  // [R, in]
  const TensorView* b = nullptr;  // [out, R]
};

// "model.layers.0.mlp.fc1.lora_A.weight", or with an adapter's name: "....lora_A.default.weight". Returns the
// path before `marker`, or "" for other tensors.
std::string module_of(std::string_view tensor, std::string_view marker) {
  constexpr std::string_view kEnd = ".weight";
  const size_t at = tensor.rfind(marker);
  if (at == std::string_view::npos || !tensor.ends_with(kEnd)) return "";
  const std::string_view rest = tensor.substr(at + marker.size());  // ".weight" or ".default.weight"
  const bool named = rest.size() > kEnd.size();
  if (named && rest.substr(1, rest.size() - kEnd.size() - 1).find('.') != std::string_view::npos) return "";
  return std::string(tensor.substr(0, at));
}

// The file's matrices by module; what is none of them goes to `unexpected`.
std::map<std::string, Matrices> matrices_of(const TensorFile& file, NameList& unexpected) {
  std::map<std::string, Matrices> found;
  for (const TensorView& tensor : file.tensors) {
    const std::string of_a = module_of(tensor.name, ".lora_A");
    const std::string of_b = module_of(tensor.name, ".lora_B");
    if (of_a.empty() && of_b.empty()) {
      unexpected.add(tensor.name);
      continue;
    }
    const TensorView*& place = of_a.empty() ? found[of_b].b : found[of_a].a;
    if (place != nullptr) unexpected.add(tensor.name + " (twice)");
    place = &tensor;
  }
  return found;
}

at::Tensor read_matrix(const TensorView& view) {
  at::Tensor values = at::empty(view.shape, at::kFloat);
  to_float32(view, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

}  // namespace

TensorFile open_wrapped_tensors(const std::filesystem::path& path) {
  TensorFile file = open_tensor_file(path);
  std::set<std::string> names;
  for (TensorView& tensor : file.tensors) {
    if (tensor.name.starts_with(kAdapterWrapper))
      tensor.name.erase(0, std::string_view(kAdapterWrapper).size());
    if (!names.insert(tensor.name).second)
      throw bad_data(file.path, "two tensors of one name",
                     {.at = "tensor \"" + printable(tensor.name) + "\""});
  }
  return file;
}

std::string adapter_problems(MoeLlava& model, const TensorFile& file, const AdapterConfig& config) {
  NameList missing("missing");
  NameList unexpected("unexpected");
  NameList misshaped("with another shape");
  NameList integers("of integers, which are no weights");
  const auto check = [&](const std::string& name, const TensorView* view, const std::vector<int64_t>& shape) {
    if (view == nullptr) return missing.add(name);
    if (view->shape != shape)
      misshaped.add(view->name + " " + shape_text(view->shape) + " instead of " + shape_text(shape));
    if (is_integer(view->dtype)) integers.add(view->name + " " + dtype_name(view->dtype));
  };
  const std::map<std::string, Module> modules = modules_of(model);
  const std::map<std::string, Matrices> found = matrices_of(file, unexpected);
  for (const auto& [path, matrices] : found) {
    const auto module = modules.find(path);
    const bool targeted = config.targets.empty() || config.targets_module(path);
    if (module == modules.end() || !targeted) {
      unexpected.add(path + (targeted ? ".lora_*" : ".lora_* (not among target_modules)"));
      continue;
    }
    const int64_t rank = config.rank_of(path);
    check(path + ".lora_A.weight", matrices.a, {rank, module->second.inputs()});
    check(path + ".lora_B.weight", matrices.b, {module->second.outputs(), rank});
  }
  for (const auto& [path, module] : modules) {
    if (config.targets_module(path) && !found.contains(path)) missing.add(path + ".lora_*");
  }
  if (found.empty() && missing.empty()) missing.add("any adapter");
  return text_of_lists({&missing, &unexpected, &misshaped, &integers});
}

std::shared_ptr<Dropout> attach_adapters(MoeLlava& model, const TensorFile& file,
                                         const AdapterConfig& config) {
  const auto dropout = std::make_shared<Dropout>();
  const std::map<std::string, Module> modules = modules_of(model);
  NameList none("unexpected");
  for (const auto& [path, matrices] : matrices_of(file, none)) {
    const Module& module = modules.at(path);
    const at::Tensor a = read_matrix(*matrices.a);
    const at::Tensor b = read_matrix(*matrices.b);
    const double scale =
        adapter_scale(config.alpha_of(path), config.rank_of(path), config.settings.rank_stabilised);
    int64_t row = 0;
    for (size_t part = 0; part < module.parts.size(); ++part) {
      Linear& linear = *module.parts[part];
      const int64_t rows = linear.weight.size(0);
      linear.low_rank = LowRank{.a = a,
                                .b = b.narrow(0, row, rows).contiguous(),
                                .scale = scale,
                                .shares_a = part > 0,
                                .dropout = dropout,
                                .stream = dropout_stream(module.names[0])};
      row += rows;
    }
  }
  return dropout;
}

}  // namespace moellava
