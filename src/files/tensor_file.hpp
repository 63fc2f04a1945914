// Named tensors in files, as views of mapped bytes. Knows no model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool, Q8_0, Q4_0, Q4_1, Q6_K };

const char* dtype_name(DType dtype);  // safetensors spelling: "F32"; GGUF spelling for blocks: "Q4_1"
// Bytes that `numel` values take, in whole blocks for the quantised types; nothing on overflow or a broken
// block.
std::optional<uint64_t> dtype_bytes(DType dtype, uint64_t numel);

// A contiguous row-major tensor. `data` may be unaligned and lives as long as its TensorFile.
struct TensorView {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;  // outermost first, as PyTorch prints it
  std::span<const std::byte> data;

  uint64_t numel() const;
};

// What a tensor file yields. Views stay valid as long as a copy of `storage` lives.
struct TensorFile {
  std::string path;
  std::vector<TensorView> tensors;  // names are unique
  std::map<std::string, std::string> metadata;
  std::shared_ptr<const void> storage;

  const TensorView* find(std::string_view name) const;
};

// Converts (or dequantises) to float32. `out` holds numel() values. Integer types are converted by value.
void to_float32(const TensorView& tensor, std::span<float> out);

// One file by its content: safetensors, torch zip or torch legacy. GGUF is read by open_gguf (gguf.hpp).
TensorFile open_tensor_file(const std::filesystem::path& path);

// All tensors of a checkpoint folder: model.safetensors, model.safetensors.index.json, pytorch_model.bin or
// pytorch_model.bin.index.json with their shards, in this order of preference. Shard names must be plain file
// names.
TensorFile open_checkpoint_folder(const std::filesystem::path& folder);

}  // namespace moellava
