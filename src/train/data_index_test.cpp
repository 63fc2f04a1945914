#include "train/data_index.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "tests/train_tiny_model.hpp"
#include "train/index_cache.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class DataIndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("index_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // More than one block of records; some of them bad, some with pictures.
  std::vector<DataFile> write_files() const {
    std::vector<DataFile> files;
    for (const char* name : {"a.json", "b.jsonl"}) {
      const bool list = std::string(name) == "a.json";
      std::ofstream file(folder_ / name);
      if (list) file << "[\n";
      for (int i = 0; i < 5000; ++i) {
        const std::string picture =
            i % 3 == 0 ? R"("image": "p)" + std::to_string(i % 70) + R"(.png", )" : "";
        file << R"({"id": ")" << name << i << R"(", )" << picture << R"("conversations": [{"from": "human", )"
             << R"("value": ")" << (i % 3 == 0 ? "<image>" : "Q") << R"("}, {"from": ")"
             << (i % 1000 == 999 ? "bing" : "gpt") << R"(", "value": ")" << std::string(i % 40, 'x')
             << "\"}]}" << (list && i < 4999 ? ",\n" : "\n");
      }
      if (list) file << "]\n";
      file.close();
      files.emplace_back(folder_ / name);
    }
    return files;
  }
  DataIndex build(std::span<const DataFile> files, std::vector<std::string>* problems = nullptr) const {
    return build_index(files, options_, [&](const DataProblem& problem) {
      if (problems != nullptr) problems->push_back(problem.message);
    });
  }
  fs::path kept() const { return fs::directory_iterator(folder_ / "cache")->path(); }

  testing::ByteTokenizer tokenizer_;
  TokeniserOptions options_{
      .tokenizer = &tokenizer_, .style = &conversation_style("phi"), .max_length = 2048, .vocab_size = 260};
  fs::path folder_;
};

bool same(const DataIndex& a, const DataIndex& b) {
  const bool entries = std::equal(
      a.samples.begin(), a.samples.end(), b.samples.begin(), b.samples.end(),
      [](const SampleEntry& x, const SampleEntry& y) { return std::memcmp(&x, &y, sizeof x) == 0; });
  return entries && a.shown == b.shown && a.pictures.text == b.pictures.text &&
         a.pictures.ends == b.pictures.ends && a.truncated == b.truncated &&
         a.duplicate_ids == b.duplicate_ids;
}

TEST_F(DataIndexTest, ItDoesNotDependOnTheNumberOfThreads) {
  const std::vector<DataFile> files = write_files();
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  std::vector<std::string> told_by_one;
  const DataIndex one = build(files, &told_by_one);
  at::set_num_threads(4);
  std::vector<std::string> told_by_four;
  const DataIndex four = build(files, &told_by_four);
  at::set_num_threads(before);
  EXPECT_TRUE(same(one, four));
  EXPECT_EQ(told_by_one, told_by_four);
  EXPECT_EQ(one.samples.size(), 9990u);
  EXPECT_EQ(told_by_one.size(), 10u);
  EXPECT_EQ(one.pictures.size(), 70u);
  EXPECT_EQ(one.pictures[1], "p3.png");
}

TEST_F(DataIndexTest, AnEntryLeadsBackToItsRecord) {
  const std::vector<DataFile> files = write_files();
  const DataIndex index = build(files);
  for (const size_t i : {0u, 4994u, 4995u, 9989u}) {
    const SampleEntry& entry = index.samples[i];
    const std::string_view text = files[entry.file].text().substr(entry.offset, entry.bytes);
    EXPECT_EQ(text.front(), '{');
    EXPECT_EQ(text.back(), '}');
    EXPECT_NE(text.find(std::to_string(entry.record) + "\""), std::string::npos) << text;
    EXPECT_EQ(entry.line, entry.record + (entry.file == 0 ? 2 : 1));
  }
}

TEST_F(DataIndexTest, TheCacheGivesItBackAndADamagedOneIsNotUsed) {
  const std::vector<DataFile> files = write_files();
  const DataIndex index = build(files);
  const IndexCache cache(folder_ / "cache");
  EXPECT_FALSE(cache.read(7, files));
  cache.write(7, index);
  const std::optional<DataIndex> again = cache.read(7, files);
  ASSERT_TRUE(again);
  EXPECT_TRUE(same(*again, index));
  EXPECT_FALSE(cache.read(8, files));

  const auto size = fs::file_size(kept());
  for (const uint64_t at : {uint64_t{0}, uint64_t{30}, size / 2, size - 1}) {
    std::fstream file(kept(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    EXPECT_FALSE(cache.read(7, files)) << at;
    cache.write(7, index);
  }
  fs::resize_file(kept(), size - 1);
  EXPECT_FALSE(cache.read(7, files));
  fs::resize_file(kept(), 10);
  EXPECT_FALSE(cache.read(7, files));
}

TEST_F(DataIndexTest, TheKeyFollowsContentTokenizerAndLimits) {
  const std::vector<DataFile> files = write_files();
  const uint64_t key = index_key(files, 1, options_);
  EXPECT_EQ(index_key(files, 1, options_), key);
  EXPECT_NE(index_key(files, 2, options_), key);
  TokeniserOptions other = options_;
  other.max_length = 100;
  EXPECT_NE(index_key(files, 1, other), key);
  other = options_;
  other.style = &conversation_style("v1");
  EXPECT_NE(index_key(files, 1, other), key);
  testing::ByteTokenizer with_bos;
  with_bos.adds_bos = true;
  other = options_;
  other.tokenizer = &with_bos;
  EXPECT_NE(index_key(files, 1, other), key);
}

}  // namespace
}  // namespace moellava
