#include "files/gguf.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/bytes.hpp"
#include "files/file_kind.hpp"
#include "files/naming.hpp"

namespace moellava {

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMostDims = 4;

enum class ValueType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

struct TypeRow {
  uint32_t id;
  const char* name;
  std::optional<DType> dtype;  // nothing: a type of ggml that is not read here
};
constexpr TypeRow kTypes[] = {
    {0, "F32", DType::F32},    {1, "F16", DType::F16},  {2, "Q4_0", DType::Q4_0}, {3, "Q4_1", DType::Q4_1},
    {6, "Q5_0", {}},           {7, "Q5_1", {}},         {8, "Q8_0", DType::Q8_0}, {9, "Q8_1", {}},
    {10, "Q2_K", {}},          {11, "Q3_K", {}},        {12, "Q4_K", {}},         {13, "Q5_K", {}},
    {14, "Q6_K", DType::Q6_K}, {15, "Q8_K", {}},        {16, "IQ2_XXS", {}},      {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},       {19, "IQ1_S", {}},       {20, "IQ4_NL", {}},       {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},         {23, "IQ4_XS", {}},      {24, "I8", DType::I8},    {25, "I16", DType::I16},
    {26, "I32", DType::I32},   {27, "I64", DType::I64}, {28, "F64", DType::F64},  {29, "IQ1_M", {}},
    {30, "BF16", DType::BF16},
};

struct TensorInfo {
  TensorView view;      // without data yet
  uint64_t offset = 0;  // into the data section
  uint64_t size = 0;    // bytes
};

class GgufReader {
 public:
  GgufReader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where), in_(bytes, where) {}

  GgufFile read();

 private:
  void read_header();
  void read_metadata();
  void read_tensor_infos();
  void place_data();

  GgufValue read_value(uint32_t type, const std::string& key);
  GgufValue read_array(const std::string& key);
  template <typename Element, typename Source>
  std::vector<Element> read_elements(uint64_t count, const std::string& key);
  template <typename Integer>
  int64_t read_integer(const std::string& key);
  bool read_bool(const std::string& key);
  std::string read_string(std::string_view what);
  // A count of items that take at least `item_bytes` each, refused when the file cannot hold them.
  uint64_t bounded_count(uint64_t count, uint64_t item_bytes, const std::string& what) const;
  TensorInfo read_tensor_info();
  uint64_t alignment() const;

  std::span<const std::byte> bytes_;
  const std::string& where_;
  ByteReader in_;
  uint64_t tensor_count_ = 0;
  uint64_t metadata_count_ = 0;
  std::vector<TensorInfo> infos_;
  GgufFile file_;
};

uint64_t GgufReader::bounded_count(uint64_t count, uint64_t item_bytes, const std::string& what) const {
  if (count > in_.remaining() / item_bytes) {
    throw bad_data(where_ + ": " + what, "count exceeds the file",
                   {.found = std::to_string(count),
                    .expected = "at most " + std::to_string(in_.remaining() / item_bytes),
                    .at = "byte " + std::to_string(in_.position())});
  }
  return count;
}

std::string GgufReader::read_string(std::string_view what) {
  const auto length = in_.read<uint64_t>(what);
  return std::string(in_.text(length, what));
}

bool GgufReader::read_bool(const std::string& key) {
  const auto value = in_.read<uint8_t>(key);
  if (value > 1) throw bad_data(where_ + ": " + key, "not a boolean", {.found = std::to_string(value)});
  return value == 1;
}

template <typename Integer>
int64_t GgufReader::read_integer(const std::string& key) {
  const auto value = in_.read<Integer>(key);
  if constexpr (std::is_same_v<Integer, uint64_t>) {
    if (value > static_cast<uint64_t>(INT64_MAX))
      throw bad_data(where_ + ": " + key, "integer too large", {.found = std::to_string(value)});
  }
  return static_cast<int64_t>(value);
}

template <typename Element, typename Source>
std::vector<Element> GgufReader::read_elements(uint64_t count, const std::string& key) {
  std::vector<Element> values(bounded_count(count, sizeof(Source), key));
  for (Element& value : values) {
    if constexpr (std::is_same_v<Element, double>) {
      value = in_.read<Source>(key);
    } else {
      value = read_integer<Source>(key);
    }
  }
  return values;
}

