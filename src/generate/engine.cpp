#include "generate/engine.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "base/error.hpp"

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

// Holds the answer's text back where a stop text may be beginning.
class StopFilter {
 public:
  explicit StopFilter(const std::vector<std::string>& stops) : stops_(stops) {}

  // Adds text; true when a stop text is complete, which then ends the text.
  bool add(std::string_view more) {
    text_ += more;
    size_t first = std::string::npos;
    for (const std::string& stop : stops_) {
      if (!stop.empty()) first = std::min(first, text_.find(stop));
    }
    if (first == std::string::npos) return false;
    text_.resize(first);
    return true;
  }

  // What can be shown now and was not shown before.
  std::string take(bool last) {
    size_t held = 0;
    for (const std::string& stop : stops_) {
      for (size_t n = std::min(stop.size(), text_.size()); n > held && !last; --n) {
        if (text_.ends_with(std::string_view(stop).substr(0, n))) held = n;
      }
    }
    const size_t end = std::max(shown_, text_.size() - held);
    std::string part = text_.substr(shown_, end - shown_);
    shown_ = end;
    return part;
  }
  const std::string& text() const { return text_; }

 private:
  const std::vector<std::string>& stops_;
  std::string text_;
  size_t shown_ = 0;
};

// Also true for recorded noise: then the cache holds what no other run would compute.
bool may_drop(const ModelConfig& config, const MoeRun& run) {
  const MoeConfig& moe = config.moe;
  if (!moe.enabled()) return false;
  const double factor = run.capacity_factor.value_or(moe.eval_capacity_factor);
  const int64_t most = *std::max_element(moe.experts.begin(), moe.experts.end());
  const auto top_k = static_cast<double>(run.top_k.value_or(moe.top_k));
  return factor * top_k < static_cast<double>(most) || run.router_noise.defined();
}

// For runs that drop nothing: whether a token gets the same experts in both.
bool choose_alike(const MoeRun& a, const MoeRun& b) {
  return a.top_k == b.top_k && a.gumbel_seed == b.gumbel_seed && a.edits == b.edits;
}

int64_t positions_of(const int32_t* begin, const int32_t* end, int64_t tokens_per_image) {
  const int64_t images = std::count(begin, end, kImageTokenId);
  return (end - begin) + images * (tokens_per_image - 1);
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
  const int32_t* begin = request.ids.data();
  const int32_t* end = begin + (differ.first - request.ids.begin());
  const int64_t images = std::count(begin, end, kImageTokenId);
  if (images > 0 && !request.features.narrow(0, 0, images).equal(last_.features.narrow(0, 0, images)))
    return 0;
  return positions_of(begin, end, image_tokens(model_.config()));
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
  if (request.ids.empty()) throw bad_data("prompt", "empty");
  const Decoder& decoder = model_.decoder();
  GenerateResult result;
  Stopwatch watch;

  // 1. The prompt, less what the cache already holds.
  const std::vector<SampleIds> sample_ids = {{.ids = request.ids, .labels = {}}};
  const Spliced prompt = splice(decoder, sample_ids, project_if_any(model_, request.features));
  result.prompt_positions = prompt.lengths[0];
  const int64_t limit = model_.config().decoder.max_positions;
  if (result.prompt_positions >= limit) {
    throw bad_data("prompt", "longer than the context",
                   {.found = std::to_string(result.prompt_positions) + " positions",
                    .expected = "less than " + std::to_string(limit)});
  }
  const int64_t most = std::clamp<int64_t>(request.max_new_tokens, 0, limit - result.prompt_positions);
  result.reused_positions = reusable_positions(request, result.prompt_positions);
  last_.ids.clear();  // stays so if something throws
  reserve(result.prompt_positions + most, result.reused_positions);
  const at::Tensor rest =
      prompt.embeddings.narrow(1, result.reused_positions, result.prompt_positions - result.reused_positions);
  DecoderOutput output = decoder.forward(rest, {.moe = request.moe, .cache = &last_.cache});
  if (request.on_routing) request.on_routing(request.ids, output.routing);
  MoeRun moe = request.moe;
  moe.router_noise = at::Tensor();
  at::Tensor logits =
      decoder.logits(output.hidden.select(1, output.hidden.size(1) - 1)).contiguous();  // [1, V]
  result.prompt_seconds = watch.lap();

  // 2. One token after the other.
  StreamDecoder stream(tokenizer_);
  StopFilter filter(request.stop);
  // Rows of the vocabulary beyond the tokenizer are padding and can never be chosen.
  const auto choices = static_cast<size_t>(std::min<int64_t>(tokenizer_.size(), logits.size(1)));
  auto ends = [&](int32_t id) {
    return id == tokenizer_.eos_id ||
           std::find(request.stop_ids.begin(), request.stop_ids.end(), id) != request.stop_ids.end();
  };
  auto show = [&](bool last) {
    const std::string part = filter.take(last);
    if (on_text && !part.empty()) on_text(part);
  };
  bool stopped = false;
  while (!stopped && static_cast<int64_t>(result.ids.size()) < most) {
    const int32_t id = sample({logits.data_ptr<float>(), choices}, request.sampling, result.ids.size());
    stopped = ends(id);
    if (stopped) {
      result.end_id = id;
      break;
    }
    result.ids.push_back(id);
    stopped = filter.add(stream.push(id));
    if (stopped || static_cast<int64_t>(result.ids.size()) == most) break;
    show(/*last=*/false);
    output = decoder.forward(decoder.embed(at::tensor({static_cast<int64_t>(id)}).view({1, 1})),
                             {.moe = moe, .cache = &last_.cache});
    if (request.on_routing) request.on_routing(std::span(&id, 1), output.routing);
    logits = decoder.logits(output.hidden.select(1, 0)).contiguous();
  }
  if (!stopped) filter.add(stream.finish());
  show(/*last=*/true);
  result.reason = stopped ? FinishReason::Stop : FinishReason::Length;
  result.text = filter.text();
  result.decode_seconds = watch.lap();

  // 3. What the cache holds now: the prompt and every token that was run. Of no use to anybody where
  // neighbours had a say in it.
  if (may_drop(model_.config(), request.moe)) return result;
  last_.features = request.features;
  last_.moe = request.moe;
  last_.ids = request.ids;
  const auto run = static_cast<std::ptrdiff_t>(last_.cache.length - result.prompt_positions);
  last_.ids.insert(last_.ids.end(), result.ids.begin(), result.ids.begin() + run);
  return result;
}

ForwardResult forward_prompt(const MoeLlava& model, const std::vector<int32_t>& ids,
                             const at::Tensor& features, const MoeRun& moe, std::vector<at::Tensor>* hidden) {
  const at::NoGradGuard no_grad;
  const std::vector<SampleIds> samples = {{.ids = ids, .labels = {}}};
  Spliced prompt = splice(model.decoder(), samples, project_if_any(model, features));
  DecoderOutput output = model.decoder().forward(prompt.embeddings, {.moe = moe, .hidden = hidden});
  return {model.decoder().logits(output.hidden[0]), std::move(output.routing), std::move(prompt.is_image[0])};
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
