#include "eval/answer_text.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

TEST(AnswerText, FirstWord) {
  EXPECT_EQ(first_word("  Yes, there is."), "yes");
  EXPECT_EQ(first_word("\"Yes\""), "");
  EXPECT_EQ(first_word(""), "");
}

TEST(AnswerText, Trimmed) {
  EXPECT_EQ(trimmed(" a b\n"), "a b");
  EXPECT_EQ(trimmed("\t\r\n "), "");
}

TEST(AnswerText, NumbersOfALine) {
  EXPECT_EQ(numbers_of(" 8 7.5\t"), (std::vector<double>{8, 7.5}));
  EXPECT_EQ(numbers_of(""), std::vector<double>{});
  for (const char* text : {"8/10", "8a", "eight", "8 nan", "1e999", "8 6 (fair)"})
    EXPECT_FALSE(numbers_of(text)) << text;
}

}  // namespace
}  // namespace moellava
