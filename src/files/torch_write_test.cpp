#include "files/torch_write.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/testing.hpp"
#include "files/torch_file.hpp"

namespace moellava {
namespace {

using test::bytes_of;
using test::le;
using test::TempFolder;

std::string bytes_of_floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TEST(TorchWrite, OurReaderFindsEveryTensorAgain) {
  const TempFolder folder;
  const std::string floats = bytes_of_floats({1, 2, 3, 4, 5, 6});
  const std::string halves = le<uint16_t>(0x3c00) + le<uint16_t>(0x4000);
  const std::string number = le<int64_t>(7);
  const std::vector<TensorView> tensors = {
      {"model.mm_projector.0.weight", DType::F32, {2, 3}, bytes_of(floats)},
      {"half", DType::BF16, {2}, bytes_of(halves)},
      {"scalar", DType::I64, {}, bytes_of(number)},
      {"empty", DType::F32, {0, 4}, {}},
      {"Gr\xc3\xb6\xc3\x9f"
       "e",
       DType::F16,
       {1, 2, 1},
       bytes_of(halves)}};
  write_torch_file(folder / "mm_projector.bin", tensors);
  const TensorFile file = open_torch_file(folder / "mm_projector.bin");
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    SCOPED_TRACE(tensors[i].name);
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::equal(file.tensors[i].data.begin(), file.tensors[i].data.end(), tensors[i].data.begin(),
                           tensors[i].data.end()));
    // torch.load(mmap=True) hands out the mapped bytes as they lie.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensors[i].data.data()) % 64, 0U);
  }
}

// The pickle that torch 2.x's own pickler would have to undo, opcode by opcode.
TEST(TorchWrite, PickleIsTheDocumentedOne) {
  const TempFolder folder;
  const std::string floats = bytes_of_floats({1, 2});
  write_torch_file(folder / "t.bin", std::vector<TensorView>{{"w", DType::F32, {1, 2}, bytes_of(floats)}});
  const std::string file = read_file(folder / "t.bin", 1 << 20);
  const std::string expected = test::raw(
      "\x80\x02}(X\1\0\0\0w"
      "ctorch._utils\n_rebuild_tensor_v2\n"
      "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
      "0X\3\0\0\0cpuJ\2\0\0\0tQ"
      "J\0\0\0\0(J\1\0\0\0J\2\0\0\0t(J\2\0\0\0J\1\0\0\0t\x89"
      "ccollections\nOrderedDict\n)RtRu.");
  EXPECT_THAT(file, testing::HasSubstr(expected));
  for (const char* entry : {"t/data.pkl", "t/byteorder", "t/data/0", "t/version"})
    EXPECT_THAT(file, testing::HasSubstr(entry));
}

TEST(TorchWrite, SameTensorsSameBytes) {
  const TempFolder folder;
  const std::string floats = bytes_of_floats({1, 2});
  const std::vector<TensorView> tensors = {{"w", DType::F32, {2}, bytes_of(floats)}};
  write_torch_file(folder / "a.bin", tensors);
  const std::string first = read_file(folder / "a.bin", 1 << 20);
  write_torch_file(folder / "a.bin", tensors);
  EXPECT_EQ(read_file(folder / "a.bin", 1 << 20), first);
}

TEST(TorchWrite, RefusesWhatTorchHasNotAndWhatDoesNotFit) {
  const TempFolder folder;
  const auto kind_of = [&](const TensorView& tensor) {
    try {
      write_torch_file(folder / "bad.bin", std::vector<TensorView>{tensor});
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::Usage;
  };
  const std::string block(18, '\0');
  EXPECT_EQ(kind_of({"q", DType::Q4_0, {32}, bytes_of(block)}), ErrorKind::Internal);
  // More than any view could hold is refused before a byte of it is read.
  const std::string one = "x";
  const std::span<const std::byte> huge(reinterpret_cast<const std::byte*>(one.data()), size_t{1} << 33);
  EXPECT_EQ(kind_of({"w", DType::U8, {int64_t{1} << 33}, huge}), ErrorKind::Limit);
  EXPECT_FALSE(std::filesystem::exists(folder / "bad.bin"));
}

}  // namespace
}  // namespace moellava
