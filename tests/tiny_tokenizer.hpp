// A byte-level tokenizer without merges, made through the GGUF door: ids 0..255 are bytes in GPT-2's order,
// then
// "<|endoftext|>", "<|im_start|>" and "<|im_end|>".
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.hpp"

namespace moellava::testing {

inline std::string utf8(int codepoint) {
  if (codepoint < 0x80) return std::string(1, static_cast<char>(codepoint));
  return {static_cast<char>(0xc0 | codepoint >> 6), static_cast<char>(0x80 | (codepoint & 0x3f))};
}

inline std::unique_ptr<Tokenizer> tiny_tokenizer() {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  // GPT-2 writes printable bytes as themselves and numbers the others from 256.
  int moved = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    vocabulary.tokens.push_back(utf8(printable ? byte : moved++));
    vocabulary.types.push_back(1);
  }
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    vocabulary.tokens.emplace_back(special);
    vocabulary.types.push_back(3);
  }
  vocabulary.eos_id = 256;
  vocabulary.pad_id = 256;
  return make_gguf_tokenizer(std::move(vocabulary), "tiny tokenizer");
}

}  // namespace moellava::testing
