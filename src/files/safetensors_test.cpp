#include "files/safetensors.hpp"

#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::le;
using test::raw;
using test::safetensors;

// A header of two tensors "a" (2 bytes) and "b" (4 bytes) with these offsets, over `size` bytes of data.
std::string pair_file(const std::string& a, const std::string& b, size_t size) {
  return safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                         R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                     std::string(size, '\1'));
}

// A header of one tensor "a" of one byte, with one field replaced.
std::string with_dtype(const std::string& dtype) {
  return safetensors(R"({"a":{"dtype":)" + dtype + R"(,"shape":[1],"data_offsets":[0,1]}})", "x");
}
std::string with_shape(const std::string& shape) {
  return safetensors(R"({"a":{"dtype":"U8","shape":)" + shape + R"(,"data_offsets":[0,1]}})", "x");
}
std::string with_offsets(const std::string& offsets) {
  return safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)" + offsets + "}}", "x");
}

void parse(const std::string& bytes) {
  parse_safetensors(test::bytes_of(bytes), "file");
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const std::string bytes = safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"data_offsets":[0,4],"dtype":"F32","shape":[1,1]},)"
      R"( "a":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"empty":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},)"
      R"("scalar":{"dtype":"I16","shape":[],"data_offsets":[6,8]}}   )",
      le(2.5f) + "xy" + le<int16_t>(-3));
  const TensorFile file = parse_safetensors(test::bytes_of(bytes), "file");
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.tensors[0].name, "b");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{1, 1}));
  std::vector<float> value(1);
  to_float32(*file.find("b"), value);
  EXPECT_EQ(value[0], 2.5f);
  to_float32(*file.find("scalar"), value);
  EXPECT_EQ(value[0], -3.0f);
  EXPECT_EQ(file.find("a")->data[1], std::byte{'y'});
  EXPECT_EQ(file.find("empty")->numel(), 0u);
}

TEST(Safetensors, NoTensorsAtAll) {
  EXPECT_TRUE(parse_safetensors(test::bytes_of(safetensors("{}")), "file").tensors.empty());
}

