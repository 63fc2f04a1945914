#include "train/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("dataset_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "images" / "sub" / "folder");
    for (const char* name : {"a.png", "sub/b.png", "c.png"})
      std::ofstream(folder_ / "images" / name) << "pixels";
    std::ofstream(folder_ / "outside.png") << "pixels";
    fs::create_symlink("../outside.png", folder_ / "images" / "link.png");
    fs::create_symlink("a.png", folder_ / "images" / "inside.png");
    ::mkfifo((folder_ / "images" / "pipe.png").c_str(), 0600);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Bad samples stop it, as they stop a run that allows none.
  IndexedDataset load(const std::string& json, const std::string& style = "phi", int64_t max_length = 2048) {
    BadSamples bad(0);
    return load(
        json, [&](const DataProblem& problem) { bad.add(problem); }, style, max_length);
  }
  IndexedDataset load(const std::string& json, const ProblemSink& problems, const std::string& style = "phi",
                      int64_t max_length = 2048) {
    const fs::path path = folder_ / "data.json";
    std::ofstream(path) << json;
    return {{path},
            {.text = {.tokenizer = &tokenizer_,
                      .style = &conversation_style(style),
                      .max_length = max_length,
                      .vocab_size = 260},
             .image_folder = folder_ / "images",
             .index_folder = {}},
            problems};
  }
  std::string failure(const std::string& json) {
    try {
      load(json);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData) << json;
      return error.what();
    }
    return "no error";
  }

  // What is trained, as text.
  std::string trained(const Sample& sample) const {
    std::vector<int32_t> ids;
    for (int32_t label : sample.tokens.labels)
      if (label != kIgnoreLabel) ids.push_back(label);
    return tokenizer_.decode(ids, /*skip_special=*/false);
  }

  testing::ByteTokenizer tokenizer_;
  fs::path folder_;
};

std::string sample(const std::string& fields) {
  return "[{\"id\": \"x\", " + fields + "}]";
}
std::string turns(const std::string& human, const std::string& gpt) {
  return R"("conversations": [{"from": "human", "value": ")" + human + R"("}, {"from": "gpt", "value": ")" +
         gpt + R"("}])";
}

TEST_F(DatasetTest, AnswersAndTheirEndsAreTrainedAndNothingElse) {
  const IndexedDataset dataset = load(
      R"([{"id": 7, "image": "a.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."},
            {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]}])");
  ASSERT_EQ(dataset.size(), 1u);
  const Sample first = dataset.sample(0);
  EXPECT_EQ(first.id, "7");
  // Bytes do not merge, so the space before an answer may belong to either side.
  std::string text = trained(first);
  std::erase(text, ' ');
  EXPECT_EQ(text, "Acat.<|endoftext|>Yes.<|endoftext|>");
  EXPECT_EQ(std::count(first.tokens.ids.begin(), first.tokens.ids.end(), kImageTokenId), 1);
  EXPECT_EQ(first.tokens.ids.size(), first.tokens.labels.size());
  EXPECT_EQ(sample_length(first, 49), static_cast<int64_t>(first.tokens.ids.size()) + 48);
  EXPECT_EQ(dataset.length(0, 49), sample_length(first, 49));
}

TEST_F(DatasetTest, Stage1KeepsThePictureAndTheCaption) {
  const IndexedDataset dataset =
      load(sample(R"("image": "a.png", )" + turns("Describe this.\\n<image>", "A cat")), "plain");
  std::vector<int32_t> expected = {kImageTokenId};
  for (char c : std::string("A cat\n")) expected.push_back(c);
  EXPECT_EQ(dataset.sample(0).tokens.ids, expected);
  expected[0] = kIgnoreLabel;
  EXPECT_EQ(dataset.sample(0).tokens.labels, expected);
}

