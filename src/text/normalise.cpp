#include "text/normalise.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "text/utf8.hpp"

namespace moellava {

namespace {

// U+11A7, one before the first trailing consonant of Hangul. It composes with nothing, but utf8proc 2.6 drops
// it behind a syllable, so it is kept away from there.
constexpr std::string_view kHangulFiller = "\xe1\x86\xa7";

// `text` is valid UTF-8.
void append_nfc(std::string& out, std::string_view text) {
  if (text.empty()) return;
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
      &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(composed, &std::free);
  if (size < 0) throw std::bad_alloc();  // the only error left for valid UTF-8
  out.append(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
}

}  // namespace

std::string to_nfc(std::string_view text) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
  std::string out;
  size_t begin = 0;
  for (size_t end = 0; end < text.size();) {
    const size_t length = utf8_length(text.substr(end, 4));
    const bool filler = text.substr(end).starts_with(kHangulFiller);
    if (length > 0 && !filler) {
      end += length;
      continue;
    }
    append_nfc(out, text.substr(begin, end - begin));
    begin = end + std::max<size_t>(length, 1);
    out += text.substr(end, begin - end);
    end = begin;
  }
  append_nfc(out, text.substr(begin));
  return out;
}

}  // namespace moellava
