#include "train/run.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/progress.hpp"
#include "base/say.hpp"
#include "comm/collectives.hpp"
#include "comm/launch.hpp"
#include "model/adapter_folder.hpp"
#include "model/npy_tensors.hpp"
#include "model/projector_file.hpp"
#include "nn/device.hpp"
#include "nn/precision.hpp"
#include "train/checkpoint.hpp"
#include "train/freed_memory.hpp"
#include "train/output_folder.hpp"
#include "train/resume.hpp"
#include "train/run_signals.hpp"
#include "train/sharded_state.hpp"
#include "train/stages.hpp"
#include "train/train_log.hpp"
#include "train/training_data.hpp"

namespace moellava {

namespace {

// Room for the checkpoints that are kept, one in the making, and the finished model.
uint64_t disk_needed(MoeLlava& model, const std::vector<NamedParameter>& trainable, int64_t checkpoints) {
  uint64_t trained = 0;
  for (const NamedParameter& parameter : trainable)
    trained += static_cast<uint64_t>(parameter.tensor.numel());
  const auto all = static_cast<uint64_t>(count_parameters(model).total);
  return sizeof(float) * (3 * trained * static_cast<uint64_t>(checkpoints + 1) + all);
}

// Weights that gave so many bad steps one after the other will give no good one.
constexpr int64_t kMostInARow = 10;

// The output folder is the first process's to lock and to write; all read the checkpoint that it found.
std::optional<FoundCheckpoint> agree_on_start(const OutputFolder* output, const TrainSettings& settings,
                                              Processes& processes) {
  std::optional<FoundCheckpoint> start;
  std::string path;
  if (output != nullptr) {
    start = find_start(*output, settings);
    remove_unfinished_saves(output->path());
    if (start) {
      for (const std::string& reason : start->ignored) say("refused: " + reason);
      path = start->path.string();
    }
  }
  path = broadcast_text(processes.all(), path);
  if (output != nullptr || path.empty()) return start;
  if (!std::filesystem::is_directory(path)) {
    throw make_error(ErrorKind::Io, "--output_dir", "is not the same folder in all processes",
                     {.found = "no " + path, .expected = "the first process's checkpoint"});
  }
  return read_checkpoint(path);
}

// What any process was asked for: all stop or save at the same step.
struct Requests {
  int stop = 0;  // the signal
  int save = 0;
};
Requests agreed_requests(RunSignals& signals, Processes& processes) {
  Requests agreed;
  const std::vector<int> own = {signals.stop(), signals.take_save() ? 1 : 0};
  for (const std::vector<int>& one : all_gather_lists(processes.all(), own)) {
    agreed.stop = std::max(agreed.stop, one.at(0));
    agreed.save = std::max(agreed.save, one.at(1));
  }
  return agreed;
}

class Run {
 public:
  Run(const TrainSettings& settings, const OutputFolder* output, Trainer& trainer, TrainState state,
      Processes& processes, MoeLlava& model, ExpertParallel& experts)
      : settings_(settings),
        output_(output),
        trainer_(trainer),
        state_(std::move(state)),
        processes_(processes),
        model_(model),
        experts_(experts) {
    if (settings.tensorboard && output != nullptr)
      events_.emplace(output->path() / kEventFolder, state_.step + 1);
  }

  RunEnd loop(int64_t total_steps, int64_t steps_per_epoch) {
    RunSignals signals;
    Progress progress("stage " + stage_name(settings_.stage), total_steps, trainer_.steps_done());
    ProgressNote note;
    // Something to go back to.
    if (settings_.on_nonfinite == OnNonFinite::Rollback && trainer_.steps_done() == 0) save();
    while (trainer_.steps_done() < total_steps) {
      processes_.at_step(trainer_.steps_done() + 1);
      const StepReport report = trainer_.step();
      const bool last = report.step == total_steps;
      Json entry = log_entry(report, steps_per_epoch);
      if (report.bad) entry.update(without_step(report));
      state_.step = report.step;
      state_.updates = trainer_.optimiser().updates();
      if (last || report.bad || report.step % settings_.logging_steps == 0) record(std::move(entry));
      progress.update(report.step, note.update(report));
      const Requests asked = agreed_requests(signals, processes_);
      if (last) break;
      if (asked.stop != 0 || asked.save != 0 || report.step % settings_.save_steps == 0) save();
      if (asked.save != 0) say("saved " + checkpoint_folder(settings_.output_dir, report.step).string());
      if (asked.stop != 0) return asked.stop == SIGTERM ? RunEnd::Terminated : RunEnd::Interrupted;
    }
    return RunEnd::Finished;
  }

