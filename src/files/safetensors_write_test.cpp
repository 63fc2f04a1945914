#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "base/json.hpp"
#include "files/safetensors.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

const std::string kBytes = "0123456789abcdef";

TensorView view(const std::string& name, DType dtype, std::vector<int64_t> shape, size_t offset,
                size_t size) {
  return {.name = name,
          .dtype = dtype,
          .shape = std::move(shape),
          .data = test::bytes_of(kBytes).subspan(offset, size)};
}

void expect_equal(const TensorFile& file, const std::vector<TensorView>& tensors) {
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    SCOPED_TRACE(tensors[i].name);
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors[i].shape, tensors[i].shape);
    EXPECT_EQ(
        std::string(reinterpret_cast<const char*>(file.tensors[i].data.data()), file.tensors[i].data.size()),
        std::string(reinterpret_cast<const char*>(tensors[i].data.data()), tensors[i].data.size()));
  }
}

TEST(WriteSafetensors, RoundTrip) {
  const test::TempFolder folder;
  const std::vector<TensorView> tensors = {
      view("z \"quoted\" \n \xc3\xa4", DType::F32, {2, 1}, 0, 8), view("a", DType::U8, {3}, 3, 3),
      view("empty", DType::F16, {0, 4}, 0, 0), view("scalar", DType::I64, {}, 8, 8)};
  write_safetensors(folder / "t.safetensors", tensors, {{"format", "pt"}, {"k", "v"}});
  const TensorFile file = open_safetensors(folder / "t.safetensors");
  expect_equal(file, tensors);
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"k", "v"}}));
  const std::string bytes = read_file(folder / "t.safetensors", 4096);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(bytes.size(), 8 + length + 8 + 3 + 8);
}

TEST(WriteSafetensors, RefusesWhatTheFormatCannotHold) {
  const test::TempFolder folder;
  const auto write = [&](std::vector<TensorView> tensors) { write_safetensors(folder / "t", tensors); };
  EXPECT_THROW(write({view("a", DType::U8, {1}, 0, 1), view("a", DType::U8, {1}, 1, 1)}), Error);
  EXPECT_THROW(write({view("__metadata__", DType::U8, {1}, 0, 1)}), Error);
  EXPECT_THROW(write({view("a", DType::U8, {2}, 0, 1)}), Error);
  EXPECT_THROW(write({view("a", DType::U8, {-1}, 0, 1)}), Error);
  EXPECT_THROW(write({view("\xff", DType::U8, {1}, 0, 1)}), Error);
  EXPECT_THROW(write({{.name = "q", .dtype = DType::Q8_0, .shape = {0}, .data = {}}}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "t"));
}

TEST(WriteSafetensorsFolder, ShardsAndIndex) {
  const test::TempFolder folder;
  const std::vector<TensorView> tensors = {view("a", DType::U8, {4}, 0, 4), view("b", DType::U8, {4}, 4, 4),
                                           view("c", DType::U8, {16}, 0, 16),
                                           view("d", DType::U8, {1}, 0, 1)};
  write_safetensors_folder(folder.path(), tensors, 8);
  expect_equal(open_safetensors(folder / "model-00001-of-00003.safetensors"), {tensors[0], tensors[1]});
  expect_equal(open_safetensors(folder / "model-00002-of-00003.safetensors"), {tensors[2]});
  expect_equal(open_safetensors(folder / "model-00003-of-00003.safetensors"), {tensors[3]});
  const Json index = read_json(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 25);
  EXPECT_EQ(index["weight_map"]["c"], "model-00002-of-00003.safetensors");
  expect_equal(open_checkpoint_folder(folder.path()), tensors);
}

// What was written last is what a reader finds, whichever layout stood there before.
TEST(WriteSafetensorsFolder, ReplacesTheOtherLayout) {
  const test::TempFolder folder;
  const std::vector<TensorView> two = {view("a", DType::U8, {4}, 0, 4), view("b", DType::U8, {4}, 4, 4)};
  const std::vector<TensorView> one = {view("c", DType::U8, {4}, 8, 4)};
  write_safetensors_folder(folder.path(), one, 4);
  expect_equal(open_checkpoint_folder(folder.path()), one);
  write_safetensors_folder(folder.path(), two, 4);
  expect_equal(open_checkpoint_folder(folder.path()), two);
  write_safetensors_folder(folder.path(), one, 4);
  expect_equal(open_checkpoint_folder(folder.path()), one);
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  EXPECT_EQ(open_checkpoint_folder(folder.path()).metadata.at("format"), "pt");
}

}  // namespace
}  // namespace moellava
