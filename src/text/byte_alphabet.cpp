#include "text/byte_alphabet.hpp"

#include <array>
#include <unordered_map>

#include "text/utf8.hpp"

namespace moellava {

namespace {

bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

std::array<std::string, 256> make_alphabet() {
  std::array<std::string, 256> alphabet;
  unsigned moved = 256;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<size_t>(byte)] =
        utf8_encode(stands_for_itself(byte) ? static_cast<unsigned>(byte) : moved++);
  }
  return alphabet;
}

const std::array<std::string, 256>& alphabet() {
  static const std::array<std::string, 256> kAlphabet = make_alphabet();
  return kAlphabet;
}

}  // namespace

std::string byte_spelling(unsigned char byte) {
  return alphabet()[byte];
}

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (char byte : bytes) spelling += alphabet()[static_cast<unsigned char>(byte)];
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  static const std::unordered_map<std::string, char> kBytes = [] {
    std::unordered_map<std::string, char> bytes;
    for (int byte = 0; byte < 256; ++byte)
      bytes[byte_spelling(static_cast<unsigned char>(byte))] = static_cast<char>(byte);
    return bytes;
  }();
  std::string bytes;
  while (!spelling.empty()) {
    const size_t length = utf8_length(spelling);
    const auto found = kBytes.find(std::string(spelling.substr(0, length)));
    if (length == 0 || found == kBytes.end()) return std::nullopt;
    bytes += found->second;
    spelling.remove_prefix(length);
  }
  return bytes;
}

}  // namespace moellava