TEST(Safetensors, RefusesBadLengths) {
  const std::vector<BadCase> cases = {
      {"0 bytes", "", "too short for a safetensors file: found 0 bytes"},
      {"7 bytes", "1234567", "too short for a safetensors file: found 7 bytes"},
      {"8 bytes, N = 0", le<uint64_t>(0), "header does not begin with '{': found an empty header"},
      {"N = 1", le<uint64_t>(1) + "{", "header is not valid JSON"},
      {"N one more than there is", le<uint64_t>(3) + "{}", "header length 3 exceeds file size 10"},
      {"N = 2^63", le<uint64_t>(1ull << 63) + "{}", "header length 9223372036854775808 exceeds file size 10"},
      {"N = 2^64 - 1", le<uint64_t>(UINT64_MAX) + "{}", "exceeds file size 10"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer, not the model"},
      {"HTML", "<html><body>Not found</body></html>", "HTML page, not the model"},
  };
  test::expect_refused(cases, parse);
}

TEST(Safetensors, RefusesAHeaderOverTheLimit) {
  const test::TempFolder folder;
  write_file_atomic(folder / "long", le<uint64_t>(100'000'001) + "{");
  std::filesystem::resize_file(folder / "long", 100'000'009);  // sparse
  test::expect_refused({{"long", "", "header too long: found 100000001 bytes"}},
                       [&](const std::string&) { open_safetensors(folder / "long"); });
}

TEST(Safetensors, RefusesBadHeaders) {
  const std::vector<BadCase> cases = {
      {"array", safetensors("[]"), "header does not begin with '{'"},
      {"space first", safetensors(" {}"), "header does not begin with '{'"},
      {"truncated", safetensors("{\"a\""), "header is not valid JSON"},
      {"not UTF-8", safetensors("{\"\xff\":1}"), "at byte 10"},
      {"trailing garbage", safetensors("{} x"), "header is not valid JSON"},
      {"zip behind", safetensors("{}PK\3\4"), "header is not valid JSON"},
      {"tensor is a number", safetensors(R"({"a":1})"), "tensor \"a\": not an object: found 1"},
      {"tensor is null", safetensors(R"({"a":null})"), "tensor \"a\": not an object: found null"},
      {"metadata of numbers", safetensors(R"({"__metadata__":{"k":1}})"),
       "__metadata__: \"k\": not a string"},
      {"metadata of objects", safetensors(R"({"__metadata__":{"k":{}}})"),
       "\"k\": not a string: found an object"},
      {"metadata is text", safetensors(R"({"__metadata__":"x"})"), "not an object"},
      {"metadata twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"),
       "__metadata__: named twice"},
      {"metadata key twice", safetensors(R"({"__metadata__":{"k":"1","k":"2"}})"), "\"k\": given twice"},
      {"unknown field", safetensors(R"({"a":{"type":"F32"}})"),
       "tensor \"a\": unknown field: found \"type\""},
      {"field twice", safetensors(R"({"a":{"dtype":"U8","dtype":"U8"}})"),
       "tensor \"a\": dtype: given twice"},
      {"no dtype", safetensors(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x"),
       "tensor \"a\": has no dtype"},
      {"no shape", safetensors(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "x"),
       "tensor \"a\": has no shape"},
      {"no offsets", safetensors(R"({"a":{"dtype":"U8","shape":[1]}})", "x"), "has no data_offsets"},
      {"unknown dtype", with_dtype("\"F33\""), "tensor \"a\": dtype: unknown dtype: found \"F33\""},
      {"block dtype", with_dtype("\"Q8_0\""), "unknown dtype"},
      {"lower case dtype", with_dtype("\"u8\""), "unknown dtype: found \"u8\""},
      {"dtype is a number", with_dtype("8"), "tensor \"a\": dtype: wrong type: found 8"},
      {"name with control bytes", safetensors("{\"a\\n\\u001b[31m\":1}"), "\"a\\x0a\\x1b[31m\""},
      {"nested deeply", safetensors("{\"a\":" + std::string(100'000, '{')), "header is not valid JSON"},
      {"arrays nested deeply", with_shape(std::string(100'000, '[')), "not a non-negative integer"},
  };
  test::expect_refused(cases, [](const std::string& bytes) { parse(bytes); });
}

TEST(Safetensors, RefusesBadShapes) {
  std::string dims = "[1";
  for (int i = 0; i < 69; ++i) dims += ",1";
  const std::vector<BadCase> cases = {
      {"-1", with_shape("[-1]"), "tensor \"a\": shape: not a non-negative integer: found -1"},
      {"1.5", with_shape("[1.5]"), "not a non-negative integer: found 1.5"},
      {"2^64", with_shape("[18446744073709551616]"), "not a non-negative integer"},
      {"2^63", with_shape("[9223372036854775808]"), "dimension too large"},
      {"text", with_shape("[\"2\"]"), "found \"2\""},
      {"true", with_shape("[true]"), "found true"},
      {"null", with_shape("null"), "tensor \"a\": shape: wrong type: found null"},
      {"70 dims", with_shape(dims + "]"), "tensor \"a\": shape: too many dimensions"},
      {"product wraps", with_shape("[4194305,4194305,211106198978564]"), "tensor \"a\": shape is too large"},
      {"product of bytes wraps",
       safetensors(R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}})"),
       "tensor \"a\": shape is too large"},
      {"0 with bytes", with_shape("[0]"), "data_offsets do not fit the shape: found 1 bytes, expected 0"},
      {"shape too small", with_shape("[2]"), "data_offsets do not fit the shape: found 1 bytes, expected 2"},
  };
  test::expect_refused(cases, parse);
}

TEST(Safetensors, RefusesBadOffsets) {
  const std::vector<BadCase> cases = {
      {"end before begin", with_offsets("[1,0]"), "tensor \"a\": data_offsets end before they begin"},
      {"beyond the file", with_offsets("[0,2]"), "tensor \"a\": data_offsets run past the end of the file"},
      {"begin wraps", with_offsets("[18446744073709551608,1]"), "end before they begin"},
      {"both wrap", with_offsets("[18446744073709551608,18446744073709551609]"),
       "run past the end of the file"},
      {"one offset", with_offsets("[0]"), "data_offsets: wrong number of offsets: found 1"},
      {"three offsets", with_offsets("[0,1,2]"), "wrong number of offsets: found 3"},
      {"negative", with_offsets("[-1,1]"), "data_offsets: not a non-negative integer"},
      {"not the product", pair_file("[0,2]", "[2,5]", 5), "tensor \"b\": data_offsets do not fit the shape"},
      {"overlap by 1", pair_file("[0,2]", "[1,5]", 5), "tensor \"b\": overlaps tensor \"a\""},
      {"hole of 1", pair_file("[0,2]", "[3,7]", 7), "tensor \"b\": leaves a hole behind tensor \"a\""},
      {"hole at the start", pair_file("[1,3]", "[3,7]", 7), "tensor \"a\": leaves a hole behind the start"},
      {"end not covered", pair_file("[0,2]", "[2,6]", 7), "data goes on behind tensor \"b\""},
      {"same bytes twice",
       safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
           "x"),
       "overlaps tensor"},
      {"empty tensor inside another",
       safetensors(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
           "xy"),
       "tensor \"b\": overlaps tensor \"a\""},
      {"name twice",
       safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           "xy"),
       "tensor \"a\": named twice"},
  };
  test::expect_refused(cases, parse);
}

// Every truncation of a small file is refused, whatever was cut.
TEST(Safetensors, RefusesEveryTruncation) {
  const std::string whole = pair_file("[0,2]", "[2,6]", 6);
  parse(whole);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
  }
}

std::string bytes_named_by_number(size_t count) {
  std::string header = "{";
  for (size_t i = 0; i < count; ++i) {
    header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
              std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  }
  return safetensors(header + "}", std::string(count, 'x'));
}

TEST(Safetensors, ManyTensorsAreQuick) {
  constexpr size_t kCount = 100'000;
  EXPECT_EQ(parse_safetensors(test::bytes_of(bytes_named_by_number(kCount)), "file").tensors.size(), kCount);
}

TEST(Safetensors, AMillionTensorsAreTheMost) {
  test::expect_refused({{"a million and one", bytes_named_by_number(1'000'001),
                         "file: too many tensors: expected at most 1000000", ErrorKind::Limit}},
                       parse);
}

TEST(Safetensors, MissingFileIsAnIoError) {
  test::expect_refused({{"missing", "", "cannot open", ErrorKind::Io}},
                       [](const std::string&) { open_safetensors("/no/such/file.safetensors"); });
}

}  // namespace
}  // namespace moellava
