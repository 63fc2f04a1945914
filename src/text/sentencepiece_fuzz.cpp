// Any bytes as tokenizer.model: a tokenizer or an Error, and ids within its size.
#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "text/sentencepiece_tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const auto tokenizer = parse_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto ids = tokenizer->encode_text("a b <s>\xff", /*trusted=*/true);
    for (int32_t id : ids) {
      if (id < 0 || id >= tokenizer->size()) std::abort();
    }
    tokenizer->decode(ids);
  } catch (const Error&) {
  }
  return 0;
}
