// From the flags of a run to its samples, its pictures and the order in which they come.
#pragma once

#include "comm/communicator.hpp"
#include "model/load.hpp"
#include "train/batching.hpp"
#include "train/features.hpp"
#include "train/settings.hpp"

namespace moellava {

// What can be told before anything large is read: throws when a data file or the image
// folder is not there, or when the result would go where it comes from.
void require_inputs(const TrainSettings& settings);

// Tells on stderr what was read. Bad samples go to `problems`.
IndexedDataset read_data(const TrainSettings& settings, const LoadedModel& loaded,
                         const ProblemSink& problems);

// Which samples meet in which step.
BatchPlan plan_batches(const TrainSettings& settings, const IndexedDataset& dataset,
                       const ModelConfig& config);
// [pictures] whether the plan's first `total_steps` steps show it.
std::vector<bool> pictures_shown(const BatchPlan& plan, const IndexedDataset& dataset, int64_t total_steps);

// Features are kept for other stages and runs unless the flag says "none": then "".
std::filesystem::path feature_folder(const TrainSettings& settings);
TowerFeatures open_features(const TrainSettings& settings, MoeLlava& model, const IndexedDataset& dataset);

// Which samples meet in which step, once every picture that the steps show can be seen: samples with others
// go to `problems` and out of `dataset`. The processes share the work and agree on what is bad.
BatchPlan prepare_plan(const TrainSettings& settings, IndexedDataset& dataset, TowerFeatures& features,
                       const ModelConfig& config, Communicator& processes, const ProblemSink& problems);

int64_t count_steps(const TrainSettings& settings, const BatchPlan& plan);

}  // namespace moellava
