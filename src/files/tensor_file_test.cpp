#include "files/tensor_file.hpp"

#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::raw;

TEST(DTypeBytes, WholeBlocksOnly) {
  EXPECT_EQ(dtype_bytes(DType::F64, 3), 24u);
  EXPECT_EQ(dtype_bytes(DType::BF16, 3), 6u);
  EXPECT_EQ(dtype_bytes(DType::Bool, 0), 0u);
  EXPECT_EQ(dtype_bytes(DType::Q8_0, 64), 68u);
  EXPECT_EQ(dtype_bytes(DType::Q4_0, 64), 36u);
  EXPECT_EQ(dtype_bytes(DType::Q4_1, 64), 40u);
  EXPECT_EQ(dtype_bytes(DType::Q6_K, 512), 420u);
  EXPECT_EQ(dtype_bytes(DType::Q8_0, 33), std::nullopt);
  EXPECT_EQ(dtype_bytes(DType::Q6_K, 32), std::nullopt);
  EXPECT_EQ(dtype_bytes(DType::F32, UINT64_MAX / 2), std::nullopt);
}

TEST(DTypeName, SpellingOfTheFormats) {
  EXPECT_STREQ(dtype_name(DType::BF16), "BF16");
  EXPECT_STREQ(dtype_name(DType::Bool), "BOOL");
  EXPECT_STREQ(dtype_name(DType::Q4_1), "Q4_1");
  EXPECT_STREQ(dtype_name(DType::Q6_K), "Q6_K");
}

// The published pair of one tower, saved both ways.
TEST(OpenTensorFile, SafetensorsAndTorchZipAgree) {
  const std::string folder = std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden/clip_tiny/";
  const TensorFile a = open_tensor_file(folder + "model.safetensors");
  const TensorFile b = open_tensor_file(folder + "pytorch_model.bin");
  ASSERT_GT(a.tensors.size(), 50u);
  EXPECT_EQ(a.tensors.size(), b.tensors.size());
  for (const TensorView& tensor : a.tensors) {
    SCOPED_TRACE(tensor.name);
    const TensorView* other = b.find(tensor.name);
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(other->dtype, tensor.dtype);
    EXPECT_EQ(other->shape, tensor.shape);
    EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), other->data.begin(), other->data.end()));
  }
  EXPECT_EQ(a.find("no.such.tensor"), nullptr);
}

TEST(OpenTensorFile, ViewsOutliveTheFileObject) {
  const test::TempFolder folder;
  write_file_atomic(folder / "a.safetensors",
                    test::safetensors(R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab"));
  TensorView view;
  std::shared_ptr<const void> storage;
  {
    const TensorFile file = open_tensor_file(folder / "a.safetensors");
    view = file.tensors.at(0);
    storage = file.storage;
  }
  EXPECT_EQ(view.data[1], std::byte{'b'});
}

TEST(OpenTensorFile, NamesWhatElseTheFileIs) {
  const test::TempFolder folder;
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  const std::vector<BadCase> cases = {
      {"empty", "", "unknown format of 0 bytes"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
       "Git LFS pointer, not the model: found 63 bytes"},
      {"HTML", "  <!DOCTYPE html><html></html>", "HTML page, not the model"},
      {"GGUF", "GGUF\3", "a GGUF file"},
      {"tar", tar, "a tar archive"},
      {"gzip", raw("\x1f\x8b\x08"), "gzip"},
      {"HDF5", raw("\x89HDF\r\n\x1a\n"), "HDF5"},
      {"plain pickle", raw("\x80\x04N."), "unknown format"},
  };
  test::expect_refused(cases, [&](const std::string& bytes) {
    write_file_atomic(folder / "file", bytes);
    open_tensor_file(folder / "file");
  });
  EXPECT_THROW(open_tensor_file(folder / "missing"), Error);
  EXPECT_THROW(open_tensor_file(folder.path()), Error);
}

}  // namespace
}  // namespace moellava