TEST_F(DatasetTest, PicturesAreSharedAndKeepTheirOrder) {
  const IndexedDataset dataset = load(
      R"([{"id": "1", "image": ["sub/b.png", "a.png"], "conversations": [
            {"from": "human", "value": "<image><image> Which?"}, {"from": "gpt", "value": "b"}]},
          {"id": "2", "conversations": [
            {"from": "human", "value": "Hello"}, {"from": "gpt", "value": "c"}]},
          {"id": "2", "image": "a.png", "conversations": [
            {"from": "human", "value": "<image>"}, {"from": "gpt", "value": "d"}]}])");
  ASSERT_EQ(dataset.picture_count(), 2u);
  EXPECT_EQ(dataset.picture(0, "here").path.filename(), "b.png");
  EXPECT_THAT(dataset.picture_where(1), HasSubstr("record 0, id \"1\""));
  EXPECT_EQ(dataset.pictures(0), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(dataset.pictures(1), std::vector<size_t>{});
  EXPECT_EQ(dataset.pictures(2), std::vector<size_t>{1});
  EXPECT_EQ(dataset.duplicate_ids(), 1u);
}

TEST_F(DatasetTest, ALinkInsideTheFolderIsFollowed) {
  EXPECT_EQ(load(sample(R"("image": "inside.png", )" + turns("<image>", "a"))).picture_count(), 1u);
}

TEST_F(DatasetTest, WhatTheAssistantSaysFirstIsLeftOut) {
  const IndexedDataset dataset = load(sample(
      R"("conversations": [{"from": "gpt", "value": "Hi!"}, {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}])"));
  const std::string text = tokenizer_.decode(dataset.sample(0).tokens.ids);
  EXPECT_EQ(text.find("Hi!"), std::string::npos);
}

TEST_F(DatasetTest, LongSamplesAreCutAndCounted) {
  const std::string data = sample(R"("image": "a.png", )" + turns("<image>", std::string(500, 'a')));
  const IndexedDataset dataset = load(data, "plain", 100);
  EXPECT_EQ(dataset.truncated(), 1u);
  EXPECT_EQ(dataset.sample(0).tokens.ids.size(), 100u);
  EXPECT_EQ(dataset.sample(0).tokens.labels.size(), 100u);
  EXPECT_EQ(dataset.pictures(0).size(), 1u);
  // A picture behind the cut goes, and with nothing left to train the sample is refused.
  EXPECT_THROW(load(data, "phi", 20), Error);
}

TEST_F(DatasetTest, TheHashFollowsDataAndPictures) {
  const std::string data = sample(R"("image": "a.png", )" + turns("<image>", "a"));
  const std::string hash = load(data).hash();
  EXPECT_EQ(load(data).hash(), hash);
  EXPECT_NE(load(data + " ").hash(), hash);
  std::ofstream(folder_ / "images" / "a.png") << "other pixels";
  EXPECT_NE(load(data).hash(), hash);
}

