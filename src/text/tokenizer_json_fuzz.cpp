// Any bytes as tokenizer.json: a tokenizer or an Error, and a tokenizer that reads back its own text.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const BpeVocabulary vocabulary =
        parse_tokenizer_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto tokenizer = make_byte_level_bpe(vocabulary, "fuzz");
    const std::string text = "Hello <|end|> 12  \xff!";
    const auto ids = tokenizer->encode_text(text, /*trusted=*/true);
    for (int32_t id : ids) {
      if (id < 0 || id >= tokenizer->size()) std::abort();
    }
    tokenizer->decode(ids);
    // What was accepted can be written, and read back as the same tokenizer.
    const auto again =
        make_byte_level_bpe(parse_tokenizer_json(tokenizer_json(vocabulary), "again"), "again");
    if (again->encode_text(text, true) != ids || again->size() != tokenizer->size()) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
