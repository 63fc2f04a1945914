#include "model/load.hpp"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/error.hpp"
#include "model/adapter_tensors.hpp"
#include "model/gguf_model.hpp"
#include "model/sources.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// A model with shapes and no memory, so that a config that promises more than the files hold costs nothing.
std::unique_ptr<MoeLlava> outline_of(const ModelConfig& config) {
  const ShapesOnly shapes_only;
  return std::make_unique<MoeLlava>(config);
}

void require_fitting(MoeLlava& outline, const Sources& sources, const std::vector<SourceJoin>& joins) {
  for (const SourceJoin& source : joins) {
    const std::string problems = join_problems(outline, *source.file, source.join);
    if (!problems.empty())
      throw bad_data(source.file->path, "tensors do not fit the model", {.found = problems});
  }
  if (!sources.adapter) return;
  const AdapterFolder& adapter = *sources.adapter;
  const std::string problems = adapter_problems(outline, adapter.tensors, adapter.config);
  if (!problems.empty())
    throw bad_data(adapter.tensors.path, "adapters do not fit " + adapter.base.string(), {.found = problems});
}

// torch.nn.Linear's default initialisation for a new projector and new routers, in visiting order.
void initialise_new(MoeLlava& model, const std::function<bool(const std::string&)>& is_new, uint64_t seed) {
  const at::NoGradGuard no_grad;
  uint64_t stream = 0;
  double bound = 0;
  model.visit([&](const std::string& name, at::Tensor& parameter) {
    ++stream;
    if (!is_new(name)) return;
    // A bias follows its weight and shares its bound.
    if (parameter.dim() == 2) bound = 1.0 / std::sqrt(static_cast<double>(parameter.size(1)));
    parameter = at::empty(parameter.sizes(), at::kFloat);
    fill_uniform(parameter, bound, seed, stream);
  });
}

LoadedModel outline_of_sources(const Sources& sources, const std::vector<SourceJoin>& joins) {
  LoadedModel loaded{.model = outline_of(sources.config), .tokenizer = sources.open_tokenizer()};
  require_fitting(*loaded.model, sources, joins);
  return loaded;
}

// After the weights: none of the joins knows an adapter's matrices.
void add_read_adapters(LoadedModel& loaded, const Sources& sources) {
  if (!sources.adapter) return;
  loaded.adapters = sources.adapter->config.settings;
  loaded.dropout = attach_adapters(*loaded.model, sources.adapter->tensors, sources.adapter->config);
}

}  // namespace

LoadedModel outline_model(const fs::path& path, const LoadOptions& options) {
  const Sources sources = open_sources(path, options);
  LoadedModel loaded = outline_of_sources(sources, joins_of(sources));
  add_read_adapters(loaded, sources);
  return loaded;
}

LoadedModel load_model(const fs::path& path, const LoadOptions& options) {
  const Sources sources = open_sources(path, options);
  const std::vector<SourceJoin> joins = joins_of(sources);
  LoadedModel loaded = outline_of_sources(sources, joins);
  initialise_new(
      *loaded.model, [&](const std::string& name) { return sources.is_new(name); }, options.seed);
  for (const SourceJoin& source : joins) {
    fill_parameters(*loaded.model, *source.file, source.join, options.memory);
  }
  add_read_adapters(loaded, sources);
  if (options.bfloat16_products) loaded.products = std::make_shared<const Bfloat16Products>(true);
  return loaded;
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  if (!fs::exists(path)) throw make_error(ErrorKind::Io, path.string(), "no such file or folder");
  if (is_adapter_folder(path)) return load_tokenizer(open_adapter_folder(path, {}).base);
  return is_gguf(path) ? gguf_tokenizer(open_gguf(path)) : open_tokenizer_folder(path);
}

}  // namespace moellava