  // trainer_state.json comes last: with it the run is finished.
  void finish(const LoadedModel& loaded) {
    experts_.collect();
    if (output_ == nullptr) return;
    if (loaded.adapters) {
      save_adapter(model_, *loaded.adapters, settings_.model_name_or_path.string(), output_->path());
    } else {
      save_model(model_, *loaded.tokenizer, output_->path());
    }
    if (settings_.stage == 1) save_projector(model_, output_->path());
    prune_checkpoints(output_->path(), state_.step, /*keep=*/1);
    write_state(output_->path() / "trainer_state.json", state_);
  }

 private:
  void record(Json entry) {
    if (events_) events_->add(state_.step, log_scalars(entry));
    state_.log_history.push_back(std::move(entry));
  }

  // What --on_nonfinite asks for. Returns what the log tells besides.
  Json without_step(const StepReport& report) {
    bad_in_a_row_ = report.step == last_bad_ + 1 ? bad_in_a_row_ + 1 : 1;
    last_bad_ = report.step;
    const bool hopeless = bad_in_a_row_ > kMostInARow;
    if (settings_.on_nonfinite == OnNonFinite::Stop || hopeless) {
      if (state_.step > 0 && !hopeless) save();  // nothing that was learned is lost
      throw bad_step_error(report, hopeless);
    }
    Json told = Json::object();
    if (settings_.on_nonfinite == OnNonFinite::Rollback) {
      const FoundCheckpoint newest = newest_checkpoint(settings_.output_dir).value();
      restore_own(newest, trainer_.parallel(), trainer_.optimiser());
      told["rolled_back_to"] = newest.state.step;
    }
    say(std::string(bad_step_error(report, false).what()) + ": left out");
    return told;
  }

  static Error bad_step_error(const StepReport& report, bool hopeless) {
    std::string samples;
    for (const std::string& id : report.bad->samples)
      samples += (samples.empty() ? "samples " : ", ") + printable(id);
    return bad_data("step " + std::to_string(report.step), report.bad->what,
                    {.found = report.bad->tensor,
                     .at = samples,
                     .hint = hopeless ? std::to_string(kMostInARow + 1) + " such steps in a row"
                                      : "no weight was changed"});
  }

  void save() {
    std::unique_ptr<AdamW> gathered;
    if (processes_.size() > 1)
      gathered = gather_optimiser(trainer_.parallel(), trainer_.optimiser(), model_, experts_);
    if (output_ != nullptr) {
      save_checkpoint(output_->path(), state_, gathered ? *gathered : trainer_.optimiser(),
                      settings_.save_total_limit);
    }
    gathered.reset();
    experts_.forget_others();
    processes_.all().barrier();  // nobody reads it, or gives up, before it is there
  }

