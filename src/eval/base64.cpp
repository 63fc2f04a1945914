#include "eval/base64.hpp"

#include <cstdint>

#include "base/error.hpp"

namespace moellava {

std::string decode_base64(std::string_view text, std::string_view where) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  size_t digits = 0, padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
    const size_t value = alphabet.find(c);
    if (c == '=' && ++padding <= 2) continue;
    if (value == std::string_view::npos || padding > 0) {
      throw bad_data(
          where, "not base64",
          {.found = "\"" + printable(text.substr(i, 1)) + "\"", .at = "character " + std::to_string(i)});
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    const size_t left = ++digits % 4;  // of four digits, all but the first complete a byte
    if (left != 1) bytes += static_cast<char>(bits >> (left == 0 ? 0 : 8 - 2 * left) & 0xff);
  }
  if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
    throw bad_data(where, "base64 is cut off", {.found = std::to_string(digits) + " digits"});
  return bytes;
}

}  // namespace moellava
