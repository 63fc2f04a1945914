// Any bytes as text: what is encoded decodes to the same bytes, in every word pattern and however the text is
// cut into pieces; special tokens come from trusted pieces only.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/byte_level_bpe.hpp"

namespace {

std::unique_ptr<moellava::Tokenizer> make(moellava::WordPattern pattern) {
  moellava::BpeVocabulary vocabulary;
  vocabulary.pattern = pattern;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back(moellava::byte_spelling(static_cast<unsigned char>(byte)), byte);
  }
  const std::pair<const char*, const char*> merges[] = {
      {"a", "b"}, {"ab", "ab"}, {"Ġ", "a"}, {"Ġ", "Ġ"}, {"1", "2"}};
  for (const auto& [left, right] : merges) {
    vocabulary.tokens.emplace_back(std::string(left) + right, static_cast<int32_t>(vocabulary.tokens.size()));
    vocabulary.merges.emplace_back(left, right);
  }
  vocabulary.added = {{.text = "<|end|>", .id = 300, .special = true}, {.text = "   ", .id = 301}};
  return moellava::make_byte_level_bpe(std::move(vocabulary), "fuzz");
}

void require(bool condition) {
  if (!condition) std::abort();
}

// The text as pieces of up to 15 bytes whose length, trust and target are in the bytes themselves.
std::vector<moellava::TextPiece> cut_into_pieces(const std::string& text) {
  std::vector<moellava::TextPiece> pieces;
  for (size_t begin = 0; begin < text.size();) {
    const auto bits = static_cast<unsigned char>(text[begin]);
    const size_t length = std::min<size_t>(bits % 16, text.size() - begin);
    pieces.push_back({.text = text.substr(begin, std::max<size_t>(length, 1)),
                      .trusted = (bits & 16) != 0,
                      .target = (bits & 32) != 0});
    begin += pieces.back().text.size();
  }
  return pieces;
}

// A token is a target exactly when one of its bytes is; special ones are wholly trusted.
void check_pieces(const moellava::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<moellava::TextPiece> pieces = cut_into_pieces(text);
  const moellava::Encoding encoding = tokenizer.encode(pieces);
  std::vector<bool> trusted, target;  // [bytes of text]
  for (const auto& piece : pieces) {
    trusted.insert(trusted.end(), piece.text.size(), piece.trusted);
    target.insert(target.end(), piece.text.size(), piece.target);
  }
  require(encoding.ids.size() == encoding.target.size());
  moellava::StreamDecoder stream(tokenizer);
  std::string back, streamed;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const size_t begin = back.size();
    back += tokenizer.token_bytes(encoding.ids[i]);
    streamed += stream.push(encoding.ids[i]);
    require(back.size() <= text.size());
    bool any_target = false;
    for (size_t byte = begin; byte < back.size(); ++byte) {
      any_target = any_target || target[byte];
      require(trusted[byte] || !tokenizer.is_special(encoding.ids[i]));
    }
    require(any_target == encoding.target[i]);
  }
  require(back == text);
  require(streamed + stream.finish() == tokenizer.decode(encoding.ids));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using moellava::WordPattern;
  static const std::unique_ptr<moellava::Tokenizer> kTokenizers[] = {
      make(WordPattern::Gpt2), make(WordPattern::SmolLm), make(WordPattern::Qwen2),
      make(WordPattern::Llama3)};
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : kTokenizers) {
    check_pieces(*tokenizer, text);
    for (bool trusted : {false, true}) {
      std::string back;
      for (int32_t id : tokenizer->encode_text(text, trusted)) back += tokenizer->token_bytes(id);
      if (back != text) std::abort();
    }
  }
  return 0;
}
