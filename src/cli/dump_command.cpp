// `moe-llava dump`: every intermediate result of one prompt as .npy and JSON, for checking parity.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "generate/chat_session.hpp"
#include "model/npy_tensors.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

struct DumpOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::string ids;
  std::string prompt;
  bool raw = false;
  bool no_exif = false;
  int64_t greedy = 0;
  std::optional<double> capacity_factor;
  std::string router_noise;
  std::string out;
};

std::vector<int32_t> read_ids(const fs::path& path, int64_t vocabulary) {
  const Json list = read_json(path);
  if (!list.is_array()) throw bad_data(path.string(), "not a JSON list of ids");
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    const int64_t value = id.is_number_integer() ? id.get<int64_t>() : -1;
    if (value != kImageTokenId && (value < 0 || value >= vocabulary)) {
      throw bad_data(path.string(), "not an id",
                     {.found = printable(id.dump()),
                      .expected = "0 to " + std::to_string(vocabulary - 1) + ", or -200 for an image"});
    }
    ids.push_back(static_cast<int32_t>(value));
  }
  return ids;
}

// Text as it stands, special tokens and "<image>" included.
std::vector<int32_t> raw_ids(const std::string& text, const Tokenizer& tokenizer) {
  RenderedConversation rendered{{{}}};
  for (const Part& part : split_image_markers(text)) {
    if (const auto* words = std::get_if<std::string>(&part)) {
      rendered.chunks.back().push_back({.text = *words, .trusted = true});
    } else {
      rendered.chunks.emplace_back();
    }
  }
  return tokenise(rendered, tokenizer).ids;
}

std::vector<int32_t> requested_ids(const DumpOptions& options, const LoadedModel& loaded) {
  if (!options.ids.empty()) return read_ids(options.ids, loaded.model->config().decoder.vocab_size);
  if (options.raw) return raw_ids(options.prompt, *loaded.tokenizer);
  return prompt_ids(*loaded.model, *loaded.tokenizer,
                    {.turns = {user_turn(options.prompt, options.images.size())}, .system = ""});
}

MoeRun requested_run(const DumpOptions& options, const MoeLlava& model) {
  MoeRun run = options.model.moe_run(model);
  run.capacity_factor = options.capacity_factor;
  if (!options.router_noise.empty()) {
    if (run.gumbel_seed) throw usage_error("--router-noise", "not together with --router-sampling gumbel");
    run.router_noise = read_tensor(options.router_noise);
  }
  return run;
}

void check_noise(const MoeRun& run, const MoeLlava& model, int64_t positions) {
  if (!run.router_noise.defined()) return;
  const MoeConfig& moe = model.config().moe;
  const std::vector<int64_t> expected = {
      static_cast<int64_t>(moe.layers.size()), positions,
      moe.enabled() ? *std::max_element(moe.experts.begin(), moe.experts.end()) : 0};
  if (run.router_noise.sizes() != expected) {
    throw bad_data("--router-noise", "wrong shape",
                   {.found = c10::str(run.router_noise.sizes()),
                    .expected = c10::str(at::IntArrayRef(expected)) + " for layers, positions, experts"});
  }
}

void dump(const DumpOptions& options) {
  const at::NoGradGuard no_grad;
  const LoadedModel loaded = options.model.load();
  const MoeLlava& model = *loaded.model;
  const fs::path out = options.out;
  fs::create_directories(out);

  GenerateRequest request;
  if (!options.images.empty()) {
    if (!model.sees())
      throw bad_data(options.model.model, "this model sees no pictures",
                     {.hint = "give it a --vision-tower"});
    std::vector<at::Tensor> pixels;
    for (const std::string& image : options.images)
      pixels.push_back(load_pixels(model, image, !options.no_exif));
    const at::Tensor batch = at::cat(pixels, 0);
    // One by one, so that a picture's numbers do not depend on its neighbours.
    std::vector<at::Tensor> features;
    for (const at::Tensor& picture : pixels) features.push_back(model.encode_images(picture));
    request.features = at::cat(features, 0);
    write_tensor(out / "preprocessed.npy", batch);
    write_tensor(out / "vision.npy", request.features);
    write_tensor(out / "projector.npy", model.project(request.features));
  }
  request.ids = requested_ids(options, loaded);
  request.moe = requested_run(options, model);
  const int64_t images = request.features.defined() ? request.features.size(0) : 0;
  check_noise(request.moe, model,
              static_cast<int64_t>(request.ids.size()) + images * (image_tokens(model.config()) - 1));

  std::vector<at::Tensor> hidden;
  const ForwardResult result = forward_prompt(model, request.ids, request.features, request.moe, &hidden);
  write_file_atomic(out / "ids.json", Json(request.ids).dump() + "\n");
  write_tensor(out / "hidden_states.npy", at::cat(hidden, 0));
  write_tensor(out / "logits.npy", result.logits);
  write_routing(out, result.routing);
  if (options.greedy > 0) {
    request.max_new_tokens = options.greedy;
    request.stop_ids = stop_ids(model, *loaded.tokenizer);
    Engine engine(model, *loaded.tokenizer);
    const GenerateResult answer = engine.generate(request);
    std::vector<int32_t> written = answer.ids;
    if (answer.end_id) written.push_back(*answer.end_id);  // as Hugging Face's generate returns it
    write_file_atomic(out / "greedy.json", Json(written).dump() + "\n");
  }
}

}  // namespace

void add_dump_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("dump", "Every intermediate result of one prompt as .npy and JSON");
  auto options = std::make_shared<DumpOptions>();
  options->model.add_to(*command);
  command->add_option("--image", options->images, "picture file; again for more")->group("Prompt");
  auto* ids = command->add_option("--ids", options->ids, "JSON file with the ids, -200 for an image")
                  ->group("Prompt");
  auto* prompt =
      command->add_option("--prompt", options->prompt, "the user's words, or with --raw the whole prompt")
          ->group("Prompt")
          ->excludes(ids);
  command->add_flag("--raw", options->raw, "take --prompt as it stands: <image> and special tokens count")
      ->group("Prompt")
      ->needs(prompt);
  command->add_flag("--no-exif", options->no_exif, "do not turn pictures as their EXIF data says")
      ->group("Prompt");
  command->add_option("--greedy", options->greedy, "also write this many greedy tokens")
      ->check(number_from<int64_t>(0, 1 << 20))
      ->group("Run");
  command
      ->add_option("--capacity-factor", options->capacity_factor,
                   "expert capacity factor instead of the model's own")
      ->check(number_from(1e-6, 1e6))
      ->group("Run");
  command
      ->add_option("--router-noise", options->router_noise,
                   ".npy [layers, positions, experts] added before the second choice")
      ->group("Run");
  command->add_option("--out", options->out, "folder to write into")->required()->group("Output");
  command->footer(R"(Examples:
  moe-llava dump --model DIR --image photo.jpg --prompt "What is this?" --greedy 16 --out dump
  moe-llava dump --model DIR --ids ids.json --capacity-factor 0.5 --out dump

Files: ids.json, preprocessed.npy [M,3,S,S], vision.npy [M,N,W], projector.npy [M,N,H],
hidden_states.npy [layers+1,T,H] (before each layer, and after the last norm), logits.npy [T,V], router_logits.npy [L,T,E], top_idx.npy [L,T,k], combine.npy [L,T,E], slot.npy [L,T,E], greedy.json (with the id that ended it).)");
  command->callback([options, ids, prompt] {
    if (ids->count() + prompt->count() != 1) throw usage_error("dump", "needs one of --ids and --prompt");
    dump(*options);
  });
}

}  // namespace moellava