  const TrainSettings& settings_;
  const OutputFolder* output_;  // of the first process
  Trainer& trainer_;
  TrainState state_;
  Processes& processes_;
  MoeLlava& model_;
  ExpertParallel& experts_;
  int64_t last_bad_ = -1;  // step
  int64_t bad_in_a_row_ = 0;
  std::optional<EventFile> events_;  // TensorBoard's, of the first process
};

// Recorded noise of --router_noise, [L, rows, E], or an undefined tensor.
at::Tensor read_router_noise(const TrainSettings& settings) {
  if (settings.moe.router_noise.empty()) return {};
  if (settings.moe.sampling == RouterSampling::Gumbel)
    throw usage_error("--router_noise", "not together with --router_sampling gumbel");
  return read_tensor(settings.moe.router_noise);
}

// Leaves this process its own experts.
ExpertSpread spread_experts(ExpertParallel& experts, std::vector<NamedParameter>& trainable) {
  if (!experts.spread()) return {};
  ExpertSpread spread{.group = &experts.group(), .same = &experts.same_experts()};
  for (const NamedParameter& parameter : trainable) spread.all_names.push_back(parameter.name);
  experts.forget_others(&trainable);
  return spread;
}

// Where values lie on their way.
at::Device memory_between_processes(const TrainSettings& settings, at::Device device) {
  if (settings.ddp_backend == DdpBackend::Nccl && device.is_cpu())
    throw usage_error("--ddp_backend nccl", "carries the memory of GPUs", {.found = "--device cpu"});
  return settings.ddp_backend == DdpBackend::Mpi ? at::Device(at::kCPU) : device;
}

TrainerOptions trainer_options(const TrainSettings& settings, const LoadedModel& loaded, int64_t total_steps,
                               at::Device memory) {
  const bool drawn = settings.moe.sampling == RouterSampling::Gumbel;
  return {.schedule = {.kind = settings.lr_scheduler,
                       .peak = settings.learning_rate,
                       .warmup_steps = warmup_steps(settings.warmup_ratio, total_steps),
                       .total_steps = total_steps},
          .adamw = {.weight_decay = settings.weight_decay},
          .max_grad_norm = settings.max_grad_norm,
          .aux_loss_coef = loaded.model->config().moe.aux_loss_coef,
          .balance_gradient = !settings.moe.faithful_aux,
          .z_loss_coef = settings.moe.z_loss_coef,
          .dump_folder = settings.dump_step,
          .router_noise = read_router_noise(settings),
          .gumbel_seed = drawn ? std::optional(settings.seed) : std::nullopt,
          .recompute = settings.gradient_checkpointing,
          .dropout = loaded.dropout,
          .dropout_seed = settings.seed,
          .memory = memory};
}

}  // namespace

RunEnd train(const TrainSettings& settings, Processes& processes) {
  // 1. Where from and where to.
  const Quiet quiet(!processes.first());
  require_inputs(settings);
  if (!settings.dump_step.empty() && processes.size() > 1)
    throw usage_error("--dump_step", "only in one process");
  const at::Device device =
      device_by_name(settings.device, "--device", detect_launch(std::getenv).local_rank);
  const at::Device memory = memory_between_processes(settings, device);
  std::unique_ptr<const OutputFolder> output;
  if (processes.first()) output = std::make_unique<OutputFolder>(settings.output_dir);
  const std::optional<FoundCheckpoint> start = agree_on_start(output.get(), settings, processes);

  // 2. The model and the data.
  const LoadedModel loaded = load_for_stage(settings);
  MoeLlava& model = *loaded.model;
  model.to(device);
  BadSamples bad(settings.skip_bad_samples);
  const ProblemSink problems = [&](const DataProblem& problem) { bad.add(problem); };
  IndexedDataset dataset = read_data(settings, loaded, problems);
  TrainState state{.settings = settings_json(settings), .data_hash = dataset.hash()};
  if (start && start->state.data_hash != dataset.hash()) {
    throw usage_error(start->path.string(), "belongs to a run on other data",
                      {.found = dataset.hash(),
                       .expected = start->state.data_hash,
                       .hint = "--overwrite_output_dir starts from the beginning"});
  }
  std::vector<NamedParameter> trainable = select_trainable(model, settings);
  ExpertParallel experts(processes.all(), model, settings.moe.ep_size);
  if (output) output->require_space(disk_needed(model, trainable, settings.save_total_limit));

  // 3. The plan, and what the tower sees of it.
  TowerFeatures features = open_features(settings, model, dataset);
  const BatchPlan plan = prepare_plan(settings, dataset, features, model.config(), processes.all(), problems);
  if (bad.count() > 0) say(std::to_string(bad.count()) + " bad samples are left out");
  const int64_t total_steps = count_steps(settings, plan);

  // 4. The steps.
  const ExpertSpread spread = spread_experts(experts, trainable);
  keep_freed_memory();
  const Bfloat16Products products(settings.bf16);
  if (settings.bf16 && !has_bfloat16_products())
    say("--bf16: this processor has no bfloat16 products: factors are rounded before float32 ones");
  Trainer trainer(model, dataset, features, plan, std::move(trainable),
                  trainer_options(settings, loaded, total_steps, memory), &processes.all(), spread);
  if (start) {
    restore_own(*start, trainer.parallel(), trainer.optimiser());
    trainer.set_steps_done(start->state.step);
    state = start->state;
    say("resumed from " + start->path.string() + ": step " + std::to_string(state.step) + " of " +
        std::to_string(total_steps));
  }
  Run run(settings, output.get(), trainer, std::move(state), processes, model, experts);
  const RunEnd end = run.loop(total_steps, plan.steps_per_epoch());

  // 5. The result.
  if (end == RunEnd::Finished) {
    run.finish(loaded);
    say(std::string(loaded.adapters ? "adapter" : "model") + " written to " + settings.output_dir.string());
  } else {
    say("stopped and saved: the same command goes on from here");
  }
  return end;
}

}  // namespace moellava
