#include "train/run_plan.hpp"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <map>

#include "base/progress.hpp"
#include "base/say.hpp"
#include "base/string_printf.hpp"
#include "model/adapter.hpp"
#include "model/weights.hpp"
#include "nn/precision.hpp"
#include "train/data_parallel.hpp"
#include "train/freed_memory.hpp"
#include "train/stages.hpp"
#include "train/step_cost.hpp"
#include "train/training_data.hpp"

namespace moellava {

namespace {

constexpr int64_t kFloat = sizeof(float);
// Freed memory is kept for the next step and falls to pieces: resident bytes for each byte of a step's
// tensors at most, as found in runs of 0.8 to 6.6 GB (1.5 to 2).
constexpr double kHeap = 1.5;
constexpr int64_t kMeasuredPositions = 4096;  // about so many go through the layers that are measured

// Resident memory that belongs to files, or not, of /proc/self/statm.
struct Resident {
  int64_t anonymous = 0, files = 0;
};
Resident resident() {
  Resident found;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    long long all = 0, shared = 0;
    if (std::fscanf(file, "%*d %lld %lld", &all, &shared) == 2)
      found = {.anonymous = (all - shared) * ::sysconf(_SC_PAGESIZE),
               .files = shared * ::sysconf(_SC_PAGESIZE)};
    std::fclose(file);
  }
  return found;
}

// Of the micro-batches of the steps: the largest, and positions of all of them with their padding.
struct MicroBatches {
  Batch largest;
  int64_t count = 0, positions = 0;
};
int64_t padded_positions(const Batch& batch, const IndexedDataset& dataset, int64_t picture_tokens) {
  int64_t longest = 0;
  for (size_t sample : batch) longest = std::max(longest, dataset.length(sample, picture_tokens));
  return longest * static_cast<int64_t>(batch.size());
}
MicroBatches look_at(const BatchPlan& plan, int64_t steps, const IndexedDataset& dataset,
                     int64_t picture_tokens) {
  MicroBatches found;
  int64_t most = 0;
  for (int64_t step = 0; step < std::min(steps, plan.steps_per_epoch()); ++step) {
    for (const Batch& batch : plan.micro_batches(step)) {
      const int64_t positions = padded_positions(batch, dataset, picture_tokens);
      ++found.count;
      found.positions += positions;
      if (positions <= most) continue;
      most = positions;
      found.largest = batch;
    }
  }
  return found;
}

// The largest micro-batch, or as many of its samples as are enough to measure with.
CostBatch measured_batch(const Batch& batch, const IndexedDataset& dataset, int64_t picture_tokens) {
  CostBatch measured;
  for (size_t number : batch) {
    if (!measured.lengths.empty() &&
        static_cast<int64_t>(measured.lengths.size() + 1) * measured.positions() > kMeasuredPositions)
      break;
    measured.lengths.push_back(dataset.length(number, picture_tokens));
    measured.pictures += static_cast<int64_t>(dataset.pictures(number).size());
    const Sample sample = dataset.sample(number);
    measured.targets += std::count_if(sample.tokens.labels.begin(), sample.tokens.labels.end(),
                                      [](int32_t label) { return label != kIgnoreLabel; });
  }
  return measured;
}

struct StepCosts {
  std::vector<PartCost> parts;  // in the order of the forward pass: words, projector, layers, head
  double scale = 1;             // of the largest micro-batch against the measured one
};

// `trained`: values of each parameter that is.
StepCosts measure_step(MoeLlava& outline, const std::map<std::string, int64_t>& trained,
                       const CostBatch& batch) {
  const ModelConfig& config = outline.config();
  std::map<std::string, const LowRank*> adapters;
  outline.decoder().visit_linears([&](const std::string& name, Linear& linear) {
    if (linear.low_rank) adapters[name] = &*linear.low_rank;
  });
  const AdapterOf adapter_of = [&](const std::string& name) {
    const auto found = adapters.find(name);
    return found == adapters.end() ? nullptr : found->second;
  };
  const IsTrained is_trained = [&](const std::string& name) { return trained.contains(name); };
  const auto layers = static_cast<size_t>(config.decoder.layers);
  Progress progress("measuring layers", static_cast<int64_t>(layers));
  StepCosts costs;
  const bool words = is_trained("model.embed_tokens.weight");
  const int64_t of_words = words ? kFloat * config.decoder.vocab_size * config.decoder.hidden_size : 0;
  costs.parts.push_back({.backward_peak = of_words, .gradients = of_words});
  costs.parts.push_back(projector_cost(config, is_trained, batch));
  bool below = words || costs.parts.back().gradients > 0;
  std::map<std::string, PartCost> known;  // by what makes a layer differ from others
  for (size_t i = 0; i < layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const auto moe = std::find(config.moe.layers.begin(), config.moe.layers.end(), static_cast<int64_t>(i));
    std::string kind = below ? "below," : ",";
    if (moe != config.moe.layers.end())
      kind += std::to_string(config.moe.experts[static_cast<size_t>(moe - config.moe.layers.begin())]);
    bool learns = false;
    for (auto found = trained.lower_bound(prefix); found != trained.end() && found->first.starts_with(prefix);
         ++found) {
      kind += "," + found->first.substr(prefix.size()) + " " + std::to_string(found->second);
      learns = true;
    }
    if (!known.contains(kind)) known[kind] = layer_cost(config, i, below, is_trained, batch, adapter_of);
    costs.parts.push_back(known[kind]);
    below = below || learns;
    progress.update(static_cast<int64_t>(i + 1));
  }
  costs.parts.push_back(head_cost(config, is_trained, batch));
  return costs;
}

// Bytes of tensors at most, beyond weights and optimiser: what is kept grows in the forward pass, and in the
// backward pass gives way to gradients. `gradients_before`: of micro-batches before this one.
int64_t step_peak(const StepCosts& costs, int64_t gradients_before) {
  const auto scaled = [&](int64_t bytes) {
    return static_cast<int64_t>(static_cast<double>(bytes) * costs.scale);
  };
  int64_t now = gradients_before, peak = now;
  for (const PartCost& part : costs.parts) {
    peak = std::max(peak, now + scaled(part.forward_peak));
    now += scaled(part.kept);
  }
  for (auto part = costs.parts.rbegin(); part != costs.parts.rend(); ++part) {
    // Gradients of parameters do not grow with the batch.
    peak = std::max(
        peak, now + part->gradients + scaled(std::max<int64_t>(part->backward_peak - part->gradients, 0)));
    now -= scaled(part->kept);
    if (gradients_before == 0) now += part->gradients;
  }
  return peak;
}

// Counts parameters, and the bytes that one of `settings.processes` holds of them.
void count_weights(const TrainSettings& settings, MoeLlava& model,
                   const std::vector<NamedParameter>& trainable, RunPlan& plan) {
  const auto held = [&](const std::string& name, int64_t numel) {
    return is_expert_parameter(name) ? numel / settings.moe.ep_size : numel;
  };
  model.visit([&](const std::string& name, at::Tensor& tensor) {
    plan.parameters += tensor.numel();
    plan.weights += kFloat * held(name, tensor.numel());
    if (!settings.lora.enable || is_saved_with_adapters(name)) plan.model += kFloat * tensor.numel();
  });
  for (const NamedParameter& parameter : trainable) {
    const int64_t numel = parameter.tensor.numel();
    plan.trained += numel;
    plan.gradients += kFloat * held(parameter.name, numel);
    // Two moments, with one owner each.
    plan.optimiser += 2 * kFloat * numel / settings.processes;
  }
  plan.checkpoint = 3 * kFloat * plan.trained;
}

std::string gigabytes(int64_t bytes) {
  return string_printf("%8.2f GB", static_cast<double>(bytes) / 1e9);
}

}  // namespace

