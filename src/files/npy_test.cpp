#include "files/npy.hpp"

#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::le;
using test::raw;

std::string npy(const std::string& header, const std::string& data) {
  return raw("\x93NUMPY\x01\x00") + le(static_cast<uint16_t>(header.size())) + header + data;
}

NpyArray parse(const std::string& bytes) {
  const test::TempFolder folder;
  write_file_atomic(folder / "a.npy", bytes);
  return read_npy(folder / "a.npy");
}

TEST(Npy, RoundTrip) {
  const test::TempFolder folder;
  const std::vector<float> values = {1, 2.5f, -3, 4, 5, 6};
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{6}, {2, 3}, {1, 2, 3}}) {
    write_npy(folder / "f.npy", shape, std::span<const float>(values));
    const NpyArray array = read_npy(folder / "f.npy");
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.values, values);
  }
  const std::vector<int32_t> integers = {-7};
  write_npy(folder / "i.npy", {}, std::span<const int32_t>(integers));
  EXPECT_TRUE(read_npy(folder / "i.npy").shape.empty());
  EXPECT_EQ(read_npy(folder / "i.npy").values, (std::vector<float>{-7}));
}

// The bytes that numpy.save(numpy.array([1, -2], "i4")) writes.
TEST(Npy, WritesWhatNumpyWrites) {
  const test::TempFolder folder;
  const int64_t shape[] = {2};
  const std::vector<int32_t> values = {1, -2};
  write_npy(folder / "a.npy", shape, std::span<const int32_t>(values));
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
  header.resize(117, ' ');
  EXPECT_EQ(read_file(folder / "a.npy", 4096), npy(header + "\n", le<int32_t>(1) + le<int32_t>(-2)));
}

TEST(Npy, ReadsEveryType) {
  const auto header = [](const std::string& descr) {
    return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,), }";
  };
  EXPECT_EQ(parse(npy(header("<f4"), le(1.5f) + le(2.0f))).values, (std::vector<float>{1.5f, 2}));
  EXPECT_EQ(parse(npy(header("<i8"), le<int64_t>(-1) + le<int64_t>(2))).values, (std::vector<float>{-1, 2}));
  EXPECT_EQ(parse(npy(header("|u1"), "\xff\x01")).values, (std::vector<float>{255, 1}));
  EXPECT_EQ(parse(npy(header("|b1"), raw("\x00\x01"))).values, (std::vector<float>{0, 1}));
}

TEST(Npy, RefusesBadFiles) {
  const auto shaped = [](const std::string& shape) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}", "1234");
  };
  const std::vector<BadCase> cases = {
      {"empty", "", "truncated"},
      {"text", "hello, this is no array", "not an .npy file"},
      {"version 2", raw("\x93NUMPY\x02\x00") + "1234", "not an .npy file of version 1.0"},
      {"header cut", raw("\x93NUMPY\x01\x00\xff\xff{"), "truncated"},
      {"no dict", npy("[]", ""), "expected {"},
      {"float16", npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", "12"), "unsupported dtype"},
      {"big-endian", npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "1234"),
       "unsupported dtype"},
      {"objects", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "1234"), "unsupported dtype"},
      {"Fortran order", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", "1234"),
       "Fortran order"},
      {"field twice", npy("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}", "1234"),
       "a field is given twice"},
      {"field missing", npy("{'descr': '<f4', 'shape': (1,), }", "1234"), "expected 'descr'"},
      {"text behind", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "1234"),
       "text behind the dict"},
      {"data too short", shaped("(2,)"), "data does not fit the shape: found 4 bytes, expected 8"},
      {"data too long", shaped("(0,)"), "data does not fit the shape"},
      {"negative dim", shaped("(-1,)"), "expected a dimension"},
      {"shape wraps", shaped("(4294967296, 4294967296, 4294967296)"), "data does not fit the shape"},
      {"dim of 20 digits", shaped("(18446744073709551616,)"), "dimension too large"},
      {"nine dims", shaped("(1,1,1,1,1,1,1,1,1)"), "too many dimensions"},
      {"shape not closed", shaped("(1"), "expected , or )"},
  };
  test::expect_refused(cases, parse);
}

TEST(Npy, RefusesToWriteAShapeThatDoesNotFit) {
  const test::TempFolder folder;
  const int64_t shape[] = {3};
  const std::vector<float> values = {1, 2};
  EXPECT_THROW(write_npy(folder / "a.npy", shape, std::span<const float>(values)), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.npy"));
}

}  // namespace
}  // namespace moellava
