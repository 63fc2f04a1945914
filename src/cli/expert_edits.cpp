#include "cli/expert_edits.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace moellava {

namespace {

// "3:1:2" -> {3, 1, 2}
std::vector<int64_t> numbers_of(const std::string& text, size_t count, const char* flag,
                                const char* expected) {
  std::vector<int64_t> numbers;
  const char* at = text.data();
  const char* end = at + text.size();
  for (bool more = true; more;) {
    const auto [stop, failure] = std::from_chars(at, end, numbers.emplace_back());
    more = failure == std::errc() && stop != end && *stop == ':';
    at = more ? stop + 1 : stop;
    if (failure != std::errc()) at = nullptr;
  }
  if (at != end || numbers.size() != count)
    throw usage_error(flag, "not understood", {.found = "\"" + printable(text) + "\"", .expected = expected});
  return numbers;
}

// Which of the MoE layers the number means.
size_t layer_index(int64_t layer, const MoeConfig& moe, const char* flag) {
  const auto found = std::find(moe.layers.begin(), moe.layers.end(), layer - 1);
  if (found != moe.layers.end()) return static_cast<size_t>(found - moe.layers.begin());
  const std::string those =
      joined(moe.layers, ", ", [](int64_t number) { return std::to_string(number + 1); });
  throw usage_error(flag, "a layer without experts",
                    {.found = std::to_string(layer), .expected = "one of " + those});
}

int64_t expert_index(int64_t expert, int64_t experts, const char* flag) {
  if (expert < 1 || expert > experts) {
    throw usage_error(flag, "no such expert",
                      {.found = std::to_string(expert), .expected = "1 to " + std::to_string(experts)});
  }
  return expert - 1;
}

void mask(std::vector<ExpertEdits>& edits, const std::string& text, const MoeConfig& moe, int64_t top_k) {
  constexpr const char* kFlag = "--mask-expert";
  const std::vector<int64_t> numbers = numbers_of(text, 2, kFlag, "LAYER:EXPERT");
  const size_t layer = layer_index(numbers[0], moe, kFlag);
  const int64_t expert = expert_index(numbers[1], moe.experts[layer], kFlag);
  std::vector<int64_t>& masked = edits[layer].masked;
  if (std::find(masked.begin(), masked.end(), expert) == masked.end()) masked.push_back(expert);
  const int64_t left = moe.experts[layer] - static_cast<int64_t>(masked.size());
  if (left < top_k) {
    throw usage_error(kFlag, "too few experts are left in layer " + std::to_string(numbers[0]),
                      {.found = std::to_string(left),
                       .expected = "at least " + std::to_string(top_k) + ", the choices of a token",
                       .hint = left > 0 ? "--top-k-experts asks for fewer" : ""});
  }
}

void swap(std::vector<ExpertEdits>& edits, const std::string& text, const MoeConfig& moe) {
  constexpr const char* kFlag = "--swap-experts";
  const std::vector<int64_t> numbers = numbers_of(text, 3, kFlag, "LAYER:EXPERT:EXPERT");
  const size_t layer = layer_index(numbers[0], moe, kFlag);
  edits[layer].swapped.emplace_back(expert_index(numbers[1], moe.experts[layer], kFlag),
                                    expert_index(numbers[2], moe.experts[layer], kFlag));
}

}  // namespace

std::vector<ExpertEdits> parse_expert_edits(const std::vector<std::string>& masks,
                                            const std::vector<std::string>& swaps, const MoeConfig& moe,
                                            int64_t top_k) {
  if (masks.empty() && swaps.empty()) return {};
  std::vector<ExpertEdits> edits(moe.layers.size());
  for (const std::string& text : masks) mask(edits, text, moe, top_k);
  for (const std::string& text : swaps) swap(edits, text, moe);
  return edits;
}

}  // namespace moellava
