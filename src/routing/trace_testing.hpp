// For tests: traces put together by hand and at random.
#pragma once

#include "base/random.hpp"
#include "routing/trace.hpp"

namespace moellava::testing {

// Of L layers with E experts and K choices; numbers of the decoder's layers 0, 2, 4, ...
inline RoutingTrace empty_trace(size_t layers, int64_t experts, int64_t top_k) {
  RoutingTrace trace;
  trace.model.name = "tiny";
  trace.model.top_k = top_k;
  for (size_t l = 0; l < layers; ++l) {
    trace.model.layers.push_back(2 * static_cast<int64_t>(l));
    trace.model.experts.push_back(experts);
  }
  return trace;
}

inline void add_sample(RoutingTrace& trace, const std::string& id, const std::string& source,
                       const std::string& category, size_t pictures = 0) {
  trace.samples.push_back({.id = id, .source = source, .category = category, .text = id + "?", .images = {}});
  for (size_t i = 0; i < pictures; ++i) trace.samples.back().images.push_back(std::to_string(i) + ".png");
}

// A token of the last sample, whose first choice in each layer is given, the next ones following in order;
// undecided routers.
inline void add_token(RoutingTrace& trace, const TracedToken& token, const std::vector<int16_t>& first,
                      bool dropped = false) {
  ++trace.samples.back().tokens;
  trace.tokens.push_back(token);
  for (size_t l = 0; l < trace.layers(); ++l) {
    const int64_t experts = trace.model.experts[l];
    for (int64_t k = 0; k < trace.model.top_k; ++k) {
      const auto expert = static_cast<int16_t>((first[l] + k) % experts);
      const float weight = dropped ? 0.0F : 1.0F / static_cast<float>(trace.model.top_k);
      trace.choices.push_back({.expert = expert, .weight = weight, .dropped = dropped});
    }
    for (int64_t e = 0; e < trace.model.most_experts(); ++e)
      trace.probabilities.push_back(e < experts ? 1.0F / static_cast<float>(experts) : 0.0F);
  }
}

// Samples of two sources, with a picture of four patches each between words; everything at random.
inline RoutingTrace random_trace(size_t layers, int64_t experts, int64_t top_k, size_t samples = 6) {
  RoutingTrace trace = empty_trace(layers, experts, top_k);
  uint64_t counter = 0;
  auto draw = [&counter](int64_t below) {
    return static_cast<int64_t>(random_unit(3, 0, counter++) * static_cast<double>(below));
  };
  for (size_t s = 0; s < samples; ++s) {
    add_sample(trace, std::to_string(s), s % 2 == 0 ? "pope" : "mme", s % 3 == 0 ? "count" : "presence", 1);
    const int64_t words = 3 + draw(5);
    for (int64_t t = 0; t < words + 4; ++t) {
      const bool patch = t >= 2 && t < 6;
      TracedToken token{.id = patch ? -200 : static_cast<int32_t>(draw(7)), .answer = t > words};
      if (patch) token.picture = 0, token.patch = static_cast<int32_t>(t - 2);
      std::vector<int16_t> first;
      for (size_t l = 0; l < layers; ++l) first.push_back(static_cast<int16_t>(draw(experts)));
      add_token(trace, token, first, draw(5) == 0);
    }
  }
  for (float& probability : trace.probabilities)
    probability = static_cast<float>(random_unit(3, 1, counter++));
  for (int32_t id = 0; id < 7; ++id) trace.token_text[id] = "w" + std::to_string(id);
  return trace;
}

}  // namespace moellava::testing
