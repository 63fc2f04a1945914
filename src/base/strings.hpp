// Strings put together and changed.
#pragma once

#include <string>
#include <string_view>

namespace moellava {

// What `text_of` makes of each element, with `separator` between them.
template <typename Range, typename TextOf>
std::string joined(const Range& range, std::string_view separator, const TextOf& text_of) {
  std::string text;
  bool first = true;
  for (const auto& element : range) {
    if (!first) text += separator;
    first = false;
    text += text_of(element);
  }
  return text;
}

// Strings themselves: "a, b, c".
template <typename Range>
std::string joined(const Range& strings, std::string_view separator = ", ") {
  return joined(strings, separator, [](std::string_view string) { return string; });
}

// `text` with `to` in place of every `from`, which must not be empty; what was put in is not looked at again.
inline std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace moellava