TEST_F(DatasetTest, BadDataNamesTheRecordAndTheFault) {
  const std::string ok = turns("Q", "A");
  const std::string one = turns("<image>", "A");
  const std::pair<std::string, std::string> rows[] = {
      {"", "data.json"},
      {"[]", "not a list of samples: found an empty list"},
      {"{}", "line 1, record 0, id \"0\": conversations: missing field"},
      {"[" + sample(ok).substr(1, sample(ok).size() - 2) + ",]",
       "data.json"},  // the documentation's own example
      {"[3]", "record 0, id \"0\": not a JSON object"},
      {sample(R"("a": 1)"), "record 0, id \"x\": conversations: missing field"},
      {sample(R"("conversations": 3)"), "not a list of turns"},
      {sample(R"("conversations": [])"), "no token to train on"},
      {sample(R"("conversations": ["hi"])"), "conversations[0]: not a JSON object"},
      {sample(R"("conversations": [{"from": "human", "value": "Q"}])"), "no token to train on"},
      {sample(R"("conversations": [{"from": "bing", "value": "Q"}])"), "unknown speaker: found \"bing\""},
      {sample(R"("conversations": [{"value": "Q"}])"), "from: missing field"},
      {sample(R"("conversations": [{"from": "human", "value": null}])"), "value: missing field"},
      {sample(R"("conversations": [{"from": "human", "value": 5}])"), "conversations[0]: value"},
      {sample(R"("conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}])"),
       "the same speaker twice in a row"},
      {sample(one), "found 1 <image> but 0 images"},
      {sample(R"("image": "a.png", )" + ok), "found 0 <image> but 1 image"},
      {sample(R"("image": "a.png", )" + turns("<image><image>", "A")), "found 2 <image> but 1 image"},
      {sample(R"("image": "a.png", )" + turns("Q", "<image>")), "<image> in an answer"},
      {sample(R"("image": 4, )" + one), "image: not a file name"},
      {sample(R"("image": ["a.png", 4], )" + one), "image: not a file name"},
      {sample(R"("image": "", )" + one), "not a path below the folder"},
      {sample(R"("image": "no.png", )" + one), "no such file"},
      {sample(R"("image": "sub/folder", )" + one), "not a regular file"},
      {sample(R"("image": "pipe.png", )" + one), "not a regular file"},
      {sample(R"("image": "../outside.png", )" + one), "without \"..\""},
      {sample(R"("image": "sub/../../outside.png", )" + one), "without \"..\""},
      {sample(R"("image": "/etc/passwd", )" + one), "not a path below the folder"},
      {sample(R"("image": "a.png\u0000", )" + one), "not a path below the folder"},
      {sample(R"("image": "link.png", )" + one), "a link leads out of the folder"},
      {sample(R"("video": "v.mp4", )" + ok), "video is not supported"},
  };
  for (const auto& [json, expected] : rows) {
    const std::string message = failure(json);
    EXPECT_THAT(message, HasSubstr(expected)) << json;
    EXPECT_THAT(message, HasSubstr("data.json")) << json;
    EXPECT_EQ(message.find('\n'), std::string::npos) << json;
  }
}

TEST_F(DatasetTest, IdsBeyondTheEmbeddingAreRefused) {
  const fs::path path = folder_ / "data.json";
  std::ofstream(path) << sample(turns("Q", "A"));
  std::string told;
  const IndexedDataset dataset({path},
                               {.text = {.tokenizer = &tokenizer_,
                                         .style = &conversation_style("phi"),
                                         .vocab_size = testing::ByteTokenizer::kEnd},
                                .image_folder = {},
                                .index_folder = {}},
                               [&](const DataProblem& problem) { told = problem.message; });
  EXPECT_EQ(dataset.size(), 0u);
  EXPECT_THAT(told, HasSubstr("found 256, expected below 256"));
}

TEST_F(DatasetTest, JsonLinesAreTheSameSamples) {
  const std::string first = R"({"id": "1", )" + turns("Q", "A") + "}";
  const std::string second = R"({"id": "2", "image": "a.png", )" + turns("<image>", "B") + "}";
  const std::string forms[] = {"[" + first + ",\n" + second + "]", first + "\n" + second + "\n"};
  std::vector<Sample> samples;
  for (const std::string& form : forms) {
    const IndexedDataset dataset = load(form);
    ASSERT_EQ(dataset.size(), 2u);
    for (size_t i = 0; i < 2; ++i) samples.push_back(dataset.sample(i));
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(samples[i].id, samples[i + 2].id);
    EXPECT_EQ(samples[i].tokens.ids, samples[i + 2].tokens.ids);
    EXPECT_EQ(samples[i].pictures, samples[i + 2].pictures);
  }
}

