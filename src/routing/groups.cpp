#include "routing/groups.hpp"

#include <algorithm>

namespace moellava {

namespace {

// One group for each different name of a sample.
template <typename NameOf>
TokenGroups by_sample(const RoutingTrace& trace, NameOf name_of) {
  TokenGroups groups;
  for (const TracedSample& sample : trace.samples) {
    const std::string name = name_of(sample);
    const auto found = std::find(groups.names.begin(), groups.names.end(), name);
    const auto number = static_cast<size_t>(found - groups.names.begin());
    if (found == groups.names.end()) groups.names.push_back(name);
    groups.of.insert(groups.of.end(), sample.tokens, number);
  }
  return groups;
}

}  // namespace

TokenGroups by_modality(const RoutingTrace& trace) {
  TokenGroups groups{.names = {"text", "image"}, .of = {}};
  for (const TracedToken& token : trace.tokens) groups.of.push_back(token.is_image() ? 1 : 0);
  return groups;
}

TokenGroups by_source(const RoutingTrace& trace) {
  return by_sample(trace, [](const TracedSample& sample) { return sample.source; });
}

TokenGroups by_category(const RoutingTrace& trace) {
  return by_sample(trace, [](const TracedSample& sample) {
    if (sample.category.empty()) return sample.source;
    return sample.source.empty() ? sample.category : sample.source + ": " + sample.category;
  });
}

TokenGroups by_position(const RoutingTrace& trace, size_t bins) {
  uint64_t longest = 1;
  for (const TracedSample& sample : trace.samples) longest = std::max(longest, sample.tokens);
  const uint64_t width = (longest + bins - 1) / bins;
  TokenGroups groups;
  for (uint64_t begin = 0; begin < longest; begin += width) {
    const uint64_t last = std::min(begin + width, longest) - 1;
    groups.names.push_back(std::to_string(begin) + (last > begin ? "-" + std::to_string(last) : ""));
  }
  for (const TracedSample& sample : trace.samples) {
    for (uint64_t t = 0; t < sample.tokens; ++t) groups.of.push_back(static_cast<size_t>(t / width));
  }
  return groups;
}

}  // namespace moellava
