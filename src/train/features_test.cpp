#include "train/features.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::string kImages = std::string(MOELLAVA_SOURCE_DIR) + "/tests/golden/image";

// Two good pictures and one that is none.
class FeaturesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("features_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "images");
    size_t copied = 0;
    for (const auto& file : fs::directory_iterator(kImages)) {
      if (copied < 3 && file.path().extension() == ".png")
        fs::copy_file(file.path(), folder_ / "images" / (std::to_string(copied++) + ".png"));
    }
    ASSERT_EQ(copied, 3u);
    std::ofstream(folder_ / "images" / "bad.png") << "pixels";
    std::ofstream data(folder_ / "data.jsonl");
    for (const char* name : {"0", "1", "2", "bad"}) {
      data << R"({"id": ")" << name << R"(", "image": ")" << name
           << R"(.png", "conversations": [{"from": "human", "value": "<image>"}, )"
           << R"({"from": "gpt", "value": "A"}]})"
           << "\n";
    }
    data.close();
    model_ = testing::tiny_model(/*sparse=*/false);
    dataset_ = std::make_unique<IndexedDataset>(
        std::vector<fs::path>{folder_ / "data.jsonl"},
        DatasetOptions{
            .text = {.tokenizer = &tokenizer_, .style = &conversation_style("phi"), .vocab_size = 260},
            .image_folder = folder_ / "images",
            .index_folder = {}},
        [](const DataProblem& problem) { FAIL() << problem.message; });
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<TowerFeatures> features(const fs::path& cache, bool check_pictures = false) {
    return std::make_unique<TowerFeatures>(
        *model_, *dataset_, model_->config().preprocess,
        FeatureOptions{.cache_folder = cache, .check_pictures = check_pictures});
  }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> found;
    if (!fs::exists(folder_ / "cache")) return found;
    for (const auto& file : fs::recursive_directory_iterator(folder_ / "cache"))
      if (file.is_regular_file()) found.push_back(file.path());
    return found;
  }

  testing::ByteTokenizer tokenizer_;
  fs::path folder_;
  std::unique_ptr<MoeLlava> model_;
  std::unique_ptr<IndexedDataset> dataset_;
};

TEST_F(FeaturesTest, EveryWayGivesTheSameBits) {
  const std::vector<size_t> pictures = {2, 0, 1, 0};
  const at::Tensor expected = features("")->gather(pictures);
  EXPECT_EQ(expected.sizes(), (std::vector<int64_t>{4, 4, 8}));
  EXPECT_TRUE(expected[1].equal(expected[3]));
  EXPECT_FALSE(expected[0].equal(expected[1]));

  const auto alone = features("");
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_TRUE(alone->gather({pictures[static_cast<size_t>(i)]})[0].equal(expected[i]));
  const auto decoded_ahead = features("");
  decoded_ahead->expect(pictures);
  EXPECT_TRUE(decoded_ahead->gather(pictures).equal(expected));

  const int before = at::get_num_threads();
  for (int threads : {1, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(features("")->gather(pictures).equal(expected));
  }
  at::set_num_threads(before);

  EXPECT_EQ(features(folder_ / "cache")->prepare({true, false, true, false}),
            (std::vector<bool>{false, false, false, false}));
  EXPECT_EQ(entries().size(), 2u);
  const auto cached = features(folder_ / "cache");
  cached->expect(pictures);  // one of them is not there
  EXPECT_TRUE(cached->gather(pictures).equal(expected));
  EXPECT_EQ(entries().size(), 3u);
  EXPECT_TRUE(features(folder_ / "cache")->gather(pictures).equal(expected));
}

TEST_F(FeaturesTest, NothingIsComputedTwice) {
  features(folder_ / "cache")->prepare({true, true, true, false});
  const std::vector<fs::path> kept = entries();
  ASSERT_EQ(kept.size(), 3u);
  // A cache that nobody may write to is enough for the next run.
  std::vector<fs::file_time_type> times;
  for (const fs::path& entry : kept) times.push_back(fs::last_write_time(entry));
  const auto second = features(folder_ / "cache");
  second->prepare({true, true, true, false});
  second->gather({0, 1, 2});
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(fs::last_write_time(kept[i]), times[i]);
}

TEST_F(FeaturesTest, ADamagedEntryIsComputedAgain) {
  const at::Tensor expected = features("")->gather({0});
  features(folder_ / "cache")->prepare({true, false, false, false});
  ASSERT_EQ(entries().size(), 1u);
  const fs::path entry = entries()[0];
  const auto size = fs::file_size(entry);
  for (const uint64_t at : {uint64_t{0}, uint64_t{20}, size / 2, size - 1}) {
    std::fstream file(entry, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('\x55');
    file.close();
    EXPECT_TRUE(features(folder_ / "cache")->gather({0}).equal(expected)) << at;
    EXPECT_TRUE(features(folder_ / "cache")->gather({0}).equal(expected)) << at;
  }
  fs::resize_file(entry, size / 2);
  EXPECT_TRUE(features(folder_ / "cache")->gather({0}).equal(expected));
  EXPECT_EQ(fs::file_size(entry), size);
}

TEST_F(FeaturesTest, AnotherTowerOrAnotherPictureHasEntriesOfItsOwn) {
  features(folder_ / "cache")->prepare({true, false, false, false});
  fs::copy_file(folder_ / "images" / "1.png", folder_ / "images" / "0.png",
                fs::copy_options::overwrite_existing);
  const auto changed = features(folder_ / "cache");
  EXPECT_TRUE(changed->gather({0}).equal(changed->gather({1})));
  const size_t before = entries().size();
  const at::Tensor first_tower = changed->gather({1});
  model_ = testing::tiny_model(/*sparse=*/false, 0.3, /*seed=*/2);
  EXPECT_FALSE(features(folder_ / "cache")->gather({1}).equal(first_tower));
  EXPECT_EQ(entries().size(), before + 1);
}

TEST_F(FeaturesTest, PicturesThatCannotBeDecodedAreFound) {
  const std::vector<bool> all(4, true);
  const std::vector<bool> expected = {false, false, false, true};
  EXPECT_EQ(features(folder_ / "cache")->prepare(all), expected);
  EXPECT_EQ(features("", /*check_pictures=*/true)->prepare(all), expected);
  for (const auto& way : {features(""), features(folder_ / "cache")}) {
    way->expect({3});
    try {
      way->gather({0, 3});
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      EXPECT_THAT(error.what(), HasSubstr("data.jsonl: line 4, record 3, id \"bad\""));
      EXPECT_THAT(error.what(), HasSubstr("bad.png"));
    }
  }
}

TEST_F(FeaturesTest, ACacheThatCannotBeWrittenIsDoneWithout) {
  std::ofstream(folder_ / "cache") << "no folder";
  const auto way = features(folder_ / "cache");
  way->prepare({true, true, false, false});
  EXPECT_TRUE(way->gather({0, 1}).equal(features("")->gather({0, 1})));
}

}  // namespace
}  // namespace moellava
