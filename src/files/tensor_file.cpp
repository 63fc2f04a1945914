#include "files/tensor_file.hpp"

#include "base/checked.hpp"
#include "base/file_io.hpp"
#include "files/file_kind.hpp"
#include "files/safetensors.hpp"
#include "files/torch_file.hpp"

namespace moellava {

namespace {

struct DTypeRow {
  const char* name;
  uint64_t block_values;  // values in one block; 1 for plain types
  uint64_t block_bytes;
};

const DTypeRow& row_of(DType dtype) {
  static constexpr DTypeRow kRows[] = {
      {"F64", 1, 8},    {"F32", 1, 4},    {"F16", 1, 2},    {"BF16", 1, 2},     {"I64", 1, 8},
      {"I32", 1, 4},    {"I16", 1, 2},    {"I8", 1, 1},     {"U8", 1, 1},       {"BOOL", 1, 1},
      {"Q8_0", 32, 34}, {"Q4_0", 32, 18}, {"Q4_1", 32, 20}, {"Q6_K", 256, 210},
  };
  static_assert(std::size(kRows) == static_cast<size_t>(DType::Q6_K) + 1, "one row a DType, in its order");
  return kRows[static_cast<size_t>(dtype)];
}

}  // namespace

const char* dtype_name(DType dtype) {
  return row_of(dtype).name;
}

std::optional<uint64_t> dtype_bytes(DType dtype, uint64_t numel) {
  const DTypeRow& row = row_of(dtype);
  if (numel % row.block_values != 0) return std::nullopt;
  return checked_mul(numel / row.block_values, row.block_bytes);
}

uint64_t TensorView::numel() const {
  uint64_t count = 1;
  for (const int64_t dim : shape) count *= static_cast<uint64_t>(dim);  // the readers checked the product
  return count;
}

const TensorView* TensorFile::find(std::string_view name) const {
  for (const TensorView& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

TensorFile open_tensor_file(const std::filesystem::path& path) {
  FileKind kind = FileKind::Unknown;
  {
    const MappedFile file(path);
    kind = file_kind(file.bytes());
    const bool known =
        kind == FileKind::Safetensors || kind == FileKind::TorchZip || kind == FileKind::TorchLegacy;
    if (!known) throw wrong_kind(path.string(), file.bytes(), "a safetensors or torch.save file");
  }
  return kind == FileKind::Safetensors ? open_safetensors(path) : open_torch_file(path);
}

}  // namespace moellava
