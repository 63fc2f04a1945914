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

}  // namespace
}  // namespace moellava
