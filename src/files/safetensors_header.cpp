#include "files/safetensors_header.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "files/naming.hpp"

namespace moellava {

namespace {

using Json = nlohmann::json;

constexpr size_t kMostTensors = 1'000'000;
constexpr size_t kMostDims = 8;
constexpr size_t kFirstByte = 8;  // where the header begins in the file

std::optional<DType> dtype_of(std::string_view name) {
  constexpr DType kPlain[] = {DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64,
                              DType::I32, DType::I16, DType::I8,  DType::U8,   DType::Bool};
  for (const DType dtype : kPlain) {
    if (name == dtype_name(dtype)) return dtype;
  }
  return std::nullopt;
}

// Follows the one shape a header may have:
//   {"__metadata__": {text: text, ...}, name: {"dtype": text, "shape": [n, ...], "data_offsets": [n, n]},
//   ...}
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& where) : where_(where) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { throw wrong_value("null"); }
  bool boolean(bool value) override { throw wrong_value(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { throw wrong_value(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { throw wrong_value(text); }
  bool binary(binary_t&) override { return false; }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::Shape) return add_dim(value);
    if (place_ == Place::Offsets) return add_offset(value);
    throw wrong_value(std::to_string(value));
  }

  bool string(string_t& value) override {
    if (place_ == Place::Metadata) return add_metadata(value);
    if (place_ != Place::Tensor || field_ != Field::DType) throw wrong_value(in_quotes(value));
    const auto dtype = dtype_of(value);
    if (!dtype) {
      throw bad_data(here(), "unknown dtype",
                     {.found = in_quotes(value), .expected = "F64 F32 F16 BF16 I64 I32 I16 I8 U8 or BOOL"});
    }
    entry_.dtype = *dtype;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::Outside) {
      place_ = Place::Top;
    } else if (place_ == Place::Top && entry_.name == kMetadata) {
      if (has_metadata_) throw bad_data(where_ + ": __metadata__", "named twice");
      has_metadata_ = true;
      place_ = Place::Metadata;
    } else if (place_ == Place::Top) {
      place_ = Place::Tensor;
    } else {
      throw wrong_value("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::Tensor) finish_tensor();
    place_ = place_ == Place::Top ? Place::Outside : Place::Top;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ == Place::Tensor && field_ == Field::Shape) {
      place_ = Place::Shape;
    } else if (place_ == Place::Tensor && field_ == Field::Offsets) {
      place_ = Place::Offsets;
    } else {
      throw wrong_value("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::Offsets && offsets_ != 2) {
      throw bad_data(here(), "wrong number of offsets", {.found = std::to_string(offsets_), .expected = "2"});
    }
    place_ = Place::Tensor;
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::Top) {
      entry_ = {};
      entry_.name = name;
      offsets_ = 0;
      for (bool& seen : seen_) seen = false;
    } else if (place_ == Place::Metadata) {
      metadata_key_ = name;
    } else {
      field_ = field_of(name);
      bool& seen = seen_[static_cast<size_t>(field_)];
      if (seen) throw bad_data(here(), "given twice");
      seen = true;
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& reason) override {
    std::string what = reason.what();
    if (const size_t colon = what.find(": "); colon != std::string::npos) what = what.substr(colon + 2);
    throw bad_data(where_, "header is not valid JSON",
                   {.found = printable(what),
                    .at = "byte " + std::to_string(kFirstByte + (position ? position - 1 : 0))});
  }

 private:
  enum class Place { Outside, Top, Metadata, Tensor, Shape, Offsets };
  enum class Field { DType, Shape, Offsets };
  static constexpr std::string_view kMetadata = "__metadata__";
  static constexpr const char* kFieldNames[] = {"dtype", "shape", "data_offsets"};

  Field field_of(const std::string& name) const {
    for (size_t i = 0; i < std::size(kFieldNames); ++i) {
      if (name == kFieldNames[i]) return static_cast<Field>(i);
    }
    throw bad_data(tensor(), "unknown field",
                   {.found = in_quotes(name), .expected = "dtype, shape and data_offsets"});
  }

  bool add_metadata(const std::string& value) {
    if (!header_.metadata.emplace(metadata_key_, value).second) throw bad_data(here(), "given twice");
    return true;
  }

  bool add_dim(uint64_t dim) {
    if (dim > static_cast<uint64_t>(INT64_MAX))
      throw bad_data(here(), "dimension too large", {.found = std::to_string(dim)});
    if (entry_.shape.size() == kMostDims)
      throw bad_data(here(), "too many dimensions", {.expected = "at most " + std::to_string(kMostDims)});
    entry_.shape.push_back(static_cast<int64_t>(dim));
    return true;
  }

  bool add_offset(uint64_t offset) {
    if (offsets_ < 2) (offsets_ == 0 ? entry_.begin : entry_.end) = offset;
    ++offsets_;
    return true;
  }

  void finish_tensor() {
    for (size_t i = 0; i < std::size(kFieldNames); ++i) {
      if (!seen_[i]) throw bad_data(tensor(), std::string("has no ") + kFieldNames[i]);
    }
    if (header_.entries.size() == kMostTensors) {
      throw limit_error(where_, "too many tensors", {.expected = "at most " + std::to_string(kMostTensors)});
    }
    header_.entries.push_back(std::move(entry_));
  }

  std::string tensor() const { return tensor_at(where_, entry_.name); }

  // The field being read, for errors.
  std::string here() const {
    if (place_ == Place::Metadata) return where_ + ": __metadata__: \"" + printable(metadata_key_) + "\"";
    return tensor() + ": " + kFieldNames[static_cast<size_t>(field_)];
  }

  Error wrong_value(const std::string& found) const {
    switch (place_) {
      case Place::Outside:
        return bad_data(where_, "header is not a JSON object", {.found = found});
      case Place::Top:
        return bad_data(tensor(), "not an object", {.found = found});
      case Place::Metadata:
        return bad_data(here(), "not a string", {.found = found});
      case Place::Tensor:
        return bad_data(here(), "wrong type",
                        {.found = found, .expected = field_ == Field::DType ? "a string" : "an array"});
      case Place::Shape:
      case Place::Offsets:
        break;
    }
    return bad_data(here(), "not a non-negative integer", {.found = found});
  }

  const std::string& where_;
  SafetensorsHeader header_;
  Place place_ = Place::Outside;
  Field field_ = Field::DType;
  SafetensorsEntry entry_;
  size_t offsets_ = 0;
  bool seen_[std::size(kFieldNames)] = {};
  bool has_metadata_ = false;
  std::string metadata_key_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& where) {
  HeaderReader reader(where);
  Json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace moellava
