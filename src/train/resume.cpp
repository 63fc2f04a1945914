#include "train/resume.hpp"

#include "base/error.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFlag = "--resume_from_checkpoint";

std::string quoted(const fs::path& path) {
  return "\"" + printable(path.string()) + "\"";
}

void require_unfinished(const OutputFolder& output) {
  const fs::path finished = output.path() / "trainer_state.json";
  if (!fs::exists(finished)) return;
  throw usage_error("--output_dir", "holds a finished run",
                    {.found = quoted(finished), .hint = "--overwrite_output_dir trains again"});
}

FoundCheckpoint named_checkpoint(const OutputFolder& output, const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw usage_error(kFlag, "no such folder",
                      {.found = quoted(folder), .expected = "a checkpoint's folder, True or False"});
  }
  FoundCheckpoint found = read_checkpoint(folder);
  // Checkpoints of the same run beside it are welcome. A name may end in "/".
  const fs::path run = (fs::absolute(folder) / "").lexically_normal().parent_path().parent_path();
  std::error_code ignored;
  if (!fs::equivalent(run, output.path(), ignored)) output.require_unused();
  return found;
}

std::optional<FoundCheckpoint> asked_for(const OutputFolder& output, const std::string& choice) {
  if (choice == "False" || choice == "false") {
    if (!checkpoint_steps(output.path()).empty()) {
      throw usage_error(std::string(kFlag) + " False", "the output folder holds checkpoints",
                        {.found = quoted(output.path()), .hint = "--overwrite_output_dir removes them"});
    }
    return std::nullopt;
  }
  const bool must = choice == "True" || choice == "true";
  if (!choice.empty() && !must) return named_checkpoint(output, choice);
  std::optional<FoundCheckpoint> newest = newest_checkpoint(output.path());
  if (!newest && must)
    throw usage_error(std::string(kFlag) + " True", "there is no checkpoint",
                      {.found = quoted(output.path())});
  return newest;
}

void require_same_settings(const FoundCheckpoint& found, const TrainSettings& settings) {
  const std::vector<std::string> differences =
      settings_differences(found.state.settings, settings_json(settings));
  if (differences.empty()) return;
  std::string list;
  for (const std::string& difference : differences) list += (list.empty() ? "" : "; ") + difference;
  throw usage_error(found.path.string(), "belongs to a run with other settings",
                    {.found = list, .hint = "--overwrite_output_dir starts from the beginning"});
}

}  // namespace

std::optional<FoundCheckpoint> find_start(const OutputFolder& output, const TrainSettings& settings) {
  if (settings.overwrite_output_dir) output.clear();
  require_unfinished(output);
  std::optional<FoundCheckpoint> found = asked_for(output, settings.resume_from_checkpoint);
  if (found)
    require_same_settings(*found, settings);
  else
    output.require_unused();
  return found;
}

}  // namespace moellava
