// Turns what the engine's routers say into a trace.
#pragma once

#include <optional>

#include "eval/questions.hpp"
#include "generate/engine.hpp"
#include "routing/trace.hpp"

namespace moellava {

// `source` is the benchmark or the file that the question is from.
TracedSample traced_sample(const Question& question, const std::string& source);

class TraceRecorder {
 public:
  // `top_k`: choices a token instead of the model's own. Throws Usage, naming `model_path`, for a dense
  // model. Model and tokenizer must outlive the recorder.
  TraceRecorder(const MoeLlava& model, const Tokenizer& tokenizer, const std::string& model_path,
                std::optional<int64_t> top_k);

  // A new sample; its `tokens` is counted from 0 as they come.
  void begin(TracedSample sample);
  // One pass of the sample: the first is its prompt, the others are its answer. As RoutingListener. A pass
  // that belongs to no sample, of another number of rows or of another shape throws Internal.
  void add(std::span<const int32_t> ids, std::span<const Routing> routing);

  const RoutingTrace& trace() const { return trace_; }

 private:
  void add_tokens(std::span<const int32_t> ids);
  void add_layer(size_t layer, const Routing& routing, size_t first_token);

  const Tokenizer& tokenizer_;
  int64_t tokens_per_image_ = 0;
  RoutingTrace trace_;
};

}  // namespace moellava
