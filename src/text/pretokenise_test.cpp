#include "text/pretokenise.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace moellava {
namespace {

std::vector<std::string> words(WordPattern pattern, std::string_view text) {
  std::vector<std::string> found;
  PreTokeniser(pattern).split(text, [&](std::string_view word) { found.emplace_back(word); });
  return found;
}

using Words = std::vector<std::string>;

TEST(PreTokeniser, CutsAsEachPatternSays) {
  const std::string_view text = "I'LL don't 1234,\n\n x";
  EXPECT_EQ(words(WordPattern::Gpt2, text),
            (Words{"I", "'", "LL", " don", "'t", " 1234", ",", "\n\n", " x"}));
  EXPECT_EQ(words(WordPattern::SmolLm, text),
            (Words{"I", "'", "LL", " don", "'t", " ", "1", "2", "3", "4", ",", "\n\n", " x"}));
  EXPECT_EQ(words(WordPattern::Qwen2, text),
            (Words{"I", "'LL", " don", "'t", " ", "1", "2", "3", "4", ",\n\n", " x"}));
  EXPECT_EQ(words(WordPattern::Llama3, text),
            (Words{"I", "'LL", " don", "'t", " ", "123", "4", ",\n\n", " x"}));
}

// U+0085 and U+3000 are white space, U+180E has not been since Unicode 6.3; PCRE2's own \s still has it.
TEST(PreTokeniser, WhiteSpaceIsUnicodes) {
  const Words kept_together = {"a", "\xe1\xa0\x8e'", "s"};
  for (WordPattern pattern :
       {WordPattern::Gpt2, WordPattern::SmolLm, WordPattern::Qwen2, WordPattern::Llama3}) {
    EXPECT_EQ(words(pattern, "a\xe1\xa0\x8e's"), kept_together);
    EXPECT_EQ(words(pattern, "a\xc2\x85\xe3\x80\x80"), (Words{"a", "\xc2\x85\xe3\x80\x80"}));
    EXPECT_EQ(words(pattern, "a\t \xc2\xa0"), (Words{"a", "\t \xc2\xa0"}));
  }
}

TEST(PreTokeniser, BytesThatAreNotUtf8AreWords) {
  EXPECT_EQ(words(WordPattern::Gpt2, "ab\xc3\xff\xe4\xbd c"),
            (Words{"ab", "\xc3", "\xff", "\xe4", "\xbd", " c"}));
  EXPECT_EQ(words(WordPattern::Gpt2, std::string_view("a\0b", 3)), (Words{"a", std::string("\0", 1), "b"}));
  EXPECT_EQ(words(WordPattern::Gpt2, ""), Words{});
}

// PCRE2's default limit of ten million steps would refuse these.
TEST(PreTokeniser, LongRunsAreNotTooHard) {
  const std::string spaces(12u << 20, ' ');
  for (WordPattern pattern : {WordPattern::Gpt2, WordPattern::Qwen2})
    EXPECT_EQ(words(pattern, spaces), Words{spaces});
}

}  // namespace
}  // namespace moellava
