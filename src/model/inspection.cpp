#include "model/inspection.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "model/adapter_tensors.hpp"
#include "model/model_folder.hpp"
#include "model/sources.hpp"

namespace moellava {

namespace {

void count_tensors(const TensorFile& file, Inspection& inspection) {
  for (const TensorView& tensor : file.tensors) {
    inspection.bytes += tensor.data.size();
    inspection.bytes_of_dtype[dtype_name(tensor.dtype)] += tensor.data.size();
    ++inspection.tensors;
  }
}

void check_values(const TensorFile& file, std::vector<std::string>& problems) {
  constexpr size_t kNamed = 10;
  Progress progress("reading tensors", static_cast<int64_t>(file.tensors.size()));
  std::vector<float> values;
  int64_t done = 0;
  for (const TensorView& tensor : file.tensors) {
    values.resize(tensor.numel());
    to_float32(tensor, values);
    const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
    if (bad != values.end() && problems.size() < kNamed) {
      problems.push_back(file.path + ": tensor \"" + printable(tensor.name) + "\": not finite: found " +
                         std::to_string(*bad) + " at value " + std::to_string(bad - values.begin()));
    }
    progress.update(++done);
  }
}

void inspect_adapter(const AdapterFolder& adapter, MoeLlava& outline, Inspection& inspection) {
  count_tensors(adapter.tensors, inspection);
  InspectedAdapter& told = inspection.adapter.emplace();
  told.base = adapter.base;
  told.settings = adapter.config.settings;
  for (const TensorView& tensor : adapter.tensors.tensors) told.parameters += tensor.numel();
  const std::string misfits = adapter_problems(outline, adapter.tensors, adapter.config);
  if (!misfits.empty())
    inspection.problems.push_back(adapter.tensors.path + ": adapters do not fit " + adapter.base.string() +
                                  ": found " + misfits);
}

void inspect_tensors(const Sources& sources, MoeLlava& outline, bool read_values, Inspection& inspection) {
  for (const SourceJoin& source : joins_of(sources)) {
    count_tensors(*source.file, inspection);
    const std::string misfits = join_problems(outline, *source.file, source.join);
    if (!misfits.empty())
      inspection.problems.push_back(source.file->path + ": tensors do not fit the model: found " + misfits);
    if (read_values) check_values(*source.file, inspection.problems);
  }
  if (!sources.adapter) return;
  inspect_adapter(*sources.adapter, outline, inspection);
  if (read_values) check_values(sources.adapter->tensors, inspection.problems);
}

// Runs one part of the inspection; what it throws is a problem, and the other parts go on.
template <typename Part>
void collect(std::vector<std::string>& problems, Part part) {
  try {
    part();
  } catch (const Error& error) {
    problems.emplace_back(error.what());
  }
}

}  // namespace

Inspection inspect_model(const std::filesystem::path& path, const LoadOptions& options, bool read_values) {
  if (!std::filesystem::exists(path))
    throw make_error(ErrorKind::Io, path.string(), "no such file or folder");
  Inspection inspection;
  std::vector<std::string>& problems = inspection.problems;
  std::optional<Sources> sources;
  collect(problems, [&] {
    sources = open_sources(path, options);
    inspection.config = sources->config;
  });
  // Without its weights, a folder is still worth a look.
  if (!sources && std::filesystem::exists(path / "config.json")) {
    std::vector<std::string> told;
    collect(told, [&] { inspection.config = read_model_config(path); });
  }
  if (inspection.config) {
    collect(problems, [&] {
      const ShapesOnly shapes_only;
      MoeLlava outline(*inspection.config);
      inspection.parameters = count_parameters(outline);
      if (sources) inspect_tensors(*sources, outline, read_values, inspection);
    });
  }
  collect(problems,
          [&] { inspection.tokens = (sources ? sources->open_tokenizer() : load_tokenizer(path))->size(); });
  return inspection;
}

}  // namespace moellava
