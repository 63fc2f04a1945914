// Tokens that are found in the text before words are cut, by the rules of Hugging Face's tokenizers.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_ranges.hpp"

namespace moellava {

struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;     // found in trusted text only, and left out when decoding skips special tokens
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // and behind it
  bool normalized = false;  // looked for after all those that are not
};

// Cuts a text at its added tokens: leftmost first, the longest of those that begin at one place.
class AddedTokenFinder {
 public:
  void add(const AddedToken& token);
  // Called with stretches [begin, end) that together are the text; `token` is null between added tokens.
  // The token's own text lies at [text_begin, text_begin + its length); the rest is stripped white space.
  struct Piece {
    size_t begin, end;
    const AddedToken* token;
    size_t text_begin;
  };
  using Sink = std::function<void(const Piece&)>;
  void cut(std::string_view text, const ByteRanges& trusted, const Sink& sink) const;

 private:
  struct Pass {
    std::array<std::vector<AddedToken>, 256> by_first_byte;  // longest first
    bool empty = true;
  };
  static const AddedToken* token_at(const Pass& pass, std::string_view text, size_t at,
                                    const ByteRanges& trusted);
  static void cut_pass(const Pass& pass, std::string_view text, size_t begin, size_t end,
                       const ByteRanges& trusted, const Sink& sink);

  Pass passes_[2];  // [normalized]
};

}  // namespace moellava
