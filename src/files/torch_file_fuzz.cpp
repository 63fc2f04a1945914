// Any bytes as a torch.save file: tensors that can all be read, or an Error. A zip archive's checksums would
// stop nearly every mutation, so bytes that do not begin with a known format are taken as the pickle of an
// archive that is put together here, with a storage of 64 bytes.
#include <cstdlib>

#include "base/error.hpp"
#include "files/file_kind.hpp"
#include "files/test_bytes.hpp"
#include "files/torch_file.hpp"

namespace {

void read(const std::string& bytes) {
  using namespace moellava;
  const TensorFile file = parse_torch_file(test::bytes_of(bytes), "input");
  uint64_t copied = 0;
  for (const TensorView& tensor : file.tensors) {
    const std::byte* begin = reinterpret_cast<const std::byte*>(bytes.data());
    const bool view = tensor.data.data() >= begin && tensor.data.data() <= begin + bytes.size();
    if (!view) copied += tensor.data.size();
    std::vector<float> values(tensor.numel());
    to_float32(tensor, values);
  }
  if (copied > bytes.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const FileKind kind = file_kind(test::bytes_of(bytes));
    const bool whole = kind == FileKind::TorchZip || kind == FileKind::TorchLegacy;
    read(whole ? bytes : test::torch_zip(bytes, {{"0", std::string(64, '\1')}}));
  } catch (const Error&) {
  }
  return 0;
}