TEST_F(DatasetTest, EveryProblemIsToldOnceAndItsSampleIsLeftOut) {
  std::vector<DataProblem> problems;
  const IndexedDataset dataset = load(
      "{\"id\": \"good\", " + turns("Q", "A") + "}\n" +                                      // line 1
          "{\"id\": \"torn\n" +                                                              // 2
          "{\"id\": \"missing\", \"image\": \"no.png\", " + turns("<image>", "A") + "}\n" +  // 3
          "{\"id\": \"count\", " + turns("<image>", "A") + "}\n" +                           // 4
          "{\"id\": \"good\", " + turns("Q", std::string(300, 'a')) + "}\n",                 // 5: cut
      [&](const DataProblem& problem) { problems.push_back(problem); }, "phi", 250);
  ASSERT_EQ(dataset.size(), 2u);
  EXPECT_EQ(dataset.sample(1).id, "good");
  ASSERT_EQ(problems.size(), 5u);
  const std::pair<uint64_t, std::string> expected[] = {{2, "not valid JSON"},
                                                       {4, "wrong number of <image> markers"},
                                                       {5, "is cut: found"},
                                                       {5, "has the id of"},
                                                       {3, "no such file"}};
  for (size_t i = 0; i < problems.size(); ++i) {
    EXPECT_EQ(problems[i].line, expected[i].first);
    EXPECT_EQ(problems[i].record, expected[i].first - 1);
    EXPECT_THAT(problems[i].message, HasSubstr(expected[i].second));
    EXPECT_THAT(problems[i].message, HasSubstr("line " + std::to_string(expected[i].first) + ", record "));
    EXPECT_EQ(problems[i].warning, i == 2 || i == 3);
  }
  EXPECT_EQ(problems[4].id, "missing");
}

TEST_F(DatasetTest, PositionsAreThoseOfTheFile) {
  EXPECT_THAT(failure("[\n{\"id\": 1,\n \"id\": 2}]"), HasSubstr("at line 2 col 2 and line 3 col 2"));
  EXPECT_THAT(failure("[\n  {\"id\" 1}]"), HasSubstr("at line 2 col 9"));
}

TEST_F(DatasetTest, SomeBadSamplesMayBeLeftOutAndOneMoreStops) {
  const std::string bad = "{" + turns("<image>", "A") + "}";
  const std::string data = "[{" + turns("Q", "A") + "}, " + bad + ", " + bad + "]";
  for (const int64_t allowed : {1, 2, 3}) {
    BadSamples samples(allowed);
    auto read = [&] { return load(data, [&](const DataProblem& problem) { samples.add(problem); }).size(); };
    if (allowed < 2) {
      EXPECT_THROW(read(), Error);
      continue;
    }
    EXPECT_EQ(read(), 1u);
    EXPECT_EQ(samples.count(), 2);
  }
}

TEST_F(DatasetTest, PicturesWithoutAFolderAreRefusedUpFront) {
  const fs::path path = folder_ / "data.json";
  std::ofstream(path) << sample(R"("image": "a.png", )" + turns("<image>", "a"));
  const std::pair<fs::path, std::string> rows[] = {{"", "expected --image_folder"},
                                                   {folder_ / "nowhere", "no such folder"}};
  for (const auto& [images, expected] : rows) {
    try {
      IndexedDataset(
          {path},
          {.text = {.tokenizer = &tokenizer_, .style = &conversation_style("phi"), .vocab_size = 260},
           .image_folder = images,
           .index_folder = {}},
          [](const DataProblem& problem) { FAIL() << problem.message; });
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(expected));
    }
  }
}

TEST_F(DatasetTest, AChangedFileIsNoticedWhenItIsReadAgain) {
  const std::string data = sample(turns("Q", "A"));
  const IndexedDataset dataset = load(data);
  EXPECT_EQ(dataset.sample(0).id, "x");
  std::string other = data;
  other[other.find('Q')] = 'R';
  std::fstream(folder_ / "data.json", std::ios::in | std::ios::out) << other;  // in place
  EXPECT_THROW(dataset.sample(0), Error);
}

}  // namespace
}  // namespace moellava
