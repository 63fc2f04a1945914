// Where a run begins: at its first step, or where an earlier one left off.
#pragma once

#include <optional>

#include "train/checkpoint.hpp"
#include "train/output_folder.hpp"
#include "train/settings.hpp"

namespace moellava {

// The checkpoint to go on from, as settings.resume_from_checkpoint asks; nothing for a run from the
// beginning. Throws Usage when the output folder holds anything else, or checkpoints of a run with other
// settings; BadData when checkpoints are there but none is whole.
std::optional<FoundCheckpoint> find_start(const OutputFolder& output, const TrainSettings& settings);

}  // namespace moellava