RunPlan plan_run(const TrainSettings& settings) {
  // 1. The model's shapes and the data's index.
  const Resident before = resident();
  require_inputs(settings);
  const LoadedModel outline = outline_for_stage(settings);
  const ModelConfig& config = outline.model->config();
  BadSamples bad(settings.skip_bad_samples);
  const IndexedDataset dataset =
      read_data(settings, outline, [&](const DataProblem& problem) { bad.add(problem); });
  const std::vector<NamedParameter> trainable = select_trainable(*outline.model, settings);
  RunPlan plan{.stage = settings.stage, .processes = settings.processes};
  count_weights(settings, *outline.model, trainable, plan);

  // 2. The steps.
  const BatchPlan batches = plan_batches(settings, dataset, config);
  plan.steps = count_steps(settings, batches);
  plan.samples = static_cast<int64_t>(dataset.size());
  plan.samples_of_step =
      settings.per_device_train_batch_size * settings.gradient_accumulation_steps * settings.processes;
  const int64_t picture_tokens = config.vision ? image_tokens(config) : 0;
  const MicroBatches micro = look_at(batches, plan.steps, dataset, picture_tokens);
  const int64_t largest = padded_positions(micro.largest, dataset, picture_tokens);
  plan.largest_samples = static_cast<int64_t>(micro.largest.size());
  plan.largest_positions = largest / plan.largest_samples;
  const std::vector<bool> shown = pictures_shown(batches, dataset, plan.steps);
  plan.pictures = std::count(shown.begin(), shown.end(), true);

  // 3. What each part of a step costs.
  keep_freed_memory();
  const Bfloat16Products products(settings.bf16);
  CostBatch batch = measured_batch(micro.largest, dataset, picture_tokens);
  batch.recompute = settings.gradient_checkpointing;
  std::map<std::string, int64_t> trained;
  for (const NamedParameter& parameter : trainable) trained[parameter.name] = parameter.tensor.numel();
  StepCosts costs = measure_step(*outline.model, trained, batch);
  const auto measured = static_cast<double>(batch.positions()) * static_cast<double>(batch.lengths.size());
  costs.scale = static_cast<double>(largest) / measured;

  // 4. Memory.
  const int64_t sums = std::bit_width(static_cast<uint64_t>(settings.gradient_accumulation_steps)) - 1;
  for (const PartCost& part : costs.parts)
    plan.activations += static_cast<int64_t>(static_cast<double>(part.kept) * costs.scale);
  plan.program = before.anonymous + resident().files;
  const auto tensors = static_cast<double>(step_peak(costs, plan.gradients * sums));
  plan.peak = plan.program + plan.weights + plan.optimiser + static_cast<int64_t>(kHeap * tensors);
  plan.machine = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);

  // 5. Time and disk.
  double seconds = 0;
  for (const PartCost& part : costs.parts) seconds += part.seconds;
  const double mean = static_cast<double>(micro.positions) / static_cast<double>(micro.count);
  plan.step = static_cast<double>(settings.gradient_accumulation_steps) * seconds * mean / measured +
              update_seconds() * static_cast<double>(plan.trained) / static_cast<double>(settings.processes);
  const double of_picture = tower_seconds(config) / static_cast<double>(at::get_num_threads()) /
                            static_cast<double>(settings.processes);
  if (settings.feature_cache == "none") {
    plan.step +=
        of_picture * static_cast<double>(plan.pictures) / static_cast<double>(batches.steps_per_epoch());
  } else {
    plan.features = of_picture * static_cast<double>(plan.pictures);
    if (config.vision)
      plan.feature_cache = kFloat * plan.pictures * config.vision->tokens() * config.vision->hidden_size;
  }
  return plan;
}

