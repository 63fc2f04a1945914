#include "generate/engine.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "generate/answer_writer.hpp"

namespace moellava {

namespace {

class Stopwatch {
 public:
  // Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// For runs that drop nothing: whether a token gets the same experts in both.
bool choose_alike(const MoeRun& a, const MoeRun& b) {
  return a.top_k == b.top_k && a.gumbel_seed == b.gumbel_seed && a.edits == b.edits;
}

at::Tensor project_if_any(const MoeLlava& model, const at::Tensor& features) {
  return features.defined() ? model.project(features) : features;
}

}  // namespace

int64_t Engine::reusable_positions(const GenerateRequest& request, int64_t prompt_positions) const {
  if (last_.ids.empty() || request.on_routing || may_drop(model_.config(), request.moe)) return 0;
  if (!choose_alike(last_.moe, request.moe)) return 0;
  if (model_.decoder().rotary_config(prompt_positions).theta != last_.cache.rotary_theta[0]) return 0;
  // The last id is always run: its logits are needed.
  const size_t most = std::min(last_.ids.size(), request.ids.size() - 1);
  const auto differ = std::mismatch(
      request.ids.begin(), request.ids.begin() + static_cast<std::ptrdiff_t>(most), last_.ids.begin());
  const auto alike = std::span(request.ids.begin(), differ.first);
  const int64_t images = std::count(alike.begin(), alike.end(), kImageTokenId);
  if (images > 0 && !request.features.narrow(0, 0, images).equal(last_.features.narrow(0, 0, images)))
    return 0;
  return positions_of(model_, alike);
}

void Engine::reserve(int64_t positions, int64_t kept) {
  if (last_.cache.capacity < positions) {
    constexpr int64_t kStep = 256;  // so that a growing conversation does not reallocate every turn
    KvCache larger = model_.decoder().make_cache(1, (positions + kStep - 1) / kStep * kStep);
    for (size_t i = 0; i < last_.cache.layers.size() && kept > 0; ++i) {
      larger.layers[i].keys.narrow(2, 0, kept).copy_(last_.cache.layers[i].keys.narrow(2, 0, kept));
      larger.layers[i].values.narrow(2, 0, kept).copy_(last_.cache.layers[i].values.narrow(2, 0, kept));
    }
    larger.rotary_theta = last_.cache.rotary_theta;
    last_.cache = std::move(larger);
  }
  last_.cache.length = kept;
}

GenerateResult Engine::generate(const GenerateRequest& request,
                                const std::function<void(std::string_view)>& on_text) {
  const at::NoGradGuard no_grad;
  const Decoder& decoder = model_.decoder();
  Stopwatch watch;

  // 1. The prompt, less what the cache already holds.
  const int64_t positions = prompt_positions(model_, request);
  const std::vector<SampleIds> sample_ids = {{.ids = request.ids, .labels = {}}};
  const Spliced prompt = splice(decoder, sample_ids, project_if_any(model_, request.features));
  const int64_t limit = model_.config().decoder.max_positions;
  const int64_t most = std::clamp<int64_t>(request.max_new_tokens, 0, limit - positions);
  const int64_t reused = reusable_positions(request, positions);
  last_.ids.clear();  // stays so if something throws
  reserve(positions + most, reused);
  const at::Tensor rest = prompt.embeddings.narrow(1, reused, positions - reused);
  DecoderOutput output = decoder.forward(rest, {.moe = request.moe, .cache = &last_.cache});
  if (request.on_routing) request.on_routing(request.ids, output.routing);
  MoeRun moe = request.moe;
  moe.router_noise = at::Tensor();
  at::Tensor logits =
      decoder.logits(output.hidden.select(1, output.hidden.size(1) - 1)).cpu().contiguous();  // [1, V]
  const double prompt_seconds = watch.lap();

  // 2. One token after the other.
  AnswerWriter writer(tokenizer_, request, most);
  // Rows of the vocabulary beyond the tokenizer are padding and can never be chosen.
  const auto choices = static_cast<size_t>(std::min<int64_t>(tokenizer_.size(), logits.size(1)));
  auto show = [&] {
    const std::string part = writer.take();
    if (on_text && !part.empty()) on_text(part);
  };
  while (writer.wants_more()) {
    const int32_t id = sample({logits.data_ptr<float>(), choices}, request.sampling, writer.size());
    writer.push(id);
    if (!writer.wants_more()) break;
    show();
    output = decoder.forward(decoder.embed(at::tensor({static_cast<int64_t>(id)}).view({1, 1})),
                             {.moe = moe, .cache = &last_.cache});
    if (request.on_routing) request.on_routing(std::span(&id, 1), output.routing);
    logits = decoder.logits(output.hidden.select(1, 0)).cpu().contiguous();
  }
  writer.finish();
  show();
  GenerateResult result = std::move(writer.result());
  result.prompt_positions = positions;
  result.reused_positions = reused;
  result.prompt_seconds = prompt_seconds;
  result.decode_seconds = watch.lap();

  // 3. What the cache holds now: the prompt and every token that was run. Of no use to anybody where
  // neighbours had a say in it.
  if (may_drop(model_.config(), request.moe)) return result;
  last_.features = request.features;
  last_.moe = request.moe;
  last_.ids = request.ids;
  const auto run = static_cast<std::ptrdiff_t>(last_.cache.length - positions);
  last_.ids.insert(last_.ids.end(), result.ids.begin(), result.ids.begin() + run);
  return result;
}

ForwardResult forward_prompt(const MoeLlava& model, const std::vector<int32_t>& ids,
                             const at::Tensor& features, const MoeRun& moe, std::vector<at::Tensor>* hidden) {
  const at::NoGradGuard no_grad;
  const std::vector<SampleIds> samples = {{.ids = ids, .labels = {}}};
  Spliced prompt = splice(model.decoder(), samples, project_if_any(model, features));
  DecoderOutput output = model.decoder().forward(prompt.embeddings, {.moe = moe, .hidden = hidden});
  return {model.decoder().logits(output.hidden[0]).cpu(), std::move(output.routing),
          std::move(prompt.is_image[0])};
}

std::vector<int32_t> prompt_ids(const MoeLlava& model, const Tokenizer& tokenizer,
                                const Conversation& conversation) {
  return tokenise(render(conversation, conversation_style(model.config().conversation)), tokenizer).ids;
}

std::vector<int32_t> stop_ids(const MoeLlava& model, const Tokenizer& tokenizer) {
  const auto id = tokenizer.id_of(conversation_style(model.config().conversation).stop);
  std::vector<int32_t> ids(model.config().stop_ids.begin(), model.config().stop_ids.end());
  if (id) ids.push_back(*id);
  return ids;
}

std::vector<std::string> stop_texts(const MoeLlava& model, const Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  const std::string_view stop = conversation_style(model.config().conversation).stop;
  if (!stop.empty() && !tokenizer.id_of(stop)) texts.emplace_back(stop);
  for (const std::vector<int64_t>& word : model.config().stop_words) {
    const std::vector<int32_t> ids(word.begin(), word.end());
    texts.push_back(tokenizer.decode(ids, /*skip_special=*/false));
  }
  return texts;
}

at::Tensor pixels_of(const MoeLlava& model, const Image& image) {
  const PreprocessConfig& config = model.config().preprocess;
  const std::vector<float> values = preprocess(image, config);
  return at::tensor(values).view({1, 3, config.size, config.size});
}

at::Tensor load_pixels(const MoeLlava& model, const std::filesystem::path& path, bool apply_exif) {
  return pixels_of(model, read_image(path, {.apply_exif_orientation = apply_exif}));
}

}  // namespace moellava
