#include "routing/trace.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace moellava {

namespace {

std::string shape_of(const TracedModel& model) {
  std::string text = std::to_string(model.layers.size()) + " layers of";
  for (const int64_t experts : model.experts) text += " " + std::to_string(experts);
  return text + " experts, " + std::to_string(model.top_k) + " a token";
}

}  // namespace

int64_t TracedModel::most_experts() const {
  return experts.empty() ? 0 : *std::max_element(experts.begin(), experts.end());
}

bool TracedModel::operator==(const TracedModel& other) const {
  return layers == other.layers && experts == other.experts && top_k == other.top_k;
}

std::vector<size_t> RoutingTrace::sample_begins() const {
  std::vector<size_t> begins = {0};
  for (const TracedSample& sample : samples) begins.push_back(begins.back() + sample.tokens);
  return begins;
}

const std::string& RoutingTrace::text_of(const TracedToken& token) const {
  static const std::string nothing;
  if (token.is_image()) return nothing;
  const auto found = token_text.find(token.id);
  return found == token_text.end() ? nothing : found->second;
}

void RoutingTrace::append(const RoutingTrace& other, const std::string& where) {
  if (!(model == other.model)) {
    throw bad_data(where, "the trace of another model",
                   {.found = shape_of(other.model), .expected = shape_of(model)});
  }
  samples.insert(samples.end(), other.samples.begin(), other.samples.end());
  tokens.insert(tokens.end(), other.tokens.begin(), other.tokens.end());
  choices.insert(choices.end(), other.choices.begin(), other.choices.end());
  probabilities.insert(probabilities.end(), other.probabilities.begin(), other.probabilities.end());
  token_text.insert(other.token_text.begin(), other.token_text.end());
}

}  // namespace moellava
