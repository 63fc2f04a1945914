#include "eval/answer_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace moellava {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(space) + 1 - first);
}

std::string first_word(std::string_view text) {
  const std::string lower = lower_case(trimmed(text));
  const auto end = std::find_if_not(lower.begin(), lower.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return {lower.begin(), end};
}

std::optional<std::vector<double>> numbers_of(std::string_view text) {
  std::vector<double> numbers;
  for (std::string_view rest = trimmed(text); !rest.empty(); rest = trimmed(rest)) {
    double number = 0;
    const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failure != std::errc() || !std::isfinite(number)) return std::nullopt;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (!rest.empty() && trimmed(rest.substr(0, 1)) != "") return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace moellava
