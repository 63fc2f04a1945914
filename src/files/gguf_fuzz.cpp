// Any bytes as a GGUF file: metadata and tensors that can all be read, or an Error.
#include "base/error.hpp"
#include "files/gguf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const GgufFile file = parse_gguf(std::as_bytes(std::span(data, size)), "input");
    for (const TensorView& tensor : file.tensors.tensors) {
      std::vector<float> values(tensor.numel());
      to_float32(tensor, values);
    }
    for (const auto& [key, value] : file.metadata) {
      if (std::holds_alternative<uint64_t>(value)) file.integer(key);
    }
  } catch (const Error&) {
  }
  return 0;
}
