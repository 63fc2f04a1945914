#include "files/npy.hpp"

#include <string>
#include <string_view>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/file_io.hpp"
#include "files/bytes.hpp"
#include "files/tensor_file.hpp"

namespace moellava {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY\x01\x00"sv;  // with version 1.0
constexpr size_t kPreamble = kMagic.size() + 2;             // and a 16-bit header length
constexpr size_t kAlignment = 64;                           // of the data, as NumPy writes it
constexpr size_t kMostDims = 8;

// The header is a Python dict of three known keys:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  DType dtype = DType::F32;
  std::vector<int64_t> shape;

  void read() {
    expect("{");
    for (int seen = 0; seen != 7;) {
      const int bit = read_field();
      if ((seen & bit) != 0) throw fail("a field is given twice");
      seen |= bit;
      if (!accept(",") && seen != 7) throw fail("a comma is missing");
    }
    expect("}");
    skip_spaces();
    if (position_ != text_.size()) throw fail("text behind the dict");
  }

 private:
  Error fail(const std::string& what) const {
    return bad_data(where_, "bad header: " + what, {.at = "byte " + std::to_string(kPreamble + position_)});
  }
  void skip_spaces() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) throw fail("expected " + std::string(token));
  }

  int read_field() {
    if (accept("'descr'")) {
      expect(":");
      read_dtype();
      return 1;
    }
    if (accept("'fortran_order'")) {
      expect(":");
      if (accept("True")) throw fail("Fortran order is not supported");
      expect("False");
      return 2;
    }
    if (accept("'shape'")) {
      expect(":");
      read_shape();
      return 4;
    }
    throw fail("expected 'descr', 'fortran_order' and 'shape'");
  }

  void read_dtype() {
    struct Row {
      std::string_view text;
      DType dtype;
    };
    constexpr Row kRows[] = {{"'<f4'", DType::F32},
                             {"'<i4'", DType::I32},
                             {"'<i8'", DType::I64},
                             {"'|u1'", DType::U8},
                             {"'|b1'", DType::Bool}};
    for (const Row& row : kRows) {
      if (accept(row.text)) {
        dtype = row.dtype;
        return;
      }
    }
    throw fail("unsupported dtype, expected <f4 <i4 <i8 |u1 or |b1");
  }

  void read_shape() {
    expect("(");
    while (!accept(")")) {
      if (shape.size() == kMostDims) throw fail("too many dimensions");
      shape.push_back(read_dim());
      if (!accept(",") && !text_.substr(position_).starts_with(")")) throw fail("expected , or )");
    }
  }

  int64_t read_dim() {
    skip_spaces();
    const size_t first = position_;
    int64_t value = 0;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      if (position_ - first == 18) throw fail("dimension too large");
      value = value * 10 + (text_[position_++] - '0');
    }
    if (position_ == first) throw fail("expected a dimension");
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t position_ = 0;
};

std::string header_of(std::span<const int64_t> shape, std::string_view descr) {
  std::string dims;
  for (const int64_t dim : shape) dims += std::to_string(dim) + ", ";
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  if (shape.size() == 1) dims.resize(dims.size() - 1);  // a Python tuple of one keeps its comma
  std::string text =
      "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" + dims + "), }";
  const size_t whole = (kPreamble + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  text.resize(whole - kPreamble - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

void write_array(const std::filesystem::path& path, std::span<const int64_t> shape, std::string_view descr,
                 std::span<const std::byte> data, size_t values) {
  if (checked_numel(shape) != values || shape.size() > kMostDims) {
    throw make_error(ErrorKind::Internal, path.string(), "shape does not fit the values",
                     {.found = std::to_string(values) + " values"});
  }
  const std::string header = header_of(shape, descr);
  write_file_atomic(path, [&](const ByteSink& sink) {
    sink(std::as_bytes(std::span(header)));
    sink(data);
  });
}

}  // namespace

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string where = path.string();
  ByteReader in(file.bytes(), where);
  if (in.text(kMagic.size(), "magic") != kMagic) throw bad_data(where, "not an .npy file of version 1.0");
  const auto length = in.read<uint16_t>("header length");
  HeaderReader header(in.text(length, "header"), where);
  header.read();
  const auto numel = checked_numel(header.shape);
  const auto size = numel ? dtype_bytes(header.dtype, *numel) : std::nullopt;
  if (!size || *size != in.remaining()) {
    throw bad_data(where, "data does not fit the shape",
                   {.found = std::to_string(in.remaining()) + " bytes",
                    .expected = size ? std::to_string(*size) : "less than 2^63 values"});
  }
  NpyArray array{.shape = std::move(header.shape), .values = std::vector<float>(*numel)};
  to_float32({.name = where, .dtype = header.dtype, .shape = array.shape, .data = in.rest()}, array.values);
  return array;
}

void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const float> values) {
  write_array(path, shape, "<f4", std::as_bytes(values), values.size());
}

void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const int32_t> values) {
  write_array(path, shape, "<i4", std::as_bytes(values), values.size());
}

}  // namespace moellava
