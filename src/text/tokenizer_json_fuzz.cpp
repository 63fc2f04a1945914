// Any bytes as tokenizer.json: a tokenizer or an Error, and a tokenizer that reads back its own text.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const auto tokenizer = make_byte_level_bpe(
        parse_tokenizer_json({reinterpret_cast<const char*>(data), size}, "fuzz"), "fuzz");
    for (int32_t id : tokenizer->encode_text("Hello <|end|> 12  \xff!", /*trusted=*/true)) {
      if (id < 0 || id >= tokenizer->size()) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
