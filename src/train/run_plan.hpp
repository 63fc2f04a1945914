// What a run will need of memory, disk and time, told before it runs (--dry_run).
#pragma once

#include <cstdint>
#include <string>

#include "train/settings.hpp"

namespace moellava {

struct RunPlan {
  int stage = 1;
  int64_t processes = 1;
  // Work
  int64_t samples = 0, pictures = 0;                   // pictures that the steps show
  int64_t steps = 0, samples_of_step = 0;              // in all processes
  int64_t largest_samples = 0, largest_positions = 0;  // of the largest micro-batch, padding included
  int64_t parameters = 0, trained = 0;
  // Bytes of memory of one process
  int64_t program = 0;  // code and what libraries hold
  int64_t weights = 0, gradients = 0, optimiser = 0;
  int64_t activations = 0;  // what the forward pass keeps for the backward pass
  int64_t peak = 0;         // resident at most; not the sum: gradients come while activations go
  int64_t machine = 0;      // of the machine
  // Bytes on disk
  int64_t feature_cache = 0, checkpoint = 0, model = 0;  // model: of an adapter, the adapter
  // Seconds, with all processes at work
  double features = 0, step = 0;

  double all_steps() const { return step * static_cast<double>(steps); }
};

// Reads the model's config and the data's index, and measures every kind of layer in its real size. Throws
// what train() would throw of flags, model and data. Writes nothing.
RunPlan plan_run(const TrainSettings& settings);

// For people: a few lines.
std::string plan_text(const RunPlan& plan);

}  // namespace moellava
