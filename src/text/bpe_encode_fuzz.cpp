// Any bytes as text: what is encoded decodes to the same bytes, in every word pattern.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using moellava::WordPattern;
  static const std::unique_ptr<moellava::Tokenizer> kTokenizers[] = {
      make(WordPattern::Gpt2), make(WordPattern::SmolLm), make(WordPattern::Qwen2),
      make(WordPattern::Llama3)};
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : kTokenizers) {
    for (bool trusted : {false, true}) {
      std::string back;
      for (int32_t id : tokenizer->encode_text(text, trusted)) back += tokenizer->token_bytes(id);
      if (back != text) std::abort();
    }
  }
  return 0;
}
