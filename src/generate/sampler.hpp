// Choosing the next token from its logits.
#pragma once

#include <cstdint>
#include <span>

namespace moellava {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the largest logit, the first of equal ones
  double top_p = 1;        // the smallest set of likeliest tokens with this much probability
  int64_t top_k = 0;       // the k likeliest; 0: all
  uint64_t seed = 0;
};

// `logits` of the tokens that may be chosen, by id. What is drawn depends on (seed, counter) only, so that
// token i of an answer is the same however the answer is produced. Throws BadData when a logit is not a
// number or the largest one is not finite.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t counter);

}  // namespace moellava
