// Any bytes as qwen.tiktoken: a tokenizer or an Error, and a tokenizer that reads back its own text.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const BpeVocabulary vocabulary =
        parse_tiktoken({reinterpret_cast<const char*>(data), size}, "qwen.tiktoken");
    const auto tokenizer = make_byte_level_bpe(vocabulary, "fuzz");
    const auto ids = tokenizer->encode_text("aab <|endoftext|> e\xcc\x81\xff", /*trusted=*/true);
    for (int32_t id : ids) {
      if (id < 0 || id >= tokenizer->size()) std::abort();
    }
    tokenizer->decode(ids);
  } catch (const Error&) {
  }
  return 0;
}
