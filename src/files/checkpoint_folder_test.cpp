#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/tensor_file.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;

// A file of one-byte tensors of these names.
std::string shard(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i ? ",\"" : "\"") + names[i] + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
              std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  }
  return test::safetensors(header + "}", std::string(names.size(), '1'));
}

TEST(OpenCheckpointFolder, PrefersSafetensorsAndTheSingleFile) {
  const test::TempFolder folder;
  const auto only_name = [&] { return open_checkpoint_folder(folder.path()).tensors.at(0).name; };
  write_file_atomic(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"d":"s"}})");
  write_file_atomic(folder / "s", shard({"d"}));
  EXPECT_EQ(only_name(), "d");
  write_file_atomic(folder / "pytorch_model.bin", shard({"c"}));
  EXPECT_EQ(only_name(), "c");
  write_file_atomic(folder / "s2", shard({"b"}));
  write_file_atomic(folder / "model.safetensors.index.json", R"({"weight_map":{"b":"s2"}})");
  EXPECT_EQ(only_name(), "b");
  write_file_atomic(folder / "model.safetensors", shard({"a"}));
  EXPECT_EQ(only_name(), "a");
}

TEST(OpenCheckpointFolder, JoinsShards) {
  const test::TempFolder folder;
  write_file_atomic(folder / "one", shard({"a", "b"}));
  write_file_atomic(folder / "two", shard({"c"}));
  write_file_atomic(folder / "model.safetensors.index.json",
                    R"({"metadata":{"total_size":3},"weight_map":{"a":"one","b":"one","c":"two"}})");
  const TensorFile file = open_checkpoint_folder(folder.path());
  ASSERT_EQ(file.tensors.size(), 3u);
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_NE(file.find(name), nullptr);
    EXPECT_EQ(file.find(name)->data[0], std::byte{'1'});
  }
}

TEST(OpenCheckpointFolder, RefusesBadIndexes) {
  const test::TempFolder folder;
  write_file_atomic(folder / "one", shard({"a", "b"}));
  write_file_atomic(folder / "two", shard({"c"}));
  write_file_atomic(folder / "again", shard({"b"}));
  write_file_atomic(folder / "broken", "version https://git-lfs.github.com/spec/v1\n");
  const std::vector<BadCase> cases = {
      {"no weight_map", "{}", "weight_map: missing field"},
      {"empty weight_map", R"({"weight_map":{}})", "names no tensor"},
      {"weight_map of numbers", R"({"weight_map":{"a":1}})", "tensor \"a\": shard is not a string"},
      {"missing shard", R"({"weight_map":{"a":"one","b":"one","c":"three"}})",
       "shard is missing: found no file \"three\""},
      {"tensor in the wrong shard", R"({"weight_map":{"a":"one","b":"two","c":"two"}})",
       "tensor \"b\": in the wrong shard: found \"one\", expected \"two\""},
      {"tensor not in its shard", R"({"weight_map":{"a":"one","b":"one","c":"two","d":"two"}})",
       "tensor \"d\": not in its shard: found \"two\""},
      {"tensor not listed", R"({"weight_map":{"a":"one","c":"two"}})",
       "tensor \"b\": not listed in the index"},
      {"tensor in two shards", R"({"weight_map":{"a":"one","b":"again"}})", "tensor \"b\": in"},
      {"tensor named twice", R"({"weight_map":{"a":"one","a":"two"}})", "duplicate key"},
      {"path upwards", R"({"weight_map":{"a":"../../etc/passwd"}})", "not a plain file name"},
      {"absolute path", R"({"weight_map":{"a":"/etc/passwd"}})", "not a plain file name"},
      {"shard is the folder", R"({"weight_map":{"a":"."}})", "not a plain file name"},
      {"shard is an LFS pointer", R"({"weight_map":{"a":"broken"}})", "broken: Git LFS pointer"},
      {"total_size wrong", R"({"metadata":{"total_size":4},"weight_map":{"a":"one","b":"one","c":"two"}})",
       "total_size: differs from the shards: found 4 bytes, expected 3"},
      {"total_size negative", R"({"metadata":{"total_size":-1},"weight_map":{"c":"two"}})", "total_size"},
      {"not JSON", "{", "not valid JSON"},
  };
  test::expect_refused(cases, [&](const std::string& bytes) {
    write_file_atomic(folder / "model.safetensors.index.json", bytes);
    open_checkpoint_folder(folder.path());
  });
}

TEST(OpenCheckpointFolder, SaysWhatItLookedFor) {
  const test::TempFolder folder;
  write_file_atomic(folder / "model-00002-of-00002.safetensors", shard({"a"}));
  test::expect_refused({{"only a shard", "", "no weights in this folder: expected model.safetensors, "}},
                       [&](const std::string&) { open_checkpoint_folder(folder.path()); });
  test::expect_refused({{"missing folder", "", "no such folder"}},
                       [&](const std::string&) { open_checkpoint_folder(folder / "none"); });
  test::expect_refused({{"a file", "", "not a folder"}}, [&](const std::string&) {
    open_checkpoint_folder(folder / "model-00002-of-00002.safetensors");
  });
}

// Tied tensors share their bytes; writers count them once or twice.
TEST(OpenCheckpointFolder, TotalSizeMayCountSharedBytesOnce) {
  const test::TempFolder folder;
  const std::string storage = test::storage("ByteStorage", "0", 2);
  write_file_atomic(folder / "s",
                    test::torch_zip(test::dict_pickle(test::text("a") + test::tensor(storage, 0, {2}, {1}) +
                                                      test::text("b") + test::tensor(storage, 0, {2}, {1})),
                                    {{"0", "xy"}}));
  for (const char* total : {"2", "4", "1"}) {
    write_file_atomic(
        folder / "pytorch_model.bin.index.json",
        std::string(R"({"metadata":{"total_size":)") + total + R"(},"weight_map":{"a":"s","b":"s"}})");
    if (std::string(total) == "1") {
      EXPECT_THROW(open_checkpoint_folder(folder.path()), Error);
    } else {
      EXPECT_EQ(open_checkpoint_folder(folder.path()).tensors.size(), 2u);
    }
  }
}

}  // namespace
}  // namespace moellava
