#include "train/checkpoint.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/safetensors.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "checkpoint-";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimiser = "optimizer.safetensors";
constexpr const char* kState = "trainer_state.json";
constexpr const char* kComplete = "COMPLETE";
constexpr int64_t kFormat = 2;

// log_history grows with the run.
constexpr JsonLimits kStateLimits = {.bytes = 1ull << 30, .depth = 64};

TensorView view_of(std::string name, const at::Tensor& tensor) {
  const auto numel = static_cast<size_t>(tensor.numel());
  return {.name = std::move(name),
          .dtype = DType::F32,
          .shape = tensor.sizes().vec(),
          .data = std::as_bytes(std::span(static_cast<const float*>(tensor.const_data_ptr()), numel))};
}

// Every tensor of a checkpoint under its name: the parameters, then first and second moments.
struct NamedTensors {
  std::vector<std::pair<std::string, at::Tensor>> model, optimiser;
};
NamedTensors tensors_of(AdamW& optimiser) {
  NamedTensors tensors;
  const auto& parameters = optimiser.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    tensors.model.emplace_back(parameters[i].name, parameters[i].tensor);
    tensors.optimiser.emplace_back("exp_avg." + parameters[i].name, optimiser.first_moments()[i]);
    tensors.optimiser.emplace_back("exp_avg_sq." + parameters[i].name, optimiser.second_moments()[i]);
  }
  return tensors;
}

void write_tensors(const fs::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) views.push_back(view_of(name, tensor));
  write_safetensors(path, views);
}

// The file holds `all` tensors, of which these are some or all.
void read_tensors(const fs::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  size_t all) {
  const TensorFile file = open_safetensors(path);
  if (file.tensors.size() != all) {
    throw bad_data(
        path.string(), "a checkpoint of other parameters",
        {.found = std::to_string(file.tensors.size()) + " tensors", .expected = std::to_string(all)});
  }
  for (const auto& [name, tensor] : tensors) {
    const TensorView* view = file.find(name);
    if (view == nullptr || view->dtype != DType::F32 || view->shape != tensor.sizes().vec()) {
      throw bad_data(path.string(), view == nullptr ? "missing tensor" : "tensor of another shape",
                     {.at = "tensor \"" + printable(name) + "\""});
    }
    std::memcpy(tensor.data_ptr(), view->data.data(), view->data.size());
  }
}

// Steps of all checkpoint-N folders, newest first; order is by step, not by time.
std::vector<int64_t> checkpoint_steps(const fs::path& output_dir) {
  std::vector<int64_t> steps;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !entry.is_directory()) continue;
    const std::string digits = name.substr(kPrefix.size());
    const bool number =
        !digits.empty() && digits.size() < 18 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) steps.push_back(std::stoll(digits));
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

fs::path folder_of(const fs::path& output_dir, int64_t step) {
  return output_dir / (std::string(kPrefix) + std::to_string(step));
}

// Throws BadData when a file is missing or has another size than when it was written.
void require_complete(const fs::path& folder) {
  const fs::path marker = folder / kComplete;
  if (!fs::exists(marker)) throw bad_data(folder.string(), "incomplete");
  const Json json = read_json(marker);
  const JsonObject sizes = JsonObject(json, marker.string()).object("files");
  for (const char* name : {kModel, kOptimiser, kState}) {
    std::error_code failure;
    const uint64_t size = fs::file_size(folder / name, failure);
    const auto expected = static_cast<uint64_t>(sizes.integer(name, 0, INT64_MAX));
    if (failure || size != expected) {
      throw bad_data((folder / name).string(), "damaged",
                     {.found = failure ? "no file" : std::to_string(size) + " bytes",
                      .expected = std::to_string(expected)});
    }
  }
}

