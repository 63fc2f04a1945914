// Everything that is said about a trace, taken together: what the tables, charts and the page show.
#pragma once

#include <string>
#include <vector>

#include "routing/co_activation.hpp"
#include "routing/load.hpp"
#include "routing/pathways.hpp"
#include "routing/trace.hpp"

namespace moellava {

// L MoE layers.
struct LayerLoad {
  int64_t layer = 0;  // number in the decoder, from 1 as in the paper's figures
  GroupLoad all, text, image;
  double text_image_distance = 0;  // routing_distance of text and image
  // [E] of the tokens of an expert, the share that are patches, if there were as many patches as words: 0.5
  // means that it takes as large a share of the one as of the other. 0.5 for an expert without tokens.
  std::vector<double> image_share;
};

struct NamedLoad {
  std::string name;
  int64_t tokens = 0;
  std::vector<GroupLoad> layers;  // [L]
};

struct RoutingStatistics {
  std::string model;
  int64_t experts = 0;  // the most of any layer
  int64_t top_k = 0;
  int64_t samples = 0;
  int64_t tokens = 0;
  std::vector<LayerLoad> layers;
  std::vector<NamedLoad> sources, categories, positions;
  Pathways text_pathways, image_pathways;
  std::vector<CoActivation> co_activation;  // [L]
};

// Tokens of all samples are pooled, so that "all" weighs text and image by their numbers. (The original
// averages over samples and scales text up to the number of patches.)
RoutingStatistics routing_statistics(const RoutingTrace& trace);

}  // namespace moellava
