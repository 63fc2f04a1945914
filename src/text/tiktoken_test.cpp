#include <gtest/gtest.h>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"

namespace moellava {
namespace {

// a 0, b 1, ab 2, bb 3, abb 4, space 5, space a 6, e-acute 7
constexpr const char* kContent = "YQ== 0\nYg== 1\nYWI= 2\nYmI= 3\nYWJi 4\nIA== 5\nIGE= 6\nw6k= 7\n";

std::unique_ptr<Tokenizer> open(const std::string& name) {
  return make_byte_level_bpe(parse_tiktoken(kContent, name), name);
}

using Ids = std::vector<int32_t>;

TEST(Tiktoken, MergesTheLowestRankFirst) {
  const auto tokenizer = open("qwen.tiktoken");
  EXPECT_EQ(tokenizer->encode_text("abb"), Ids{4});            // a token as it stands
  EXPECT_EQ(tokenizer->encode_text("abbb"), (Ids{2, 3}));      // ab before bb, and abb is never reached
  EXPECT_EQ(tokenizer->encode_text("bbb"), (Ids{3, 1}));       // of equal ranks the leftmost
  EXPECT_EQ(tokenizer->encode_text(" ab a"), (Ids{5, 2, 6}));  // ab before "space a"
  EXPECT_EQ(tokenizer->encode_text("e\xcc\x81"), Ids{7});      // composed first
}

TEST(Tiktoken, SpecialTokensFollowTheRanks) {
  const auto qwen = open("qwen.tiktoken");
  EXPECT_EQ(qwen->size(), 8 + 208);
  EXPECT_EQ(qwen->eos_id, 8);
  EXPECT_EQ(qwen->pad_id, 11);
  EXPECT_EQ(qwen->id_of("<|extra_204|>"), 8 + 207);
  EXPECT_EQ(qwen->encode_text("a<|im_end|>", /*trusted=*/true), (Ids{0, 10}));
  EXPECT_TRUE(qwen->is_special(10));
  const auto arcade = open("models/arcade100k.tiktoken");
  EXPECT_EQ(arcade->size(), 9 + 32);
  EXPECT_EQ(arcade->eos_id, 9);
  EXPECT_EQ(arcade->pad_id, 9 + 23);
}

TEST(Tiktoken, SavedAsTokenizerJsonItGivesTheSameIds) {
  const BpeVocabulary vocabulary = parse_tiktoken(kContent, "qwen.tiktoken");
  const auto tokenizer = make_byte_level_bpe(vocabulary, "before");
  const auto again = make_byte_level_bpe(parse_tokenizer_json(tokenizer_json(vocabulary), "json"), "after");
  for (const char* text : {"abbb ab", "bbbbb", "e\xcc\x81 a", "<|im_start|>ab"})
    EXPECT_EQ(again->encode_text(text, true), tokenizer->encode_text(text, true)) << text;
}

TEST(Tiktoken, BadLinesAreNamed) {
  auto error_of = [](const std::string& content) -> std::string {
    try {
      make_byte_level_bpe(parse_tiktoken(content, "qwen.tiktoken"), "qwen.tiktoken");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      return error.what();
    }
    return "accepted";
  };
  const std::string long_token(4 * 100, 'A');
  for (const auto& [content, expected] : std::vector<std::pair<std::string, std::string>>{
           {"", "holds no token"},
           {"YQ== 0\n\nYQ", "qwen.tiktoken line 3: not a token: found \"YQ\""},
           {"YQ== 0\nY=== 1\n", "line 2: not a token"},
           {"YQ== 0\n*Q== 1\n", "line 2: not a token"},
           {"YQ== -1\n", "line 1: not a token"},
           {"YQ== 99999999999\n", "line 1: not a token"},
           {"YQ== 0 1\n", "line 1: not a token"},
           {"YQ== 0\nYQ== 1\n", "line 2: duplicate token"},
           {"YQ== 0\nYg== 0\n", "duplicate token id"},
           {"YQ== 0\nYg== 16000000\n", "token ids have a gap"},
           {long_token + " 0\n", "token too long: found 300 bytes"}}) {
    const std::string found = error_of(content);
    EXPECT_NE(found.find(expected), std::string::npos) << found;
  }
}

}  // namespace
}  // namespace moellava
