#include "base/base64.hpp"

#include <cstdint>

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string decode_base64(std::string_view text, std::string_view where) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  size_t digits = 0, padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
    const size_t value = kAlphabet.find(c);
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

std::string encode_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = i; k < i + 3; ++k)
      bits = bits << 8 | (k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0u);
    for (size_t digit = 0; digit < 4; ++digit) {
      const bool padding = i + digit > bytes.size();
      text += padding ? '=' : kAlphabet[bits >> (18 - 6 * digit) & 63];
    }
  }
  return text;
}

}  // namespace moellava
