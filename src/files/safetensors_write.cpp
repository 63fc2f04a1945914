// Writing the safetensors format: one file, or a folder of shards with their index.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/naming.hpp"
#include "files/safetensors.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

constexpr size_t kAlignment = 8;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// The caller's tensors, not a file's: a fault here is a bug of the program.
Error bug(const TensorSource& tensor, const std::string& what) {
  return make_error(ErrorKind::Internal, "tensor " + in_quotes(tensor.name), what);
}

void check_tensors(std::span<const TensorSource> tensors) {
  std::set<std::string_view> names;
  for (const TensorSource& tensor : tensors) {
    if (tensor.name == "__metadata__") throw bug(tensor, "the name is reserved");
    if (!names.insert(tensor.name).second) throw bug(tensor, "named twice");
    if (tensor.dtype > DType::Bool) {
      throw bug(tensor, std::string("safetensors cannot hold dtype ") + dtype_name(tensor.dtype));
    }
    const auto numel = checked_numel(tensor.shape);
    if (!numel || !dtype_bytes(tensor.dtype, *numel)) throw bug(tensor, "impossible shape");
  }
}

// After check_tensors.
uint64_t bytes_of(const TensorSource& tensor) {
  return dtype_bytes(tensor.dtype, checked_numel(tensor.shape).value()).value();
}

void write_data(const TensorSource& tensor, const ByteSink& sink) {
  uint64_t written = 0;
  tensor.write([&](std::span<const std::byte> bytes) {
    written += bytes.size();
    sink(bytes);
  });
  if (written != bytes_of(tensor)) throw bug(tensor, "shape does not fit the data");
}

std::vector<TensorSource> sources_of(std::span<const TensorView> tensors) {
  std::vector<TensorSource> sources;
  for (const TensorView& tensor : tensors) {
    sources.push_back({.name = tensor.name,
                       .dtype = tensor.dtype,
                       .shape = tensor.shape,
                       .write = [data = tensor.data](const ByteSink& sink) { sink(data); }});
  }
  return sources;
}

std::string json_text(const nlohmann::ordered_json& json, const fs::path& path, int indent = -1) {
  try {
    return json.dump(indent);
  } catch (const nlohmann::json::exception&) {
    throw bad_data(path.string(), "a name is not UTF-8 and cannot be written");
  }
}

// The length word and the JSON header, padded with spaces so that the data starts on a border of 8 bytes.
std::string header_of(std::span<const TensorSource> tensors,
                      const std::map<std::string, std::string>& metadata, const fs::path& path) {
  // Text is put together by hand: a JSON object would look every new name up among the earlier ones.
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + json_text(metadata, path);
  uint64_t offset = 0;
  for (const TensorSource& tensor : tensors) {
    const uint64_t end = offset + bytes_of(tensor);
    nlohmann::ordered_json entry;
    entry["dtype"] = dtype_name(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {offset, end};
    if (text.size() > 1) text += ',';
    text += json_text(tensor.name, path) + ":" + json_text(entry, path);
    offset = end;
  }
  text += '}';
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  uint64_t length = text.size();
  std::string bytes;
  for (int i = 0; i < 8; ++i, length >>= 8) bytes += static_cast<char>(length & 0xff);
  return bytes + text;
}

// Consecutive tensors of at most `max_bytes` together; a larger tensor gets a shard of its own.
std::vector<std::span<const TensorSource>> split(std::span<const TensorSource> tensors, uint64_t max_bytes) {
  std::vector<std::span<const TensorSource>> shards;
  size_t first = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t size = bytes_of(tensors[i]);
    if (i > first && (size > max_bytes || bytes > max_bytes - size)) {
      shards.push_back(tensors.subspan(first, i - first));
      first = i;
      bytes = 0;
    }
    bytes += size;
  }
  shards.push_back(tensors.subspan(first));
  return shards;
}

std::string shard_name(size_t number, size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

void write_one(const fs::path& path, std::span<const TensorSource> tensors,
               const std::map<std::string, std::string>& metadata) {
  const std::string header = header_of(tensors, metadata, path);
  write_file_atomic(path, [&](const ByteSink& sink) {
    sink(std::as_bytes(std::span(header)));
    for (const TensorSource& tensor : tensors) write_data(tensor, sink);
  });
}

}  // namespace

void write_safetensors(const fs::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<TensorSource> sources = sources_of(tensors);
  check_tensors(sources);
  write_one(path, sources, metadata);
}

void write_safetensors_folder(const fs::path& folder, std::span<const TensorView> tensors,
                              uint64_t max_shard_bytes) {
  write_safetensors_folder(folder, sources_of(tensors), max_shard_bytes);
}

void write_safetensors_folder(const fs::path& folder, const std::vector<TensorSource>& tensors,
                              uint64_t max_shard_bytes) {
  check_tensors(tensors);
  // Readers of the published layout insist on this entry.
  const std::map<std::string, std::string> metadata{{"format", "pt"}};
  const auto shards = split(tensors, max_shard_bytes);
  if (shards.size() == 1) {
    write_one(folder / kSingle, tensors, metadata);
    fs::remove(folder / kIndex);
    return;
  }
  uint64_t total = 0;
  nlohmann::json weight_map = nlohmann::json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i + 1, shards.size());
    write_one(folder / name, shards[i], metadata);
    for (const TensorSource& tensor : shards[i]) {
      total += bytes_of(tensor);
      weight_map[tensor.name] = name;
    }
  }
  nlohmann::ordered_json index;
  index["metadata"]["total_size"] = total;
  index["weight_map"] = weight_map;
  write_file_atomic(folder / kIndex, json_text(index, folder / kIndex, 2) + "\n");
  // A single file left from before would hide the shards from readers.
  fs::remove(folder / kSingle);
}

}  // namespace moellava
