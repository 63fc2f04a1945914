#include "cli/trace_recorder.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "cli/model_options.hpp"

namespace moellava {

namespace {

void require_shape(const Routing& routing, int64_t rows, int64_t experts, int64_t top_k) {
  const bool fits = routing.logits.sizes() == at::IntArrayRef{rows, experts} &&
                    routing.expert.sizes() == at::IntArrayRef{rows, top_k} &&
                    routing.slot.sizes() == routing.expert.sizes() &&
                    routing.weight.sizes() == routing.expert.sizes();
  if (!fits) {
    throw make_error(ErrorKind::Internal, "routing", "not of the model's shape",
                     {.expected = std::to_string(rows) + " tokens, " + std::to_string(experts) +
                                  " experts, " + std::to_string(top_k) + " choices"});
  }
}

}  // namespace

TracedSample traced_sample(const Question& question, const std::string& source) {
  TracedSample sample{.id = question.id.is_string() ? question.id.get<std::string>() : question.id.dump(),
                      .source = source,
                      .category = question.category,
                      .text = question.text,
                      .images = {}};
  if (!question.image.empty()) sample.images.push_back(question.image);
  return sample;
}

TraceRecorder::TraceRecorder(const MoeLlava& model, const Tokenizer& tokenizer, const std::string& model_path,
                             std::optional<int64_t> top_k)
    : tokenizer_(tokenizer) {
  const ModelConfig& config = model.config();
  if (!config.moe.enabled()) throw usage_error(model_path, "a dense model, it has no routers");
  trace_.model = {.name = folder_name(model_path),
                  .layers = config.moe.layers,
                  .experts = config.moe.experts,
                  .top_k = top_k.value_or(config.moe.top_k)};
  if (model.sees()) {
    trace_.model.preprocess = config.preprocess;
    tokens_per_image_ = image_tokens(config);
  }
}

void TraceRecorder::begin(TracedSample sample) {
  sample.tokens = 0;
  trace_.samples.push_back(std::move(sample));
}

void TraceRecorder::add_tokens(std::span<const int32_t> ids) {
  TracedSample& sample = trace_.samples.back();
  const bool answer = sample.tokens > 0;
  int32_t picture = 0;
  for (const int32_t id : ids) {
    const bool image = id == kImageTokenId;
    for (int64_t patch = 0; patch < (image ? tokens_per_image_ : 1); ++patch) {
      trace_.tokens.push_back({.id = id,
                               .picture = image ? picture : -1,
                               .patch = image ? static_cast<int32_t>(patch) : -1,
                               .answer = answer});
      ++sample.tokens;
    }
    picture += image;
    if (!image) trace_.token_text.try_emplace(id, tokenizer_.token_bytes(id));
  }
}

// Fills in one layer of the tokens from `first_token` on.
void TraceRecorder::add_layer(size_t layer, const Routing& routing, size_t first_token) {
  const auto rows = trace_.tokens.size() - first_token;
  const int64_t experts = trace_.model.experts[layer];
  require_shape(routing, static_cast<int64_t>(rows), experts, trace_.model.top_k);
  const at::Tensor expert_tensor = routing.expert.to(at::kCPU, at::kLong).contiguous();
  const at::Tensor slot_tensor = routing.slot.to(at::kCPU, at::kLong).contiguous();
  const at::Tensor weight_tensor = routing.weight.detach().to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor gates_tensor = routing.logits.detach().to(at::kCPU).softmax(1, at::kFloat).contiguous();
  const auto* expert = expert_tensor.const_data_ptr<int64_t>();  // [T, K]
  const auto* slot = slot_tensor.const_data_ptr<int64_t>();      // [T, K]
  const auto* weight = weight_tensor.const_data_ptr<float>();    // [T, K]
  const auto* gates = gates_tensor.const_data_ptr<float>();      // [T, E of the layer]
  const size_t top_k = trace_.top_k();
  const auto width = static_cast<size_t>(trace_.model.most_experts());
  for (size_t row = 0; row < rows; ++row) {
    const size_t place = (first_token + row) * trace_.layers() + layer;
    for (size_t k = 0; k < top_k; ++k) {
      const size_t i = row * top_k + k;
      trace_.choices[place * top_k + k] = {
          .expert = static_cast<int16_t>(expert[i]), .weight = weight[i], .dropped = slot[i] < 0};
    }
    std::copy_n(gates + row * static_cast<size_t>(experts), experts, &trace_.probabilities[place * width]);
  }
}

void TraceRecorder::add(std::span<const int32_t> ids, std::span<const Routing> routing) {
  if (trace_.samples.empty() || routing.size() != trace_.layers()) {
    throw make_error(ErrorKind::Internal, "routing", "not of the model's layers",
                     {.found = std::to_string(routing.size()), .expected = std::to_string(trace_.layers())});
  }
  const size_t first_token = trace_.tokens.size();
  add_tokens(ids);
  const size_t places = trace_.tokens.size() * trace_.layers();
  trace_.choices.resize(places * trace_.top_k());
  trace_.probabilities.resize(places * static_cast<size_t>(trace_.model.most_experts()));
  for (size_t layer = 0; layer < trace_.layers(); ++layer) add_layer(layer, routing[layer], first_token);
}

}  // namespace moellava
