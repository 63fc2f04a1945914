#include "train/checkpoint.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/safetensors.hpp"
#include "model/family_tensors.hpp"
#include "train/checkpoint_manifest.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kUnfinished = ".tmp";  // behind the name of a folder in the making
constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimiser = "optimizer.safetensors";
constexpr const char* kState = "trainer_state.json";
constexpr int64_t kFormat = 2;

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
  std::vector<at::Tensor> values;  // where the tensors are elsewhere than in the processor's memory, copies
  for (const auto& [name, tensor] : tensors) {
    values.push_back(tensor.detach().cpu());
    views.push_back(view_of(name, values.back()));
  }
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
    const at::Tensor values = tensor.is_cpu() ? tensor : at::empty(tensor.sizes());
    std::memcpy(values.data_ptr(), view->data.data(), view->data.size());
    if (!tensor.is_cpu()) tensor.detach().copy_(values);
  }
}

TrainState read_state(const fs::path& folder) {
  const fs::path path = folder / kState;
  const Json json = read_state_json(path);
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

void write_checkpoint(const fs::path& folder, const TrainState& state, AdamW& optimiser) {
  fs::remove_all(folder);
  fs::create_directory(folder);
  const NamedTensors tensors = tensors_of(optimiser);
  write_tensors(folder / kModel, tensors.model);
  write_tensors(folder / kOptimiser, tensors.optimiser);
  write_state(folder / kState, state);
  seal_checkpoint(folder);
}

bool is_whole(const fs::path& folder) {
  if (!fs::exists(folder)) return false;
  try {
    read_checkpoint(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

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

fs::path checkpoint_folder(const fs::path& output_dir, int64_t step) {
  return output_dir / (std::string(kPrefix) + std::to_string(step));
}

Json read_state_json(const fs::path& path) {
  // log_history grows with the run.
  return read_json(path, {.bytes = 1ull << 30, .depth = 64});
}

void write_state(const fs::path& path, const TrainState& state) {
  const Json head = {{"format", kFormat},
                     {"global_step", state.step},
                     {"optimizer_updates", state.updates},
                     {"settings", state.settings},
                     {"data_hash", state.data_hash}};
  // A line for every entry of the history, which may be long.
  std::string text = head.dump(1);
  text.resize(text.size() - std::string_view("\n}").size());
  text += ",\n \"log_history\": [";
  const char* separator = "\n  ";
  for (const Json& entry : state.log_history) {
    text += separator + entry.dump();
    separator = ",\n  ";
  }
  write_file_atomic(path, text + "\n ]\n}\n");
}

void save_checkpoint(const fs::path& output_dir, const TrainState& state, AdamW& optimiser, int64_t keep) {
  const fs::path folder = checkpoint_folder(output_dir, state.step);
  if (is_whole(folder)) return;  // the same one: a run that goes on from an older checkpoint repeats itself
  fs::path temporary = folder;
  temporary += kUnfinished;
  try {
    write_checkpoint(temporary, state, optimiser);
    if (fs::exists(folder)) remove_checkpoint(folder);  // a damaged one that was trained over
    fs::rename(temporary, folder);
    fsync_folder(output_dir);
    prune_checkpoints(output_dir, state.step, keep);
  } catch (const std::exception& error) {
    // On a full disk, what was written so far would be in everybody's way.
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    const auto* failure = dynamic_cast<const fs::filesystem_error*>(&error);
    if (failure == nullptr) throw;
    throw io_error(failure->path1().string(), "cannot save the checkpoint", failure->code().value());
  }
}

FoundCheckpoint read_checkpoint(const fs::path& folder) {
  verify_checkpoint(folder, {kModel, kOptimiser, kState});
  return {.path = folder, .state = read_state(folder), .ignored = {}};
}

std::optional<FoundCheckpoint> newest_checkpoint(const fs::path& output_dir) {
  const std::vector<int64_t> steps = checkpoint_steps(output_dir);
  FoundCheckpoint found;
  for (int64_t step : steps) {
    found.path = checkpoint_folder(output_dir, step);
    try {
      found.state = read_checkpoint(found.path).state;
      if (found.state.step != step) {
        throw bad_data(found.path.string(), "holds another step",
                       {.found = std::to_string(found.state.step), .expected = std::to_string(step)});
      }
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

void prune_checkpoints(const fs::path& output_dir, int64_t newest, int64_t keep) {
  std::vector<int64_t> steps = checkpoint_steps(output_dir);
  std::erase_if(steps, [&](int64_t step) { return step > newest; });
  for (size_t i = static_cast<size_t>(keep); i < steps.size(); ++i)
    remove_checkpoint(checkpoint_folder(output_dir, steps[i]));
}

void remove_unfinished_saves(const fs::path& output_dir) {
  std::vector<fs::path> leftovers;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kUnfinished)) leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
}

}  // namespace moellava