GgufValue GgufReader::read_array(const std::string& key) {
  const auto type = in_.read<uint32_t>(key);
  const auto count = in_.read<uint64_t>(key);
  switch (static_cast<ValueType>(type)) {
    case ValueType::U8:
      return read_elements<int64_t, uint8_t>(count, key);
    case ValueType::I8:
      return read_elements<int64_t, int8_t>(count, key);
    case ValueType::U16:
      return read_elements<int64_t, uint16_t>(count, key);
    case ValueType::I16:
      return read_elements<int64_t, int16_t>(count, key);
    case ValueType::U32:
      return read_elements<int64_t, uint32_t>(count, key);
    case ValueType::I32:
      return read_elements<int64_t, int32_t>(count, key);
    case ValueType::U64:
      return read_elements<int64_t, uint64_t>(count, key);
    case ValueType::I64:
      return read_elements<int64_t, int64_t>(count, key);
    case ValueType::F32:
      return read_elements<double, float>(count, key);
    case ValueType::F64:
      return read_elements<double, double>(count, key);
    case ValueType::Bool: {
      std::vector<int64_t> values(bounded_count(count, 1, key));
      for (int64_t& value : values) value = read_bool(key) ? 1 : 0;
      return values;
    }
    case ValueType::String: {
      std::vector<std::string> values(bounded_count(count, sizeof(uint64_t), key));
      for (std::string& value : values) value = read_string(key);
      return values;
    }
    case ValueType::Array:
      throw bad_data(where_ + ": " + key, "arrays of arrays are not supported");
  }
  throw bad_data(where_ + ": " + key, "unknown array type", {.found = std::to_string(type)});
}

GgufValue GgufReader::read_value(uint32_t type, const std::string& key) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::U8:
      return static_cast<uint64_t>(in_.read<uint8_t>(key));
    case ValueType::I8:
      return static_cast<int64_t>(in_.read<int8_t>(key));
    case ValueType::U16:
      return static_cast<uint64_t>(in_.read<uint16_t>(key));
    case ValueType::I16:
      return static_cast<int64_t>(in_.read<int16_t>(key));
    case ValueType::U32:
      return static_cast<uint64_t>(in_.read<uint32_t>(key));
    case ValueType::I32:
      return static_cast<int64_t>(in_.read<int32_t>(key));
    case ValueType::F32:
      return static_cast<double>(in_.read<float>(key));
    case ValueType::Bool:
      return read_bool(key);
    case ValueType::String:
      return read_string(key);
    case ValueType::Array:
      return read_array(key);
    case ValueType::U64:
      return in_.read<uint64_t>(key);
    case ValueType::I64:
      return in_.read<int64_t>(key);
    case ValueType::F64:
      return in_.read<double>(key);
  }
  throw bad_data(where_ + ": " + key, "unknown value type", {.found = std::to_string(type)});
}

void GgufReader::read_header() {
  if (bytes_.size() < 4 || in_.read<uint32_t>("magic") != kMagic)
    throw wrong_kind(where_, bytes_, "a GGUF file");
  const auto version = in_.read<uint32_t>("version");
  if (version != 2 && version != 3) {
    const bool big_endian = version == 0x02000000 || version == 0x03000000;
    throw bad_data(where_, big_endian ? "big-endian GGUF" : "unsupported GGUF version",
                   {.found = std::to_string(version), .expected = "little-endian version 2 or 3"});
  }
  tensor_count_ = in_.read<uint64_t>("tensor count");
  metadata_count_ = in_.read<uint64_t>("metadata count");
}

void GgufReader::read_metadata() {
  constexpr uint64_t kSmallest = 8 + 4 + 1;  // an empty key, a type, one byte
  bounded_count(metadata_count_, kSmallest, "metadata");
  for (uint64_t i = 0; i < metadata_count_; ++i) {
    std::string key = read_string("metadata key");
    const std::string shown = printable(key);
    const auto type = in_.read<uint32_t>(shown);
    GgufValue value = read_value(type, shown);
    if (!file_.metadata.emplace(std::move(key), std::move(value)).second)
      throw bad_data(where_ + ": " + shown, "metadata key given twice");
  }
}

TensorInfo GgufReader::read_tensor_info() {
  TensorInfo info;
  info.view.name = read_string("tensor name");
  const std::string tensor = tensor_at(where_, info.view.name);
  const auto dims = in_.read<uint32_t>("dimension count");
  if (dims > kMostDims)
    throw bad_data(tensor, "too many dimensions", {.found = std::to_string(dims), .expected = "at most 4"});
  for (uint32_t i = 0; i < dims; ++i) {
    const auto dim = in_.read<uint64_t>("dimension");
    if (dim > static_cast<uint64_t>(INT64_MAX))
      throw bad_data(tensor, "dimension too large", {.found = std::to_string(dim)});
    info.view.shape.insert(info.view.shape.begin(), static_cast<int64_t>(dim));  // innermost comes first
  }
  const auto type = in_.read<uint32_t>("tensor type");
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypeRow& known) { return known.id == type; });
  if (row == std::end(kTypes) || !row->dtype) {
    const std::string name = row == std::end(kTypes) ? "unknown" : row->name;
    throw bad_data(tensor, "unsupported type",
                   {.found = std::to_string(type) + " (" + name + ")",
                    .expected = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q6_K or an integer type"});
  }
  info.view.dtype = *row->dtype;
  info.offset = in_.read<uint64_t>("tensor offset");
  const auto numel = checked_numel(info.view.shape);
  if (!numel) throw bad_data(tensor, "shape is too large", {.expected = "less than 2^63 values"});
  // Blocks never cross rows.
  const uint64_t row_length = info.view.shape.empty() ? 1 : static_cast<uint64_t>(info.view.shape.back());
  const auto size = dtype_bytes(info.view.dtype, *numel);
  if (!dtype_bytes(info.view.dtype, row_length) || !size) {
    throw bad_data(tensor, "rows are not whole blocks",
                   {.found = std::to_string(row_length) + " values of " + dtype_name(info.view.dtype)});
  }
  info.size = *size;
  return info;
}

void GgufReader::read_tensor_infos() {
  constexpr uint64_t kSmallest = 8 + 4 + 4 + 8;  // an empty name, no dimension, type, offset
  bounded_count(tensor_count_, kSmallest, "tensors");
  std::set<std::string> names;
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    infos_.push_back(read_tensor_info());
    const std::string& name = infos_.back().view.name;
    if (!names.insert(name).second) throw bad_data(tensor_at(where_, name), "named twice");
  }
}

