#include "train/training_data.hpp"

#include <algorithm>

#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "base/say.hpp"
#include "comm/collectives.hpp"
#include "model/projector.hpp"

namespace moellava {

namespace {

std::filesystem::path index_folder() {
  try {
    return cache_folder("index");
  } catch (const Error&) {
    return {};  // indexes are a comfort
  }
}

// Each process prepares every R-th picture; the bad ones of all.
std::vector<bool> prepare_shares(TowerFeatures& features, const std::vector<bool>& shown,
                                 Communicator& processes) {
  const auto ranks = static_cast<size_t>(processes.size());
  std::vector<bool> mine(shown.size(), false);
  for (auto p = static_cast<size_t>(processes.rank()); p < shown.size(); p += ranks) mine[p] = shown[p];
  const std::vector<bool> own_bad = features.prepare(mine);
  std::vector<int64_t> found;
  for (size_t p = 0; p < own_bad.size(); ++p) {
    if (own_bad[p]) found.push_back(static_cast<int64_t>(p));
  }
  std::vector<bool> bad(shown.size(), false);
  for (const std::vector<int64_t>& list : all_gather_lists(processes, found)) {
    for (int64_t p : list) bad[static_cast<size_t>(p)] = true;
  }
  return bad;
}

}  // namespace

std::filesystem::path feature_folder(const TrainSettings& settings) {
  if (settings.feature_cache == "none") return {};
  return settings.feature_cache.empty() ? cache_folder("features")
                                        : std::filesystem::path(settings.feature_cache);
}

BatchPlan plan_batches(const TrainSettings& settings, const IndexedDataset& dataset,
                       const ModelConfig& config) {
  if (dataset.size() == 0) throw bad_data("--data_path", "no sample is left to train on");
  std::vector<int64_t> lengths;
  BatchGrouping grouping{.by_length = settings.group_by_length.value_or(!settings.group_by_modality_length)};
  for (size_t i = 0; i < dataset.size(); ++i) {
    lengths.push_back(dataset.length(i, image_tokens(config)));
    if (settings.group_by_modality_length) grouping.has_pictures.push_back(!dataset.pictures(i).empty());
  }
  return {settings.seed, std::move(lengths), settings.per_device_train_batch_size,
          settings.gradient_accumulation_steps * settings.processes, std::move(grouping)};
}

std::vector<bool> pictures_shown(const BatchPlan& plan, const IndexedDataset& dataset, int64_t total_steps) {
  std::vector<bool> shown(dataset.picture_count(), false);
  for (int64_t step = 0; step < std::min(total_steps, plan.steps_per_epoch()); ++step) {
    for (const Batch& batch : plan.micro_batches(step)) {
      for (size_t sample : batch) {
        for (size_t picture : dataset.pictures(sample)) shown[picture] = true;
      }
    }
  }
  return shown;
}

void require_inputs(const TrainSettings& settings) {
  namespace fs = std::filesystem;
  const fs::path& adapter = settings.lora.weight_path;
  if (!adapter.empty() && fs::weakly_canonical(adapter) == fs::weakly_canonical(settings.output_dir)) {
    throw usage_error("--output_dir", "is the folder that --lora_weight_path names",
                      {.found = printable(settings.output_dir.string()), .expected = "another one"});
  }
  for (const std::filesystem::path& file : settings.data_path) const MappedFile readable(file);
  if (settings.image_folder.empty() || std::filesystem::is_directory(settings.image_folder)) return;
  throw make_error(ErrorKind::Io, "--image_folder", "no such folder",
                   {.found = "\"" + printable(settings.image_folder.string()) + "\""});
}

IndexedDataset read_data(const TrainSettings& settings, const LoadedModel& loaded,
                         const ProblemSink& problems) {
  const ModelConfig& config = loaded.model->config();
  const std::string& style = settings.version.empty() ? config.conversation : settings.version;
  IndexedDataset dataset(settings.data_path,
                         {.text = {.tokenizer = loaded.tokenizer.get(),
                                   .style = &conversation_style(style),
                                   .max_length = settings.model_max_length,
                                   .vocab_size = config.decoder.vocab_size},
                          .image_folder = settings.image_folder,
                          .index_folder = settings.dry_run ? std::filesystem::path() : index_folder()},
                         problems);
  if (dataset.picture_count() > 0 && !loaded.model->sees()) {
    throw usage_error("--model_name_or_path", "the data has pictures but the model has no vision tower",
                      {.expected = "--vision_tower, or the folder of a stage that had one"});
  }
  say(std::to_string(dataset.size()) + " samples, " + std::to_string(dataset.picture_count()) + " pictures");
  if (dataset.truncated() > 0)
    say(std::to_string(dataset.truncated()) + " samples were cut to --model_max_length " +
        std::to_string(settings.model_max_length) + " tokens");
  if (dataset.duplicate_ids() > 0)
    say(std::to_string(dataset.duplicate_ids()) + " samples have the id of another one");
  return dataset;
}

TowerFeatures open_features(const TrainSettings& settings, MoeLlava& model, const IndexedDataset& dataset) {
  PreprocessConfig preprocess = model.config().preprocess;
  preprocess.aspect_ratio = settings.aspect_ratio;
  return {model,
          dataset,
          preprocess,
          {.cache_folder = feature_folder(settings), .check_pictures = settings.skip_bad_samples > 0}};
}

int64_t count_steps(const TrainSettings& settings, const BatchPlan& plan) {
  return settings.max_steps > 0 ? settings.max_steps : plan.steps(settings.num_train_epochs);
}

// Leaving out a sample changes the plan, and a new plan may show other pictures. A short run need not look at
// all.
BatchPlan prepare_plan(const TrainSettings& settings, IndexedDataset& dataset, TowerFeatures& features,
                       const ModelConfig& config, Communicator& processes, const ProblemSink& problems) {
  while (true) {
    BatchPlan plan = plan_batches(settings, dataset, config);
    const std::vector<bool> bad =
        prepare_shares(features, pictures_shown(plan, dataset, count_steps(settings, plan)), processes);
    if (std::find(bad.begin(), bad.end(), true) == bad.end()) return plan;
    dataset.drop_samples_showing(
        bad, [&](size_t picture, const std::string& where) { features.require_decodable(picture, where); },
        problems);
  }
}

}  // namespace moellava
