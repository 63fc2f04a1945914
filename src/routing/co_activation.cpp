#include "routing/co_activation.hpp"

namespace moellava {

std::vector<CoActivation> co_activation(const RoutingTrace& trace) {
  std::vector<CoActivation> layers;
  for (size_t layer = 0; layer < trace.layers(); ++layer) {
    const auto experts = static_cast<size_t>(trace.model.experts[layer]);
    CoActivation& shares = layers.emplace_back(experts, std::vector<double>(experts));
    const double one_token = 1.0 / static_cast<double>(std::max<size_t>(trace.tokens.size(), 1));
    for (size_t t = 0; t < trace.tokens.size(); ++t) {
      for (size_t a = 0; a < trace.top_k(); ++a) {
        const auto first = static_cast<size_t>(trace.choice(t, layer, a).expert);
        for (size_t b = 0; b < trace.top_k(); ++b)
          shares[first][static_cast<size_t>(trace.choice(t, layer, b).expert)] += one_token;
      }
    }
  }
  return layers;
}

}  // namespace moellava
