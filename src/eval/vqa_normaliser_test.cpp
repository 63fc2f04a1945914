#include "eval/vqa_normaliser.hpp"

#include "eval/eval_testing.hpp"

namespace moellava {
namespace {

TEST(VqaNormaliser, DoesWhatTheOfficialOneDoes) {
  const Json cases = read_json(testing::golden("vqa/answer_processing.json"));
  ASSERT_GT(cases.size(), 80U);
  for (const Json& item : cases)
    EXPECT_EQ(normalise_vqa_answer(item.at("input").get<std::string>()), item.at("output")) << item;
}

TEST(VqaNormaliser, DropsNoMoreThan32Periods) {
  EXPECT_EQ(normalise_vqa_answer(std::string(32, '.') + "x"), "x");
  EXPECT_EQ(normalise_vqa_answer(std::string(34, '.') + "x"), "..x");
}

TEST(VqaNormaliser, KnowsOtherScripts) {
  EXPECT_EQ(normalise_vqa_answer("ΑΒΓ Дом"), "αβγ дом");
  EXPECT_EQ(normalise_vqa_answer("İ"), "i\xcc\x87");
  EXPECT_EQ(normalise_vqa_answer("a\xc2\xa0red\xe3\x80\x80house"), "red house");  // other blanks
  EXPECT_EQ(normalise_vqa_answer("no.\xd9\xa5"), "no.\xd9\xa5");                  // a digit of another script
  EXPECT_EQ(normalise_vqa_answer("\xff"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace moellava
