// The flags of `moe-llava train`, group by group.
#include "cli/train_flags.hpp"
#include "text/conversation.hpp"

namespace moellava {

namespace {

constexpr int64_t kMany = 1'000'000'000;

// TrainFlags::settings reads both before all others, whose defaults come from the stage.
void add_first_flags(TrainFlags& flags) {
  const auto nothing = [](TrainSettings&, TrainFlags::Text) {};
  flags.group("What to do");
  flags.text("--stage", "1|2|3|finetune",
             "1: the projector; 2: all but the vision tower; 3: a dense model becomes a mixture of experts; "
             "finetune: a finished mixture of experts goes on",
             nothing);
  flags.require("--stage");
  flags.text("--config", "FILE.json", "preset: flags and their values; what is typed goes before", nothing);
}

void add_model_and_data_flags(TrainFlags& flags) {
  flags.group("Model and data");
  flags.text("--model_name_or_path", "PATH", "model folder, or a .gguf file; the folder of the stage before",
             [](TrainSettings& s, TrainFlags::Text value) { s.model_name_or_path = value; });
  flags.require("--model_name_or_path");
  flags.text(
      "--vision_tower", "PATH",
      "CLIP or SigLIP folder, or EfficientNet-Lite0 .pth, for a model that has none (or to replace its "
      "own)",
      [](TrainSettings& s, TrainFlags::Text value) { s.vision_tower = value; });
  flags.text("--pretrain_mm_mlp_adapter", "FILE",
             "mm_projector.bin to start from instead of the model's own projector",
             [](TrainSettings& s, TrainFlags::Text value) { s.pretrain_mm_mlp_adapter = value; });
  flags.boolean("--freeze_mm_mlp_adapter", "leave the projector as it is (default False)",
                [](TrainSettings& s) -> bool& { return s.freeze_mm_mlp_adapter; });
  flags.text("--image_projector_type", "TYPE",
             "of a model that gains sight: linear, mlpNx_gelu or pool_mlpNx_gelu (default mlp2x_gelu)",
             [](TrainSettings& s, TrainFlags::Text value) { s.projector = value; });
  flags.text("--init_tensors", "DIR", "NAME.npy files that replace the model's parameters of these names",
             [](TrainSettings& s, TrainFlags::Text value) { s.init_tensors = value; });
  flags.list(
      "--data_path", "FILE", "one or more LLaVA files, JSON or JSON Lines",
      [](TrainSettings& s, TrainFlags::Texts values) { s.data_path.assign(values.begin(), values.end()); });
  flags.require("--data_path");
  flags.text("--image_folder", "DIR", "folder that the data's picture names are relative to",
             [](TrainSettings& s, TrainFlags::Text value) { s.image_folder = value; });
  flags.text(
      "--feature_cache", "DIR|none",
      "folder that keeps the tower's view of every picture for other stages and runs, or none: computed "
      "for each batch (default: features/ in the cache)",
      [](TrainSettings& s, TrainFlags::Text value) { s.feature_cache = value; });
  flags.number<int64_t>("--skip_bad_samples", 0, kMany,
                        "leave out and name up to N bad samples (default 0: stop at the first)",
                        [](TrainSettings& s) -> int64_t& { return s.skip_bad_samples; });
  flags.boolean("--group_by_modality_length",
                "steps of samples with pictures and steps of text only, as in the original (default False)",
                [](TrainSettings& s) -> bool& { return s.group_by_modality_length; });
  flags.text("--group_by_length", "True|False",
             "batches of samples of similar length (default True, False with --group_by_modality_length)",
             [](TrainSettings& s, TrainFlags::Text value) {
               s.group_by_length = parse_boolean("--group_by_length", value);
             });
  flags.text("--version", "STYLE", "conversation style (default: plain in stage 1, else the model's own)",
             [](TrainSettings& s, TrainFlags::Text value) {
               s.version = one_of("--version", value, conversation_style_names());
             });
  flags.number<int64_t>("--model_max_length", 1, 1 << 20,
                        "tokens a sample keeps, a picture counted as one (default 2048)",
                        [](TrainSettings& s) -> int64_t& { return s.model_max_length; });
  flags.text("--image_aspect_ratio", "pad|square",
             "pad to a square or crop it (default: square in stage 1, else pad)",
             [](TrainSettings& s, TrainFlags::Text value) {
               const bool pad = one_of("--image_aspect_ratio", value, {"pad", "square"}) == "pad";
               s.aspect_ratio = pad ? AspectRatio::Pad : AspectRatio::Square;
             });
}

void add_optimisation_flags(TrainFlags& flags) {
  flags.group("Optimisation");
  flags.number<double>("--num_train_epochs", 1e-6, 1e6, "default 1",
                       [](TrainSettings& s) -> double& { return s.num_train_epochs; });
  flags.number<int64_t>("--max_steps", -1, kMany, "steps instead of epochs (default -1: by epochs)",
                        [](TrainSettings& s) -> int64_t& { return s.max_steps; });
  flags.number<int64_t>("--per_device_train_batch_size", 1, 1 << 16,
                        "samples in memory at once (default 32 in stage 1, else 8)",
                        [](TrainSettings& s) -> int64_t& { return s.per_device_train_batch_size; });
  flags.number<int64_t>("--gradient_accumulation_steps", 1, 1 << 16,
                        "such batches in one step of each process (default 1)",
                        [](TrainSettings& s) -> int64_t& { return s.gradient_accumulation_steps; });
  flags.number<int64_t>("--global_batch_size", 1, 1 << 30,
                        "samples of a step in all processes, instead of --gradient_accumulation_steps",
                        [](TrainSettings& s) -> int64_t& { return s.global_batch_size; });
  flags.number<double>("--learning_rate", 0.0, 10.0, "default 1e-3 in stage 1, else 2e-5",
                       [](TrainSettings& s) -> double& { return s.learning_rate; });
  flags.number<double>("--mm_projector_lr", 0.0, 10.0, "of the projector (default 0: as --learning_rate)",
                       [](TrainSettings& s) -> double& { return s.mm_projector_lr; });
  flags.number<double>("--warmup_ratio", 0.0, 1.0, "share of the steps that warm up (default 0.03)",
                       [](TrainSettings& s) -> double& { return s.warmup_ratio; });
  flags.text("--lr_scheduler_type", "cosine|constant", "default cosine",
             [](TrainSettings& s, TrainFlags::Text value) {
               s.lr_scheduler = schedule_by_name(value, "--lr_scheduler_type");
             });
  flags.number<double>("--weight_decay", 0.0, 10.0, "of matrices (default 0)",
                       [](TrainSettings& s) -> double& { return s.weight_decay; });
  flags.number<double>("--max_grad_norm", 0.0, 1e9, "clip the gradient's norm (default 0: do not)",
                       [](TrainSettings& s) -> double& { return s.max_grad_norm; });
  flags.boolean(
      "--bf16",
      "matrix products in bfloat16 where the processor has them; weights, sums, router and optimiser "
      "stay float32 (default False)",
      [](TrainSettings& s) -> bool& { return s.bf16; });
  flags.text("--seed", "N", "of batches, a new projector and new routers (default 42)",
             [](TrainSettings& s, TrainFlags::Text value) {
               s.seed = static_cast<uint64_t>(parse_number<int64_t>("--seed", value, 0, INT64_MAX));
             });
}

void add_moe_flags(TrainFlags& flags) {
  flags.group("Mixture of experts (stage 3)", {3});
  flags.boolean("--moe_enable", "False trains the dense model by the same rule (default True)",
                [](TrainSettings& s) -> bool& { return s.moe.enable; });
  flags.list("--num_experts", "N", "experts of every layer, or one number for each MoE layer (default 4)",
             [](TrainSettings& s, TrainFlags::Texts values) {
               s.moe.num_experts.clear();
               for (const std::string& value : values)
                 s.moe.num_experts.push_back(parse_number<int64_t>("--num_experts", value, 1, 256));
             });
  flags.text("--moe_mode", "sparse|dense|first_half|second_half",
             "which layers (default sparse: every second one)", [](TrainSettings& s, TrainFlags::Text value) {
               s.moe.mode = one_of("--moe_mode", value, {"sparse", "dense", "first_half", "second_half"});
             });
  flags.list("--moe_layers_idx", "N", "these layers instead", [](TrainSettings& s, TrainFlags::Texts values) {
    s.moe.layers.clear();
    for (const std::string& value : values)
      s.moe.layers.push_back(parse_number<int64_t>("--moe_layers_idx", value, 0, 4095));
  });
  flags.boolean("--use_residual", "a dense branch beside the experts (default False)",
                [](TrainSettings& s) -> bool& { return s.moe.use_residual; });
}

// What can be asked of a finished model, too; defaults are those of stage 3, in finetune the model's own.
void add_expert_work_flags(TrainFlags& flags) {
  flags.group("Work of the experts (stage 3 and finetune, there by default as the model has it)",
              {3, kFinetune});
  flags.number<int64_t>("--top_k_experts", 1, 256, "experts a token goes to (default 2)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.top_k_experts.emplace(); });
  flags.number<double>("--capacity_factor", 1e-3, 1e3, "room of an expert in training (default 1.5)",
                       [](TrainSettings& s) -> double& { return s.moe.capacity_factor.emplace(); });
  flags.number<double>("--eval_capacity_factor", 1e-3, 1e3, "and afterwards (default 2)",
                       [](TrainSettings& s) -> double& { return s.moe.eval_capacity_factor.emplace(); });
  flags.number<int64_t>("--min_capacity", 0, kMany, "tokens an expert has room for at least (default 0)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.min_capacity.emplace(); });
  flags.number<double>("--router_aux_loss_coef", 0.0, 1e3, "weight of the balance loss (default 0.01)",
                       [](TrainSettings& s) -> double& { return s.moe.aux_loss_coef.emplace(); });
  flags.number<int64_t>("--ep_size", 1, 256, "processes that share the experts of every layer (default 1)",
                        [](TrainSettings& s) -> int64_t& { return s.moe.ep_size; });
  flags.boolean("--faithful_aux", "no gradient from the balance loss, as in the original recipe",
                [](TrainSettings& s) -> bool& { return s.moe.faithful_aux; });
  flags.number<double>("--router_z_loss_coef", 0.0, 1e3,
                       "weight of the router z-loss, which keeps logits small (default 0)",
                       [](TrainSettings& s) -> double& { return s.moe.z_loss_coef; });
  flags.text("--router_sampling", "argmax|gumbel",
             "the second expert: the second choice, or drawn as in the original (default argmax)",
             [](TrainSettings& s, TrainFlags::Text value) {
               const bool drawn = one_of("--router_sampling", value, {"argmax", "gumbel"}) == "gumbel";
               s.moe.sampling = drawn ? RouterSampling::Gumbel : RouterSampling::Argmax;
             });
  flags.text("--router_noise", "FILE.npy",
             "[layers, positions of a batch, experts] added to the logits before the second choice: recorded "
             "noise, for comparisons",
             [](TrainSettings& s, TrainFlags::Text value) { s.moe.router_noise = value; });
  flags.list("--train_modules", "NAME",
             "train what contains one of these (default gate_proj up_proj down_proj wg), and the projector",
             [](TrainSettings& s, TrainFlags::Texts values) { s.moe.train_modules = values; });
}

void add_lora_flags(TrainFlags& flags) {
  flags.group("Low-rank adapters (stage 2, 3 and finetune)", {2, 3, kFinetune});
  flags.boolean(
      "--lora_enable",
      "train adapters beside the frozen weights, the projector and the routers; the result is PEFT's folder "
      "(default False)",
      [](TrainSettings& s) -> bool& { return s.lora.enable; });
  flags.text("--lora_weight_path", "DIR",
             "go on from this adapter, of the model that --model_name_or_path names, instead of new ones",
             [](TrainSettings& s, TrainFlags::Text value) { s.lora.weight_path = value; });
  flags.number<int64_t>("--lora_r", 1, 1 << 14, "rank (default 128)",
                        [](TrainSettings& s) -> int64_t& { return s.lora.r.emplace(); });
  flags.number<double>("--lora_alpha", 0.0, 1e6, "their sum is scaled by this over the rank (default 256)",
                       [](TrainSettings& s) -> double& { return s.lora.alpha.emplace(); });
  flags.number<double>("--lora_dropout", 0.0, 0.999, "share of their inputs that is dropped (default 0.05)",
                       [](TrainSettings& s) -> double& { return s.lora.dropout.emplace(); });
  flags.boolean(
      "--only_lora_ffn",
      "adapters of feed-forwards and experts only, not of attention (default True in a mixture of experts, "
      "else False)",
      [](TrainSettings& s) -> bool& { return s.lora.only_ffn.emplace(); });
  flags.text("--lora_bias", "none", "biases stay frozen",
             [](TrainSettings&, TrainFlags::Text value) { one_of("--lora_bias", value, {"none"}); });
}

void add_run_flags(TrainFlags& flags) {
  flags.group("Run");
  flags.text("--output_dir", "DIR", "checkpoints and the finished model",
             [](TrainSettings& s, TrainFlags::Text value) { s.output_dir = value; });
  flags.require("--output_dir");
  flags.boolean("--overwrite_output_dir", "remove what an earlier run left there",
                [](TrainSettings& s) -> bool& { return s.overwrite_output_dir; });
  flags.number<int64_t>("--save_steps", 1, kMany, "steps between checkpoints (default 500)",
                        [](TrainSettings& s) -> int64_t& { return s.save_steps; });
  flags.number<int64_t>("--save_total_limit", 2, 1000, "checkpoints kept while training (default 2)",
                        [](TrainSettings& s) -> int64_t& { return s.save_total_limit; });
  flags.number<int64_t>("--logging_steps", 1, kMany,
                        "steps between entries of trainer_state.json's log_history (default 1)",
                        [](TrainSettings& s) -> int64_t& { return s.logging_steps; });
  flags.text("--report_to", "tensorboard|none",
             "event files in runs/ of the output folder (default tensorboard)",
             [](TrainSettings& s, TrainFlags::Text value) {
               s.tensorboard = one_of("--report_to", value, {"tensorboard", "none"}) == "tensorboard";
             });
  flags.text("--resume_from_checkpoint", "DIR|True|False",
             "go on from this checkpoint; True: from the newest whole one, which must be there; False: from "
             "the beginning (default: from the newest if there is one)",
             [](TrainSettings& s, TrainFlags::Text value) { s.resume_from_checkpoint = value; });
  flags.number<int64_t>("--ddp_timeout", 1, kMany,
                        "seconds that processes wait for one of them that lives (default 1800)",
                        [](TrainSettings& s) -> int64_t& { return s.ddp_timeout; });
  flags.text(
      "--ddp_backend", "nccl|mpi",
      "what carries values between processes: nccl from GPU to GPU, one for each process, or mpi through "
      "the processor's memory (default: nccl on GPUs)",
      [](TrainSettings& s, TrainFlags::Text value) {
        const bool nccl = one_of("--ddp_backend", value, {"nccl", "mpi"}) == "nccl";
        s.ddp_backend = nccl ? DdpBackend::Nccl : DdpBackend::Mpi;
      });
  flags.text("--dump_step", "DIR",
             "write every intermediate result of step 1 as .npy and JSON, for comparisons",
             [](TrainSettings& s, TrainFlags::Text value) { s.dump_step = value; });
  flags.text(
      "--on_nonfinite", "stop|skip|rollback",
      "a step whose loss or gradient is not finite ends the run, is left out, or takes the weights back "
      "to the newest checkpoint (default stop)",
      [](TrainSettings& s, TrainFlags::Text value) {
        const std::string& what = one_of("--on_nonfinite", value, {"stop", "skip", "rollback"});
        s.on_nonfinite = what == "stop"   ? OnNonFinite::Stop
                         : what == "skip" ? OnNonFinite::Skip
                                          : OnNonFinite::Rollback;
      });
  flags.boolean("--gradient_checkpointing",
                "keep the input of each layer alone and compute the rest again in the backward pass: a third "
                "more time, far less memory, the same bits (default False)",
                [](TrainSettings& s) -> bool& { return s.gradient_checkpointing; });
  flags.boolean("--dry_run",
                "check settings, model and data, print what the run needs of memory, disk and time, and end: "
                "nothing is trained or written (default False)",
                [](TrainSettings& s) -> bool& { return s.dry_run; });
  flags.number<int>("--threads", 1, 1024, "default: one a core",
                    [](TrainSettings& s) -> int& { return s.threads; });
  flags.text(
      "--device", "auto|cpu|cuda|cuda:N",
      "where to compute; of several processes on a machine each takes a GPU of its own (default auto: a "
      "GPU if there is one)",
      [](TrainSettings& s, TrainFlags::Text value) { s.device = value; });
}

}  // namespace

void add_train_flags(TrainFlags& flags) {
  add_first_flags(flags);
  add_model_and_data_flags(flags);
  add_optimisation_flags(flags);
  add_moe_flags(flags);
  add_expert_work_flags(flags);
  add_lora_flags(flags);
  add_run_flags(flags);
}

}  // namespace moellava
