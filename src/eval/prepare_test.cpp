#include "eval/prepare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.hpp"
#include "eval/gif_testing.hpp"
#include "generate/engine.hpp"
#include "tests/train_tiny_model.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Question about(const std::string& image) {
  return {.id = 0, .image = image, .text = "?", .category = "", .answer = "", .where = "q.jsonl:9"};
}

TEST(PictureOrder, KeepsQuestionsOfOnePictureTogether) {
  const std::vector<Question> questions = {about("b"), about("a"), about(""),
                                           about("b"), about(""),  about("a")};
  EXPECT_THAT(picture_order(questions), ElementsAre(0, 3, 1, 5, 2, 4));
}

TEST(QuestionIds, PutThePictureBeforeTheText) {
  const auto model = testing::tiny_model(/*sparse=*/true);
  const testing::ByteTokenizer tokenizer;
  const auto text_only = question_ids(*model, tokenizer, "Why <image>?", /*has_image=*/false);
  const std::vector<int32_t> with_image = question_ids(*model, tokenizer, "Why <image>?", /*has_image=*/true);
  EXPECT_EQ(std::count(text_only.begin(), text_only.end(), kImageTokenId), 0);
  // The same but for the picture and the line break, which stand together before the text.
  ASSERT_EQ(with_image.size(), text_only.size() + 2);
  const auto picture = std::find(with_image.begin(), with_image.end(), kImageTokenId);
  ASSERT_NE(picture, with_image.end());
  EXPECT_EQ(picture[1], '\n');
  EXPECT_EQ(picture[2], 'W');
  std::vector<int32_t> rest = with_image;
  rest.erase(rest.begin() + (picture - with_image.begin()),
             rest.begin() + (picture - with_image.begin()) + 2);
  EXPECT_EQ(rest, text_only);
}

TEST(BlankImage, IsTheMeanColour) {
  PreprocessConfig config;
  config.size = 2;
  config.mean = {0.5F, 0.0F, 1.0F};
  EXPECT_THAT(blank_image(config).rgb, ElementsAre(128, 0, 255, 128, 0, 255, 128, 0, 255, 128, 0, 255));
}

class Pictures : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "red.gif") << testing::plain_gif('\xff', 0, 0);
    std::ofstream(folder_ / "green.gif") << testing::plain_gif(0, '\xff', 0);
    std::ofstream(folder_ / "broken.gif") << testing::plain_gif(0, 0, 0).substr(0, 20);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string refusal(QuestionPictures pictures, const std::string& image) {
    try {
      pictures.features(about(image));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  const fs::path folder_ = fs::temp_directory_path() / ("moellava_pictures_" + std::to_string(::getpid()));
  const std::unique_ptr<MoeLlava> model_ = testing::tiny_model(/*sparse=*/true);
};

TEST_F(Pictures, GoThroughTheTowerOnceInARow) {
  QuestionPictures pictures(*model_, folder_, /*blank=*/false);
  const at::Tensor red = pictures.features(about("red.gif"));
  EXPECT_TRUE(red.equal(model_->encode_images(load_pixels(*model_, folder_ / "red.gif"))));
  EXPECT_TRUE(pictures.features(about("red.gif")).is_same(red));
  EXPECT_FALSE(pictures.features(about("green.gif")).equal(red));
  EXPECT_FALSE(pictures.features(about("")).defined());
}

TEST_F(Pictures, BlankedAreAllTheSame) {
  QuestionPictures pictures(*model_, folder_, /*blank=*/true);
  const at::Tensor red = pictures.features(about("red.gif"));
  EXPECT_TRUE(pictures.features(about("green.gif")).equal(red));
  EXPECT_FALSE(QuestionPictures(*model_, folder_, false).features(about("red.gif")).equal(red));
}

TEST_F(Pictures, ErrorsNameTheQuestion) {
  const auto pictures = [&](const fs::path& folder) { return QuestionPictures(*model_, folder, false); };
  EXPECT_THAT(refusal(pictures(folder_), "none.png"), HasSubstr("q.jsonl:9: image: no such file"));
  EXPECT_THAT(refusal(pictures(folder_), "../red.gif"), HasSubstr("q.jsonl:9: image: not a path below"));
  EXPECT_THAT(refusal(pictures(folder_), "broken.gif"), HasSubstr("q.jsonl:9: image \"broken.gif\""));
  EXPECT_THAT(refusal(pictures(""), "red.gif"), HasSubstr("--image-folder"));
  EXPECT_THAT(refusal(QuestionPictures(*model_, folder_, true), "none.png"), HasSubstr("no such file"));
  ModelConfig blind = testing::tiny_config(/*sparse=*/false);
  blind.vision.reset();
  EXPECT_THAT(refusal(QuestionPictures(MoeLlava(blind), folder_, false), "red.gif"),
              HasSubstr("the model sees no pictures"));
}

TEST_F(Pictures, AreReadFromTheQuestionFileWhereItHasThem) {
  Question inside = about("7");
  inside.picture = std::make_shared<std::string>(testing::plain_gif('\xff', 0, 0));
  QuestionPictures pictures(*model_, /*folder=*/"", /*blank=*/false);
  EXPECT_TRUE(
      pictures.features(inside).equal(model_->encode_images(load_pixels(*model_, folder_ / "red.gif"))));
  inside.image = "8";
  inside.picture = std::make_shared<std::string>("no picture");
  try {
    pictures.features(inside);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("q.jsonl:9: image \"8\""));
  }
}

TEST_F(Pictures, ThatAreMissingAreAllNamed) {
  Question inside = about("7");
  inside.picture = std::make_shared<std::string>("GIF");
  const std::vector<Question> questions = {about("x.png"), about("red.gif"), about("y.png"),
                                           about("x.png"), about(""),        inside};
  EXPECT_EQ(missing_pictures(questions, folder_),
            (std::vector<std::string>{(folder_ / "x.png").string() + " (q.jsonl:9)",
                                      (folder_ / "y.png").string() + " (q.jsonl:9)"}));
  EXPECT_TRUE(missing_pictures(std::span(questions).subspan(1, 1), folder_).empty());
}

}  // namespace
}  // namespace moellava
