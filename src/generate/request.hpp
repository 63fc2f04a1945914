// What is asked of a model, and what comes back. M pictures, N visual tokens of one, L MoE layers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "generate/sampler.hpp"
#include "model/moe_llava.hpp"

namespace moellava {

// Gets what the routers [L] chose in a pass over `ids`, a row for each, and for kImageTokenId the N of its
// picture.
using RoutingListener = std::function<void(std::span<const int32_t> ids, std::span<const Routing> routing)>;

struct GenerateRequest {
  std::vector<int32_t> ids;  // kImageTokenId marks a picture's place
  at::Tensor features;  // [M, N, mm_hidden_size] from MoeLlava::encode_images; undefined without pictures
  int64_t max_new_tokens = 512;
  SamplingOptions sampling;
  std::vector<std::string> stop;  // texts that end the answer and are not part of it
  std::vector<int32_t> stop_ids;  // besides the tokenizer's end of text
  MoeRun moe;                     // router_noise is used for the prompt only, gumbel_seed throughout
  // Called for the whole prompt, then for every token that is run behind it. With it the cache of the request
  // before is of no use. Not for requests in a batch.
  RoutingListener on_routing = {};
};

enum class FinishReason { Stop, Length };

struct GenerateResult {
  std::vector<int32_t> ids;       // without the id that ended the answer
  std::optional<int32_t> end_id;  // which is here; none when a stop text or the length ended it
  std::string text;
  FinishReason reason = FinishReason::Length;
  int64_t prompt_positions = 0;
  int64_t reused_positions = 0;  // of them, computed once for this request and one before it or beside it
  double prompt_seconds = 0;     // 0 where several are answered at once
  double decode_seconds = 0;
};

// Positions that ids take in `model`: a picture takes as many as it has visual tokens.
int64_t positions_of(const MoeLlava& model, std::span<const int32_t> ids);

// The positions of the request's prompt. Throws BadData when the prompt is empty or leaves no room in the
// context.
int64_t prompt_positions(const MoeLlava& model, const GenerateRequest& request);

// Whether what a token of a prompt becomes depends on its neighbours' choice of experts, or on recorded
// noise: then a cache holds what no other run would compute.
bool may_drop(const ModelConfig& config, const MoeRun& run);

}  // namespace moellava
