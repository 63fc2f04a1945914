// Any bytes as a safetensors file: tensors that can all be read, or an Error.
#include "base/error.hpp"
#include "files/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const TensorFile file = parse_safetensors(std::as_bytes(std::span(data, size)), "input");
    for (const TensorView& tensor : file.tensors) {
      std::vector<float> values(tensor.numel());
      to_float32(tensor, values);
    }
  } catch (const Error&) {
  }
  return 0;
}
