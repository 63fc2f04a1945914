// Training checkpoints: output_dir/checkpoint-N with model.safetensors (the trained parameters),
// optimizer.safetensors (their moments) and trainer_state.json. A checkpoint is there wholly or not at all:
// it is written under checkpoint-N.tmp, flushed, sealed with its files' checksums, and only then renamed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "train/adamw.hpp"

namespace moellava {

struct TrainState {
  int64_t step = 0;
  int64_t updates = 0;  // of the optimiser: the steps less those that were skipped
  Json settings;        // settings_json
  std::string data_hash;
  Json log_history = Json::array();
};
// trainer_state.json. Throws Io.
void write_state(const std::filesystem::path& path, const TrainState& state);
// A trainer_state.json of any length.
Json read_state_json(const std::filesystem::path& path);

// Steps of all checkpoint-N folders, newest first; order is by step, not by time.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& output_dir);
std::filesystem::path checkpoint_folder(const std::filesystem::path& output_dir, int64_t step);

// Writes checkpoint-N for state.step and removes all but the newest `keep`. Throws Io when it cannot be
// written; earlier ones are then as before.
void save_checkpoint(const std::filesystem::path& output_dir, const TrainState& state, AdamW& optimiser,
                     int64_t keep);

struct FoundCheckpoint {
  std::filesystem::path path;
  TrainState state;
  std::vector<std::string> ignored;  // newer ones that are damaged or incomplete, and why
};
// The checkpoint in this folder; throws BadData naming the file that is missing or damaged.
FoundCheckpoint read_checkpoint(const std::filesystem::path& folder);
// The newest whole checkpoint, by step. Nothing when there is none at all; throws BadData when there are some
// but none is whole: training never starts again from 0 by itself.
std::optional<FoundCheckpoint> newest_checkpoint(const std::filesystem::path& output_dir);

// Parameters and optimiser as they were. Throws BadData when the checkpoint holds others.
void restore_checkpoint(const FoundCheckpoint& checkpoint, AdamW& optimiser);
// Of a checkpoint of `all` parameters: these ones, and the optimiser's state, which may be of fewer.
void restore_checkpoint(const FoundCheckpoint& checkpoint, const std::vector<NamedParameter>& parameters,
                        size_t all, AdamW& optimiser);

// Of the checkpoints up to step `newest`, which is known to be whole, removes all but the last `keep`. Those
// of later steps stay: they are damaged, or of the same run before it went back to an older one.
void prune_checkpoints(const std::filesystem::path& output_dir, int64_t newest, int64_t keep);
// Removes what interrupted saves left behind.
void remove_unfinished_saves(const std::filesystem::path& output_dir);

}  // namespace moellava
