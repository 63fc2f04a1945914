#include "text/table_tokenizer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/byte_ranges.hpp"

namespace moellava {

std::string TableTokenizer::token_bytes(int32_t id) const {
  return id >= 0 && id < size() ? bytes_[static_cast<size_t>(id)] : "";
}

bool TableTokenizer::is_special(int32_t id) const {
  return id >= 0 && id < size() && special_[static_cast<size_t>(id)];
}

std::optional<int32_t> TableTokenizer::id_of(std::string_view token) const {
  const auto found = id_by_spelling_.find(std::string(token));
  return found == id_by_spelling_.end() ? std::nullopt : std::optional(found->second);
}

Encoding TableTokenizer::encode(std::span<const TextPiece> pieces) const {
  std::string text;
  ByteRanges trusted;
  ByteRanges target;
  for (const TextPiece& piece : pieces) {
    const size_t begin = text.size();
    if (piece.text.size() > largest_text_ - begin)
      throw limit_error("text", "too long",
                        {.expected = "at most " + std::to_string(largest_text_) + " bytes"});
    text += normalised(piece.text);
    if (piece.trusted) trusted.append(begin, text.size());
    if (piece.target) target.append(begin, text.size());
  }

  Encoding encoding;
  auto emit = [&](int32_t id, size_t begin, size_t end) {
    encoding.ids.push_back(id);
    // A space that SentencePiece writes before the first word stands for no byte: it goes with that word.
    encoding.target.push_back(target.touch(begin, std::max(end, begin + 1)));
  };
  added_.cut(text, trusted, [&](const AddedTokenFinder::Piece& piece) {
    if (piece.token != nullptr)
      return emit(piece.token->id, piece.text_begin, piece.text_begin + piece.token->text.size());
    const auto words = std::string_view(text).substr(piece.begin, piece.end - piece.begin);
    encode_words(words, [&](int32_t id, size_t begin, size_t end) {
      emit(id, piece.begin + begin, piece.begin + end);
    });
  });
  return encoding;
}

void require_dense_ids(size_t largest, size_t entries, const std::string& where) {
  if (largest < 2 * entries + 1024) return;
  throw bad_data(
      where, "token ids have a gap",
      {.found = "largest id " + std::to_string(largest), .expected = "about " + std::to_string(entries)});
}

}  // namespace moellava
