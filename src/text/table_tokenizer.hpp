// What tokenizers have in common once their ids are known: a table of tokens, and how special tokens are cut
// out of a text before its words are encoded.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

class TableTokenizer : public Tokenizer {
 public:
  Encoding encode(std::span<const TextPiece> pieces) const override;
  std::string token_bytes(int32_t id) const override;
  bool is_special(int32_t id) const override;
  int32_t size() const override { return static_cast<int32_t>(bytes_.size()); }
  std::optional<int32_t> id_of(std::string_view token) const override;

 protected:
  // Texts of more than `largest_text` bytes are refused with a Limit error.
  explicit TableTokenizer(size_t largest_text) : largest_text_(largest_text) {}

  // A token and the bytes of `words` that it stands for.
  using Emit = std::function<void(int32_t id, size_t begin, size_t end)>;
  virtual void encode_words(std::string_view words, const Emit& emit) const = 0;
  // Piece by piece, so that it stays known where each stands: pieces begin with a character of their own.
  virtual std::string normalised(const std::string& piece) const { return piece; }

  std::vector<std::string> bytes_;  // [id]
  std::vector<bool> special_;       // [id]
  std::unordered_map<std::string, int32_t> id_by_spelling_;
  AddedTokenFinder added_;

 private:
  size_t largest_text_;
};

// Holes between ids would allow a tiny file to ask for a lot of memory: `largest` is the largest id of
// `entries` tokens. Throws BadData naming `where`.
void require_dense_ids(size_t largest, size_t entries, const std::string& where);

}  // namespace moellava
