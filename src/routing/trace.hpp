// What the routers of a model chose, token by token: the data that every statistic and picture comes from.
// S samples, T tokens of all of them, L MoE layers, K choices a token, E experts of the layer that has most.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace moellava {

struct TracedModel {
  std::string name;                                 // of its folder
  std::vector<int64_t> layers;                      // [L] number in the decoder, from 0, ascending
  std::vector<int64_t> experts;                     // [L]
  int64_t top_k = 0;                                // K
  std::optional<PreprocessConfig> preprocess = {};  // how its tower sees a picture; none: it sees nothing

  int64_t most_experts() const;  // E; 0 without layers
  bool operator==(const TracedModel& other) const;
};

// A question and its answer.
struct TracedSample {
  std::string id;
  std::string source;               // the benchmark or the question file
  std::string category;             // of the question, "" for none
  std::string text;                 // what the user said last
  std::vector<std::string> images;  // picture files in order of appearance, as the question names them
  bool cropped = false;  // its pictures lost what is outside their centre, whatever the model's way
  uint64_t tokens = 0;   // of the T, those of one sample in a row
};

// One token beside its choices.
struct TracedToken {
  int32_t id = 0;        // of the tokenizer; kImageTokenId for a patch
  int32_t picture = -1;  // of the sample's images; -1 for a word
  int32_t patch = -1;    // in that picture, in the order of the tower; -1 for a word
  bool answer = false;   // written by the model

  bool is_image() const { return patch >= 0; }
};

// One of the K choices of a token in a layer, the best first.
struct TracedChoice {
  int16_t expert = 0;
  float weight = 0;  // 0 when dropped; the kept ones of a token sum to 1 where K > 1
  bool dropped = false;
};

struct RoutingTrace {
  TracedModel model;
  std::vector<TracedSample> samples;  // [S]
  std::vector<TracedToken> tokens;    // [T]
  std::vector<TracedChoice> choices;  // [T, L, K]
  std::vector<float> probabilities;   // [T, L, E] the router's softmax, 0 behind a layer's last expert
  std::map<int32_t, std::string> token_text;  // bytes of each id that occurs

  size_t layers() const { return model.layers.size(); }
  size_t top_k() const { return static_cast<size_t>(model.top_k); }
  const TracedChoice& choice(size_t token, size_t layer, size_t k = 0) const {
    return choices[(token * layers() + layer) * top_k() + k];
  }
  // [E] of one token in one layer.
  const float* probability(size_t token, size_t layer) const {
    return &probabilities[(token * layers() + layer) * static_cast<size_t>(model.most_experts())];
  }
  // [S + 1] where the tokens of each sample begin, and T.
  std::vector<size_t> sample_begins() const;
  // "" for a patch.
  const std::string& text_of(const TracedToken& token) const;

  // Adds the samples of another trace behind these. Throws BadData naming `where` when it is of another kind
  // of model.
  void append(const RoutingTrace& other, const std::string& where);
};

}  // namespace moellava
