// A whole training run: model and data in, a model folder out, resumable at every moment.
#pragma once

#include "comm/processes.hpp"
#include "train/settings.hpp"

namespace moellava {

enum class RunEnd { Finished, Terminated, Interrupted };  // Terminated: SIGTERM; Interrupted: SIGINT

// Trains and writes the finished model into settings.output_dir: in all processes together, of which the
// first writes and speaks. A run that stopped before, by whatever cause, goes on from its newest checkpoint.
// On SIGTERM and SIGINT it saves a checkpoint after the current step and returns.
RunEnd train(const TrainSettings& settings, Processes& processes);

}  // namespace moellava
