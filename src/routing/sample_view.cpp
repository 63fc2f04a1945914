#include "routing/sample_view.hpp"

#include <algorithm>

#include "base/string_printf.hpp"
#include "base/utf8.hpp"

namespace moellava {

SampleView sample_view(const RoutingTrace& trace, size_t sample) {
  const TracedSample& of = trace.samples[sample];
  SampleView view{
      .sample = sample, .first_token = trace.sample_begins()[sample], .tokens = of.tokens, .pictures = {}};
  std::vector<size_t> patches(of.images.size());
  for (size_t t = view.first_token; t < view.first_token + view.tokens; ++t) {
    const TracedToken& token = trace.tokens[t];
    if (!token.is_image()) continue;
    size_t& count = patches[static_cast<size_t>(token.picture)];
    count = std::max(count, static_cast<size_t>(token.patch) + 1);
  }
  for (size_t i = 0; i < patches.size(); ++i)
    view.pictures.push_back({.name = of.images[i], .grid = patch_grid(patches[i])});
  return view;
}

std::string shown_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t length = utf8_length(bytes);
    const auto first = static_cast<unsigned char>(bytes.front());
    const bool control = (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
    text += length == 0 || control ? string_printf("\\x%02x", first) : std::string(bytes.substr(0, length));
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return text;
}

std::string sample_title(const TracedSample& sample) {
  constexpr size_t kLongest = 60;
  std::string words = sample.text;
  std::replace(words.begin(), words.end(), '\n', ' ');
  if (words.size() > kLongest) {
    size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xc0) == 0x80) --end;  // whole characters
    words = words.substr(0, end) + "...";
  }
  const std::string name = sample.source + (sample.source.empty() ? "" : " ") + sample.id;
  return shown_text(name + (name.empty() || words.empty() ? "" : ": ") + words);
}

}  // namespace moellava