std::string plan_text(const RunPlan& plan) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  std::string text = "stage " + stage_name(plan.stage) + ", planned: nothing was trained or written\n";
  text += string_printf("data        %lld samples, %lld pictures, %lld steps of %lld samples\n",
                        number(plan.samples), number(plan.pictures), number(plan.steps),
                        number(plan.samples_of_step));
  text += string_printf("at once     at most %lld samples of %lld positions\n", number(plan.largest_samples),
                        number(plan.largest_positions));
  text += string_printf("parameters  %.1f million, %.1f million of them trained\n",
                        static_cast<double>(plan.parameters) / 1e6, static_cast<double>(plan.trained) / 1e6);
  text += plan.processes > 1 ? "memory of each process\n" : "memory\n";
  text += "  program     " + gigabytes(plan.program) + "\n  weights     " + gigabytes(plan.weights) +
          "\n  optimiser   " + gigabytes(plan.optimiser) + "\n  gradients   " + gigabytes(plan.gradients) +
          "\n  activations " + gigabytes(plan.activations) + "\n  at most     " + gigabytes(plan.peak) +
          ", of" + gigabytes(plan.machine) + " that the machine has\n";
  text += "disk\n  features    " + gigabytes(plan.feature_cache) + "\n  checkpoint  " +
          gigabytes(plan.checkpoint) + "\n  model       " + gigabytes(plan.model) + "\n";
  text += string_printf("time\n  features    %11s\n  a step      %9.2f s\n  all steps   %11s\n",
                        clock_text(plan.features).c_str(), plan.step, clock_text(plan.all_steps()).c_str());
  return text;
}

}  // namespace moellava
