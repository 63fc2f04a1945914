#include "files/safetensors.hpp"

#include <algorithm>
#include <numeric>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/bytes.hpp"
#include "files/file_kind.hpp"
#include "files/naming.hpp"
#include "files/safetensors_header.hpp"

namespace moellava {

namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLongestHeader = 100'000'000;  // as the reference implementation
constexpr std::string_view kExpected = "a safetensors file";

// The header's JSON text; what follows it is the data section.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& where) {
  const FileKind kind = file_kind(bytes);
  if (kind == FileKind::GitLfsPointer || kind == FileKind::Html)
    throw wrong_kind(where, bytes, std::string(kExpected));
  const std::string size = std::to_string(bytes.size());
  if (bytes.size() < kLengthBytes) {
    throw bad_data(where, "too short for a safetensors file",
                   {.found = size + " bytes", .expected = "at least 8"});
  }
  const auto length = load<uint64_t>(bytes.data());
  if (length > bytes.size() - kLengthBytes) {
    throw bad_data(where, "header length " + std::to_string(length) + " exceeds file size " + size);
  }
  if (length > kLongestHeader) {
    throw bad_data(where, "header too long",
                   {.found = std::to_string(length) + " bytes",
                    .expected = "at most " + std::to_string(kLongestHeader)});
  }
  const std::string_view text = as_text(bytes.subspan(kLengthBytes, length));
  if (!text.starts_with('{')) {
    throw bad_data(where, "header does not begin with '{'",
                   {.found = length == 0 ? "an empty header" : in_quotes(text.substr(0, 1)), .at = "byte 8"});
  }
  return text;
}

// One tensor by itself: its byte range lies in the data and fits dtype and shape.
void check_range(const SafetensorsEntry& entry, uint64_t data_size, const std::string& where) {
  const std::string tensor = tensor_at(where, entry.name);
  const std::string range = "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
  if (entry.end < entry.begin) throw bad_data(tensor, "data_offsets end before they begin", {.found = range});
  if (entry.end > data_size) {
    throw bad_data(tensor, "data_offsets run past the end of the file",
                   {.found = range, .expected = "at most " + std::to_string(data_size)});
  }
  const auto numel = checked_numel(entry.shape);
  const auto bytes = numel ? dtype_bytes(entry.dtype, *numel) : std::nullopt;
  if (!bytes) throw bad_data(tensor, "shape is too large", {.expected = "less than 2^63 values"});
  if (*bytes != entry.end - entry.begin) {
    throw bad_data(
        tensor, "data_offsets do not fit the shape",
        {.found = std::to_string(entry.end - entry.begin) + " bytes", .expected = std::to_string(*bytes)});
  }
}

void check_names(const std::vector<SafetensorsEntry>& entries, const std::string& where) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const SafetensorsEntry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw bad_data(tensor_at(where, *twice), "named twice");
}

// All tensors together: they tile the data section without overlap or hole. Empty tensors may stand anywhere
// on a border.
void check_tiling(const std::vector<SafetensorsEntry>& entries, uint64_t data_size,
                  const std::string& where) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].begin, entries[a].end) < std::pair(entries[b].begin, entries[b].end);
  });
  uint64_t covered = 0;
  std::string last = "the start of the data";
  for (const size_t i : order) {
    const SafetensorsEntry& entry = entries[i];
    const std::string tensor = tensor_at(where, entry.name);
    if (entry.begin < covered) {
      throw bad_data(tensor, "overlaps " + last,
                     {.found = "begin " + std::to_string(entry.begin),
                      .expected = "at least " + std::to_string(covered)});
    }
    if (entry.begin > covered) {
      throw bad_data(tensor, "leaves a hole behind " + last,
                     {.found = "begin " + std::to_string(entry.begin), .expected = std::to_string(covered)});
    }
    covered = entry.end;
    last = "tensor " + in_quotes(entry.name);
  }
  if (covered != data_size) {
    throw bad_data(where, "data goes on behind " + last,
                   {.found = std::to_string(data_size) + " bytes", .expected = std::to_string(covered)});
  }
}

}  // namespace

TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text = header_text(bytes, where);
  const auto data = bytes.subspan(kLengthBytes + text.size());
  SafetensorsHeader header = parse_safetensors_header(text, where);
  for (const SafetensorsEntry& entry : header.entries) check_range(entry, data.size(), where);
  check_names(header.entries, where);
  check_tiling(header.entries, data.size(), where);

  TensorFile file;
  file.path = where;
  file.metadata = std::move(header.metadata);
  file.tensors.reserve(header.entries.size());
  for (SafetensorsEntry& entry : header.entries) {
    file.tensors.push_back({.name = std::move(entry.name),
                            .dtype = entry.dtype,
                            .shape = std::move(entry.shape),
                            .data = data.subspan(entry.begin, entry.end - entry.begin)});
  }
  return file;
}

TensorFile open_safetensors(const std::filesystem::path& path) {
  const auto mapped = std::make_shared<const MappedFile>(path);
  TensorFile file = parse_safetensors(mapped->bytes(), path.string());
  file.storage = mapped;
  return file;
}

}  // namespace moellava
