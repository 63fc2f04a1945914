// What a trace says: who carries which share of the tokens, how sure the routers are, what is lost.
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "routing/trace.hpp"

namespace moellava {

// Shares of one group of tokens (all, text or image) in one layer. E experts.
struct GroupLoad {
  int64_t tokens = 0;
  std::vector<double> first;   // [E] share of the first choices, sums to 1; zeros when there are no tokens
  std::vector<double> chosen;  // [E] share of all choices, likewise
  double entropy_bits = 0;     // mean over the tokens; log2 E when the router is undecided
  double dropped = 0;          // share of the choices that found their expert full
};

struct LayerLoad {
  int64_t layer = 0;  // number in the decoder, from 1 as in the paper's figures
  GroupLoad all, text, image;
  // Total variation distance of the first choices of text and image: 0 routed alike, 1 by disjoint experts.
  double text_image_distance = 0;
};

struct RoutingStatistics {
  std::vector<LayerLoad> layers;
  int64_t experts = 0;  // the most of any layer
  int64_t top_k = 0;
  int64_t passes = 0;  // prompts looked at
};

// Tokens of all passes are pooled, so that "all" weighs text and image by their numbers. (The original
// averages over samples and scales text up to the number of visual tokens.)
RoutingStatistics routing_statistics(const RoutingTrace& trace);

Json routing_json(const RoutingStatistics& statistics);
// layer,tokens,expert,first_choice_share,choice_share: a row for each layer, group of tokens and expert,
// layers and experts counted from 1.
std::string routing_csv(const RoutingStatistics& statistics);
// For a terminal: a line of three bars for each layer, each bar `width` characters of expert numbers.
std::string routing_bars(const RoutingStatistics& statistics, int width = 24);

}  // namespace moellava