TrainState read_state(const fs::path& folder) {
  const fs::path path = folder / kState;
  const Json json = read_json(path, kStateLimits);
  const JsonObject object(json, path.string());
  if (const int64_t format = object.integer("format", 0, INT64_MAX); format != kFormat) {
    throw bad_data(path.string(), "written by another version",
                   {.found = "format " + std::to_string(format), .expected = std::to_string(kFormat)});
  }
  TrainState state;
  state.step = object.integer("global_step", 0, INT64_MAX);
  state.updates = object.integer("optimizer_updates", 0, state.step);
  state.settings = object.object("settings").raw();
  state.data_hash = object.string("data_hash");
  state.log_history = object.at("log_history");
  return state;
}

void remove_checkpoint(const fs::path& folder) {
  // First the marker: what is half removed must not look whole.
  fs::remove(folder / kComplete);
  fs::remove_all(folder);
}

}  // namespace

Json state_json(const TrainState& state) {
  return {{"format", kFormat},          {"global_step", state.step},    {"optimizer_updates", state.updates},
          {"settings", state.settings}, {"data_hash", state.data_hash}, {"log_history", state.log_history}};
}

void save_checkpoint(const fs::path& output_dir, const TrainState& state, AdamW& optimiser, int64_t keep) {
  const fs::path folder = folder_of(output_dir, state.step);
  fs::path temporary = folder;
  temporary += ".tmp";
  try {
    fs::remove_all(temporary);
    fs::create_directory(temporary);
    const NamedTensors tensors = tensors_of(optimiser);
    write_tensors(temporary / kModel, tensors.model);
    write_tensors(temporary / kOptimiser, tensors.optimiser);
    write_file_atomic(temporary / kState, state_json(state).dump(1) + "\n");
    Json sizes;
    for (const char* name : {kModel, kOptimiser, kState}) sizes[name] = fs::file_size(temporary / name);
    write_file_atomic(temporary / kComplete, Json{{"files", sizes}}.dump(1) + "\n");
    if (fs::exists(folder)) remove_checkpoint(folder);  // a damaged one that was trained over
    fs::rename(temporary, folder);
  } catch (const fs::filesystem_error& error) {
    throw io_error(temporary.string(), "cannot save the checkpoint", error.code().value());
  }
  fsync_folder(output_dir);
  prune_checkpoints(output_dir, keep);
}

std::optional<FoundCheckpoint> newest_checkpoint(const fs::path& output_dir) {
  const std::vector<int64_t> steps = checkpoint_steps(output_dir);
  FoundCheckpoint found;
  for (int64_t step : steps) {
    found.path = folder_of(output_dir, step);
    try {
      require_complete(found.path);
      found.state = read_state(found.path);
      return found;
    } catch (const Error& error) {
      found.ignored.push_back(error.what());
    }
  }
  if (steps.empty()) return std::nullopt;
  throw bad_data(
      output_dir.string(), "no whole checkpoint among " + std::to_string(steps.size()),
      {.found = found.ignored.front(), .hint = "--overwrite_output_dir starts from the beginning"});
}

void restore_checkpoint(const FoundCheckpoint& checkpoint, const std::vector<NamedParameter>& parameters,
                        size_t all, AdamW& optimiser) {
  std::vector<std::pair<std::string, at::Tensor>> values;
  for (const NamedParameter& parameter : parameters) values.emplace_back(parameter.name, parameter.tensor);
  read_tensors(checkpoint.path / kModel, values, all);
  read_tensors(checkpoint.path / kOptimiser, tensors_of(optimiser).optimiser, 2 * all);
  optimiser.set_updates(checkpoint.state.updates);
}

void restore_checkpoint(const FoundCheckpoint& checkpoint, AdamW& optimiser) {
  restore_checkpoint(checkpoint, optimiser.parameters(), optimiser.parameters().size(), optimiser);
}

void prune_checkpoints(const fs::path& output_dir, int64_t keep) {
  const std::vector<int64_t> steps = checkpoint_steps(output_dir);
  for (size_t i = static_cast<size_t>(keep); i < steps.size(); ++i)
    remove_checkpoint(folder_of(output_dir, steps[i]));
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(".tmp")) leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
}

}  // namespace moellava
