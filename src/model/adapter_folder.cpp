#include "model/adapter_folder.hpp"

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/safetensors.hpp"
#include "files/torch_write.hpp"
#include "model/adapter_tensors.hpp"
#include "model/families/family.hpp"
#include "model/family_tensors.hpp"
#include "model/model_folder.hpp"
#include "model/weights.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr const char* kAdapterFile = "adapter_model.safetensors";

FamilyTensors wrapped_tensors(MoeLlava& model, const std::function<bool(const std::string& name)>& wanted) {
  FamilyTensors tensors = family_tensors(model, wanted);
  for (TensorView& view : tensors.views) view.name = kAdapterWrapper + view.name;
  return tensors;
}

// The shortest end of a module's path, in whole words, that no module of `others` shares.
std::string telling_end(const std::string& module, const std::set<std::string>& others) {
  size_t begin = module.rfind('.');
  while (begin != std::string::npos) {
    const std::string end = module.substr(begin + 1);
    const bool shared = std::any_of(others.begin(), others.end(),
                                    [&](const std::string& other) { return names_module(end, other); });
    if (!shared) return end;
    begin = begin == 0 ? std::string::npos : module.rfind('.', begin - 1);
  }
  return module;
}

// What PEFT must know to put the adapters where they are.
AdapterConfig describe_adapters(MoeLlava& model, const AdapterSettings& settings, const std::string& base) {
  const Family& family = family_by_name(model.config().family);
  AdapterConfig config;
  config.settings = settings;
  config.base = base;
  std::set<std::string> adapted, others;  // modules, as the family names them
  model.decoder().visit_linears([&](const std::string& name, Linear& linear) {
    const std::string module = family.file_name(name);
    if (!linear.low_rank) {
      others.insert(module);
      return;
    }
    adapted.insert(module);
    const int64_t rank = linear.low_rank->a.size(0);
    const double unit = adapter_scale(1, rank, settings.rank_stabilised);
    const double alpha = linear.low_rank->scale / unit;
    if (rank != settings.rank) config.ranks[module] = rank;
    if (std::abs(alpha - settings.alpha) > 1e-6 * settings.alpha) config.alphas[module] = alpha;
  });
  for (const std::string& module : adapted) config.targets.insert(telling_end(module, others));
  return config;
}

}  // namespace

bool is_adapter_folder(const fs::path& path) {
  return fs::exists(path / kAdapterConfigFile);
}

void require_adapter_folder(const fs::path& path, const std::string& flag) {
  if (is_adapter_folder(path)) return;
  throw make_error(ErrorKind::Io, path.string(), "no adapter's folder",
                   {.expected = std::string(kAdapterConfigFile) + " in it", .hint = flag});
}

AdapterFolder open_adapter_folder(const fs::path& folder, const fs::path& base) {
  AdapterFolder adapter;
  adapter.config = read_adapter_config(folder / kAdapterConfigFile);
  adapter.base = base.empty() ? fs::path(adapter.config.base) : base;
  if (adapter.base.empty() || !fs::exists(adapter.base)) {
    throw make_error(
        ErrorKind::Io, (folder / kAdapterConfigFile).string() + ": base_model_name_or_path",
        "the model that the adapter belongs to is not there",
        {.found = "\"" + printable(adapter.base.string()) + "\"", .hint = "--model-base names its folder"});
  }
  if (is_adapter_folder(adapter.base)) {
    throw bad_data(adapter.base.string(), "is an adapter itself",
                   {.expected = "a whole model", .hint = "moe-llava merge makes one of it"});
  }
  const bool safe = fs::exists(folder / kAdapterFile);
  adapter.tensors = open_wrapped_tensors(folder / (safe ? kAdapterFile : "adapter_model.bin"));
  if (fs::exists(folder / kNonLoraFile)) adapter.whole = open_wrapped_tensors(folder / kNonLoraFile);
  if (const fs::path path = folder / "config.json"; fs::exists(path)) {
    adapter.model = read_model_config(folder);
    const Json json = read_json(path);
    adapter.conversation = JsonObject(json, path.string()).string_or("conv_version", "");
  }
  return adapter;
}

void save_adapter(MoeLlava& model, const AdapterSettings& settings, const std::string& base,
                  const fs::path& folder) {
  fs::create_directories(folder);
  write_safetensors(folder / kAdapterFile, wrapped_tensors(model, is_low_rank_parameter).views,
                    {{"format", "pt"}});
  const FamilyTensors whole = wrapped_tensors(model, [](const std::string& name) {
    return is_saved_with_adapters(name) && !is_low_rank_parameter(name);
  });
  if (!whole.views.empty()) write_torch_file(folder / kNonLoraFile, whole.views);
  save_config(model.config(), folder);
  const AdapterConfig config = describe_adapters(model, settings, base);
  write_file_atomic(folder / kAdapterConfigFile, adapter_config_json(config).dump(2) + "\n");
}

}  // namespace moellava
