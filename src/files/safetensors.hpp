// The safetensors format: 8-byte little-endian header length, JSON header, data.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file_io.hpp"
#include "files/tensor_file.hpp"

namespace moellava {

TensorFile open_safetensors(const std::filesystem::path& path);
// The same over bytes in memory; `where` names them in errors. Views point into `bytes`.
TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& where);

// A tensor to be written: `write` gives its bytes, in order, when their turn comes.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::function<void(const ByteSink& sink)> write;
};

// Written atomically, tensors in the given order, data aligned to 8 bytes.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

// model.safetensors, or numbered shards of at most `max_shard_bytes` with model.safetensors.index.json.
void write_safetensors_folder(const std::filesystem::path& folder, std::span<const TensorView> tensors,
                              uint64_t max_shard_bytes);
void write_safetensors_folder(const std::filesystem::path& folder, const std::vector<TensorSource>& tensors,
                              uint64_t max_shard_bytes);

}  // namespace moellava
