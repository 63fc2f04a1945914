#include "files/gguf.hpp"

#include <gtest/gtest.h>

#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::le;

std::string str(const std::string& text) {
  return le<uint64_t>(text.size()) + text;
}
template <typename T>
std::string pair(const std::string& key, uint32_t type, T value) {
  return str(key) + le(type) + le(value);
}
std::string array(const std::string& key, uint32_t type, uint64_t count, const std::string& items) {
  return str(key) + le<uint32_t>(9) + le(type) + le(count) + items;
}
std::string info(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  std::string bytes = str(name) + le(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) bytes += le(dim);
  return bytes + le(type) + le(offset);
}
std::string header(uint64_t tensors, uint64_t metadata, uint32_t version = 3) {
  return "GGUF" + le(version) + le(tensors) + le(metadata);
}
// Header, metadata and infos, padded; then the data.
std::string gguf(uint64_t tensors, uint64_t metadata, const std::string& body, const std::string& data,
                 size_t alignment = 32) {
  std::string bytes = header(tensors, metadata) + body;
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
  return bytes + data;
}

GgufFile parse(const std::string& bytes) {
  return parse_gguf(test::bytes_of(bytes), "file");
}

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ4_1 = 3;
constexpr uint32_t kQ8_0 = 8;

TEST(Gguf, ReadsMetadataOfEveryType) {
  const std::string body =
      pair<uint8_t>("u8", 0, 200) + pair<int8_t>("i8", 1, -2) + pair<uint16_t>("u16", 2, 60000) +
      pair<int16_t>("i16", 3, -3) + pair<uint32_t>("u32", 4, 4'000'000'000) + pair<int32_t>("i32", 5, -4) +
      pair<float>("f32", 6, 0.5f) + pair<uint8_t>("bool", 7, 1) + str("text") + le<uint32_t>(8) + str("hi") +
      pair<uint64_t>("u64", 10, UINT64_MAX) + pair<int64_t>("i64", 11, INT64_MIN) +
      pair<double>("f64", 12, 1e300) + array("strings", 8, 2, str("a") + str("")) +
      array("ints", 5, 2, le<int32_t>(-1) + le<int32_t>(7)) + array("bytes", 0, 2, "\x01\xff") +
      array("floats", 6, 1, le(1.5f)) + array("bools", 7, 2, "\1" + std::string(1, '\0')) +
      array("none", 8, 0, "");
  const GgufFile file = parse(gguf(0, 18, body, ""));
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -2);
  EXPECT_EQ(file.integer("u16"), 60000);
  EXPECT_EQ(file.integer("i16"), -3);
  EXPECT_EQ(file.integer("u32"), 4'000'000'000);
  EXPECT_EQ(file.integer("i32"), -4);
  EXPECT_EQ(file.number("f32"), 0.5);
  EXPECT_EQ(file.number("f64"), 1e300);
  EXPECT_TRUE(std::get<bool>(file.metadata.at("bool")));
  EXPECT_EQ(file.string("text"), "hi");
  EXPECT_EQ(file.integer("i64"), INT64_MIN);
  EXPECT_EQ(file.strings("strings"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(file.integers("ints"), (std::vector<int64_t>{-1, 7}));
  EXPECT_EQ(file.integers("bytes"), (std::vector<int64_t>{1, 255}));
  EXPECT_EQ(std::get<std::vector<double>>(file.metadata.at("floats")), (std::vector<double>{1.5}));
  EXPECT_EQ(file.integers("bools"), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(file.strings("none").empty());
  EXPECT_TRUE(file.has("u8"));
  EXPECT_FALSE(file.has("nothing"));
  test::expect_refused(
      {{"u64 too large", "u64", "file: u64: integer too large"},
       {"missing", "nothing", "file: nothing: missing metadata: expected an integer"},
       {"not an integer", "text", "file: text: metadata of the wrong type: expected an integer"},
       {"bool is no integer", "bool", "wrong type"}},
      [&](const std::string& key) { file.integer(key); });
  test::expect_refused({{"string", "u8", "expected a string"}},
                       [&](const std::string& key) { file.string(key); });
  test::expect_refused({{"strings", "ints", "expected an array of strings"}},
                       [&](const std::string& key) { file.strings(key); });
}

TEST(Gguf, ReadsTensorsOutermostFirst) {
  const std::string first =
      le(1.0f) + le(2.0f) + le(3.0f) + le(4.0f) + le(5.0f) + le(6.0f) + std::string(8, '\0');
  const std::string block = le<uint16_t>(0x3c00) + std::string(32, '\5');
  const std::string body = info("a", {3, 2}, kF32, 0) + info("b", {32, 1}, kQ8_0, 32);
  for (const uint32_t version : {2u, 3u}) {
    std::string bytes = gguf(2, 0, body, first + block);
    bytes[4] = static_cast<char>(version);
    const GgufFile file = parse(bytes);
    ASSERT_EQ(file.tensors.tensors.size(), 2u);
    EXPECT_EQ(file.tensors.find("a")->shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(file.tensors.find("b")->shape, (std::vector<int64_t>{1, 32}));
    std::vector<float> values(6);
    to_float32(*file.tensors.find("a"), values);
    EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    values.resize(32);
    to_float32(*file.tensors.find("b"), values);
    EXPECT_EQ(values, std::vector<float>(32, 5.0f));
  }
}

TEST(Gguf, KeepsToTheAlignmentInTheMetadata) {
  const std::string body =
      pair<uint32_t>("general.alignment", 4, 8) + info("a", {1}, kF32, 0) + info("b", {1}, kF32, 8);
  const std::string bytes = gguf(2, 1, body, le(1.0f) + le(0.0f) + le(2.0f), 8);
  const GgufFile file = parse(bytes);
  std::vector<float> value(1);
  to_float32(*file.tensors.find("b"), value);
  EXPECT_EQ(value[0], 2.0f);
}

TEST(Gguf, RefusesBadHeadersAndMetadata) {
  const std::vector<BadCase> cases = {
      {"empty", "", "wrong file format: found bytes of an unknown format of 0 bytes, expected a GGUF file"},
      {"safetensors", test::safetensors("{}"), "found a safetensors file"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"version 1", header(0, 0, 1), "unsupported GGUF version: found 1"},
      {"version 4", header(0, 0, 4), "unsupported GGUF version: found 4"},
      {"big-endian", header(0, 0, 0x03000000), "big-endian GGUF"},
      {"cut", header(0, 0).substr(0, 20), "truncated"},
      {"too many tensors", header(UINT64_MAX, 0),
       "tensors: count exceeds the file: found 18446744073709551615"},
      {"too many keys", header(0, 1ull << 60), "metadata: count exceeds the file"},
      {"key of 2^63", gguf(0, 1, le<uint64_t>(1ull << 63), std::string(32, '\0')), "truncated"},
      {"string of 2^64 - 1", gguf(0, 1, str("k") + le<uint32_t>(8) + le<uint64_t>(UINT64_MAX), ""),
       "truncated"},
      {"array of 2^62", gguf(0, 1, array("k", 5, 1ull << 62, ""), ""), "file: k: count exceeds the file"},
      {"strings of 2^40", gguf(0, 1, array("k", 8, 1ull << 40, ""), ""), "file: k: count exceeds the file"},
      {"array of arrays", gguf(0, 1, array("k", 9, 1, ""), ""), "arrays of arrays are not supported"},
      {"unknown type", gguf(0, 1, pair<uint32_t>("k", 13, 0), ""), "file: k: unknown value type: found 13"},
      {"unknown array type", gguf(0, 1, array("k", 99, 0, ""), ""), "file: k: unknown array type: found 99"},
      {"bool of 2", gguf(0, 1, pair<uint8_t>("k", 7, 2), ""), "file: k: not a boolean: found 2"},
      {"u64 in an array", gguf(0, 1, array("k", 10, 1, le<uint64_t>(UINT64_MAX)), ""),
       "file: k: integer too large"},
      {"key twice", gguf(0, 2, pair<uint8_t>("k", 0, 1) + pair<uint8_t>("k", 0, 2), ""),
       "file: k: metadata key given twice"},
      {"alignment 0", gguf(0, 1, pair<uint32_t>("general.alignment", 4, 0), ""),
       "general.alignment: bad alignment"},
      {"alignment 24", gguf(0, 1, pair<uint32_t>("general.alignment", 4, 24), ""), "bad alignment"},
      {"alignment 2^31", gguf(0, 1, pair<uint32_t>("general.alignment", 4, 1u << 31), ""), "bad alignment"},
      {"alignment is text", gguf(0, 1, str("general.alignment") + le<uint32_t>(8) + str("x"), ""),
       "bad alignment"},
  };
  test::expect_refused(cases, parse);
}

TEST(Gguf, RefusesBadTensors) {
  const std::string data(64, '\0');
  const auto one = [&](const std::string& tensor_info) { return gguf(1, 0, tensor_info, data); };
  const auto two = [&](const std::string& infos) { return gguf(2, 0, infos, data); };
  const std::vector<BadCase> cases = {
      {"five dims", one(info("a", {1, 1, 1, 1, 1}, kF32, 0)), "tensor \"a\": too many dimensions: found 5"},
      {"2^32 - 1 dims", one(str("a") + le<uint32_t>(UINT32_MAX) + std::string(12, '\0')),
       "too many dimensions"},
      {"dim of 2^63", one(info("a", {1ull << 63}, kF32, 0)), "tensor \"a\": dimension too large"},
      {"shape wraps", one(info("a", {1ull << 32, 1ull << 32}, kF32, 0)), "tensor \"a\": shape is too large"},
      {"unsupported type", one(info("a", {256}, 12, 0)), "tensor \"a\": unsupported type: found 12 (Q4_K)"},
      {"unknown type", one(info("a", {1}, 77, 0)), "unsupported type: found 77 (unknown)"},
      {"rows are not whole blocks", one(info("a", {16, 2}, kQ4_1, 0)),
       "tensor \"a\": rows are not whole blocks: found 16 values of Q4_1"},
      {"offset not aligned", one(info("a", {1}, kF32, 4)), "tensor \"a\": offset is not aligned: found 4"},
      {"past the end", one(info("a", {17}, kF32, 0)),
       "tensor \"a\": runs past the end of the file: found 68 bytes"},
      {"offset past the end", one(info("a", {1}, kF32, 96)), "runs past the end of the file"},
      {"offset wraps", one(info("a", {1}, kF32, UINT64_MAX - 31)), "runs past the end of the file"},
      {"overlap", two(info("a", {9}, kF32, 0) + info("b", {1}, kF32, 32)),
       "tensor \"b\": overlaps tensor \"a\""},
      {"same bytes", two(info("a", {1}, kF32, 0) + info("b", {1}, kF32, 0)), "overlaps tensor"},
      {"name twice", two(info("a", {1}, kF32, 0) + info("a", {1}, kF32, 32)), "tensor \"a\": named twice"},
  };
  test::expect_refused(cases, parse);
}

TEST(Gguf, RefusesEveryTruncation) {
  const std::string body = pair<uint8_t>("k", 0, 1) + array("s", 8, 1, str("ab")) + info("a", {8}, kF32, 0);
  const std::string whole = gguf(1, 2, body, std::string(32, '\0'));
  parse(whole);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
}

TEST(Gguf, AHundredThousandTokensAreQuick) {
  std::string items;
  for (int i = 0; i < 100'000; ++i) items += str("token" + std::to_string(i));
  const GgufFile file = parse(gguf(0, 1, array("tokens", 8, 100'000, items), ""));
  EXPECT_EQ(file.strings("tokens").back(), "token99999");
}

}  // namespace
}  // namespace moellava
