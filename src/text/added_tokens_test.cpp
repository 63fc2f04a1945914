#include "text/added_tokens.hpp"

#include <gtest/gtest.h>

namespace moellava {
namespace {

using Found = std::vector<std::pair<std::string, int32_t>>;

// Stretches with the id of their added token, 0 between them.
Found cut(const std::vector<AddedToken>& tokens, std::string_view text, size_t trusted_until) {
  AddedTokenFinder finder;
  for (const AddedToken& token : tokens) finder.add(token);
  ByteRanges trusted;
  trusted.append(0, trusted_until);
  Found found;
  size_t end = 0;
  finder.cut(text, trusted, [&](const AddedTokenFinder::Piece& piece) {
    EXPECT_EQ(piece.begin, end);
    EXPECT_GT(piece.end, piece.begin);
    end = piece.end;
    found.emplace_back(text.substr(piece.begin, piece.end - piece.begin), piece.token ? piece.token->id : 0);
  });
  EXPECT_EQ(end, text.size());
  return found;
}

TEST(AddedTokens, TheLeftmostAndThenTheLongestIsTaken) {
  const std::vector<AddedToken> tokens = {
      {.text = "ab", .id = 1}, {.text = "abc", .id = 2}, {.text = "bcd", .id = 3}};
  EXPECT_EQ(cut(tokens, "abcd", 0), (Found{{"abc", 2}, {"d", 0}}));
  EXPECT_EQ(cut(tokens, "xbcdab", 0), (Found{{"x", 0}, {"bcd", 3}, {"ab", 1}}));
  EXPECT_EQ(cut(tokens, "", 0), Found{});
}

TEST(AddedTokens, SpecialOnesMustLieInTrustedTextWhole) {
  const std::vector<AddedToken> tokens = {{.text = "<s>", .id = 1, .special = true}, {.text = "<", .id = 2}};
  EXPECT_EQ(cut(tokens, "<s>", 3), (Found{{"<s>", 1}}));
  EXPECT_EQ(cut(tokens, "<s>", 2), (Found{{"<", 2}, {"s>", 0}}));  // the shorter one is for everybody
}

TEST(AddedTokens, StrippingTakesUnicodeWhiteSpaceAlong) {
  const std::vector<AddedToken> tokens = {{.text = "<m>", .id = 1, .lstrip = true, .rstrip = true}};
  EXPECT_EQ(cut(tokens, "a \xc2\xa0<m>\xe3\x80\x80\n b", 0),
            (Found{{"a", 0}, {" \xc2\xa0<m>\xe3\x80\x80\n ", 1}, {"b", 0}}));
  EXPECT_EQ(cut(tokens, "\x80<m>\xc2", 0), (Found{{"\x80", 0}, {"<m>", 1}, {"\xc2", 0}}));
  EXPECT_EQ(cut(tokens, "<m> <m>", 0), (Found{{"<m> ", 1}, {"<m>", 1}}));  // what is taken is taken once
}

TEST(AddedTokens, NormalizedOnesAreLookedForAfterTheOthers) {
  std::vector<AddedToken> tokens = {{.text = "a<", .id = 1, .normalized = true}, {.text = "<s>", .id = 2}};
  EXPECT_EQ(cut(tokens, "a<s>a<", 0), (Found{{"a", 0}, {"<s>", 2}, {"a<", 1}}));
  tokens[0].normalized = false;
  EXPECT_EQ(cut(tokens, "a<s>", 0), (Found{{"a<", 1}, {"s>", 0}}));
}

}  // namespace
}  // namespace moellava
