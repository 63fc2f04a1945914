// UTF-8 at byte level.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/utf8.hpp"

namespace moellava {

// Whether `text` could be the beginning of a longer valid character.
inline bool utf8_is_incomplete(std::string_view text) {
  if (text.empty() || text.size() > 3) return false;
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0xc2 || lead > 0xf4) return false;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (text.size() >= length) return false;
  // Some completion is valid: try the lowest and the highest continuation bytes.
  for (const char filler : {'\x80', '\xbf'}) {
    std::string completed(text);
    completed.resize(length, filler);
    if (utf8_length(completed) == length) return true;
  }
  return false;
}

// Whether `character`, one UTF-8 character, has Unicode's White_Space property.
inline bool is_white_space(std::string_view character) {
  if (character.size() == 1) return character == " " || (character >= "\t" && character <= "\r");
  if (character.size() == 2)
    return character == "\xc2\x85" || character == "\xc2\xa0";  // next line, no-break
  if (character.size() != 3) return false;
  if (character >= "\xe2\x80\x80" && character <= "\xe2\x80\x8a") return true;  // U+2000 to U+200A
  for (const std::string_view other : {"\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
                                       "\xe2\x81\x9f", "\xe3\x80\x80"}) {  // U+1680 2028 2029 202F 205F 3000
    if (character == other) return true;
  }
  return false;
}

// `bytes` with everything that is not UTF-8 replaced by U+FFFD, one for each cut-off character or stray byte
// (as Unicode recommends and Python and Rust do).
inline std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    size_t length = utf8_length(bytes);
    if (length > 0) {
      text += bytes.substr(0, length);
    } else {
      text += "\xef\xbf\xbd";
      length = 1;
      while (length < bytes.size() && utf8_is_incomplete(bytes.substr(0, length + 1))) ++length;
    }
    bytes.remove_prefix(length);
  }
  return text;
}

// UTF-8 of a code point below U+110000.
inline std::string utf8_encode(unsigned codepoint) {
  auto tail = [&](int shift) { return static_cast<char>(0x80 | ((codepoint >> shift) & 0x3f)); };
  if (codepoint < 0x80) return {static_cast<char>(codepoint)};
  if (codepoint < 0x800) return {static_cast<char>(0xc0 | codepoint >> 6), tail(0)};
  if (codepoint < 0x10000) return {static_cast<char>(0xe0 | codepoint >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | codepoint >> 18), tail(12), tail(6), tail(0)};
}

}  // namespace moellava