uint64_t GgufReader::alignment() const {
  const auto it = file_.metadata.find("general.alignment");
  if (it == file_.metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<uint64_t>(&it->second);
  const bool good = value != nullptr && *value >= 1 && *value <= 1u << 16 && std::has_single_bit(*value);
  if (!good) {
    throw bad_data(where_ + ": general.alignment", "bad alignment",
                   {.expected = "an unsigned power of two up to 65536"});
  }
  return *value;
}

// Gives each tensor its bytes: aligned, within the file, none overlapping another.
void GgufReader::place_data() {
  const uint64_t align = alignment();
  const uint64_t start = (in_.position() + align - 1) / align * align;
  const auto data = bytes_.subspan(std::min<uint64_t>(start, bytes_.size()));
  for (TensorInfo& info : infos_) {
    const std::string tensor = tensor_at(where_, info.view.name);
    if (info.offset % align != 0) {
      throw bad_data(
          tensor, "offset is not aligned",
          {.found = std::to_string(info.offset), .expected = "a multiple of " + std::to_string(align)});
    }
    if (info.offset > data.size() || info.size > data.size() - info.offset) {
      throw bad_data(tensor, "runs past the end of the file",
                     {.found = std::to_string(info.size) + " bytes at offset " + std::to_string(info.offset),
                      .expected = "at most " + std::to_string(data.size())});
    }
    info.view.data = data.subspan(info.offset, info.size);
  }
  std::vector<size_t> order(infos_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(infos_[a].offset, infos_[a].size) < std::pair(infos_[b].offset, infos_[b].size);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = infos_[order[i - 1]];
    const TensorInfo& after = infos_[order[i]];
    if (before.offset + before.size > after.offset) {
      throw bad_data(tensor_at(where_, after.view.name), "overlaps tensor " + in_quotes(before.view.name));
    }
  }
}

GgufFile GgufReader::read() {
  read_header();
  read_metadata();
  read_tensor_infos();
  place_data();
  file_.tensors.path = where_;
  file_.tensors.tensors.reserve(infos_.size());
  for (TensorInfo& info : infos_) file_.tensors.tensors.push_back(std::move(info.view));
  return std::move(file_);
}

// The value of `key` if it holds a T.
template <typename T>
const T& typed(const GgufFile& file, const std::string& key, const char* expected) {
  const auto it = file.metadata.find(key);
  const std::string where = file.tensors.path + ": " + key;
  if (it == file.metadata.end()) throw bad_data(where, "missing metadata", {.expected = expected});
  const T* value = std::get_if<T>(&it->second);
  if (value == nullptr) throw bad_data(where, "metadata of the wrong type", {.expected = expected});
  return *value;
}

bool holds_unsigned(const GgufFile& file, const std::string& key) {
  const auto it = file.metadata.find(key);
  return it != file.metadata.end() && std::holds_alternative<uint64_t>(it->second);
}

}  // namespace

int64_t GgufFile::integer(const std::string& key) const {
  if (!holds_unsigned(*this, key)) return typed<int64_t>(*this, key, "an integer");
  const auto value = typed<uint64_t>(*this, key, "an integer");
  if (value > static_cast<uint64_t>(INT64_MAX)) {
    throw bad_data(tensors.path + ": " + key, "integer too large", {.found = std::to_string(value)});
  }
  return static_cast<int64_t>(value);
}

double GgufFile::number(const std::string& key) const {
  return typed<double>(*this, key, "a floating-point number");
}

const std::string& GgufFile::string(const std::string& key) const {
  return typed<std::string>(*this, key, "a string");
}

const std::vector<std::string>& GgufFile::strings(const std::string& key) const {
  return typed<std::vector<std::string>>(*this, key, "an array of strings");
}

const std::vector<int64_t>& GgufFile::integers(const std::string& key) const {
  return typed<std::vector<int64_t>>(*this, key, "an array of integers");
}

GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& where) {
  return GgufReader(bytes, where).read();
}

GgufFile open_gguf(const std::filesystem::path& path) {
  const auto mapped = std::make_shared<const MappedFile>(path);
  GgufFile file = parse_gguf(mapped->bytes(), path.string());
  file.tensors.storage = mapped;
  return file;
}

}  // namespace moellava
