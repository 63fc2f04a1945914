#include "base/error.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace moellava {

Error make_error(ErrorKind kind, std::string_view where, std::string_view what, const Detail& detail) {
  std::string text = std::string(where) + ": " + std::string(what);
  if (!detail.found.empty()) text += ": found " + detail.found;
  if (!detail.expected.empty())
    text += (detail.found.empty() ? ": expected " : ", expected ") + detail.expected;
  if (!detail.at.empty()) text += " at " + detail.at;
  if (!detail.hint.empty()) text += " (" + detail.hint + ")";
  return Error(kind, text);
}

Error bad_data(std::string_view where, std::string_view what, const Detail& detail) {
  return make_error(ErrorKind::BadData, where, what, detail);
}

Error usage_error(std::string_view where, std::string_view what, const Detail& detail) {
  return make_error(ErrorKind::Usage, where, what, detail);
}

Error limit_error(std::string_view where, std::string_view what, const Detail& detail) {
  return make_error(ErrorKind::Limit, where, what, detail);
}

Error io_error(std::string_view path, std::string_view what, int errno_value) {
  return make_error(ErrorKind::Io, path, std::string(what) + ": " + std::strerror(errno_value));
}

std::string printable(std::string_view name) {
  constexpr size_t kLongest = 80;
  std::string out;
  for (char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  if (name.size() > kLongest) out += "...";
  return out;
}

namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::string_view* candidates, size_t count) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t distance = edit_distance(word, candidates[i]);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidates[i];
    }
  }
  return best;
}

}  // namespace moellava
