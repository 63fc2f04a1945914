#include "text/byte_level_bpe.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <filesystem>
#include <thread>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/random.hpp"
#include "tests/tiny_tokenizer.hpp"
#include "text/tokenizer_files.hpp"
#include "text/utf8.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

fs::path phi_folder() {
  return fs::path(MOELLAVA_SOURCE_DIR) / "tests/golden/phi";
}

// All bytes, and merges that build "ab", "abc", " x".
BpeVocabulary small_vocabulary() {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.tokens.emplace_back(byte_spelling(static_cast<unsigned char>(byte)), byte);
  auto merge = [&](const std::string& left, const std::string& right) {
    vocabulary.tokens.emplace_back(left + right, static_cast<int32_t>(vocabulary.tokens.size()));
    vocabulary.merges.emplace_back(left, right);
  };
  merge("a", "b");   // 256
  merge("ab", "c");  // 257
  merge("Ġ", "x");   // 258
  merge("a", "a");   // 259
  vocabulary.added = {{.text = "<|end|>", .id = 260, .special = true}, {.text = "    ", .id = 261}};
  vocabulary.eos_id = 260;
  return vocabulary;
}

std::string random_text(uint64_t stream) {
  std::string text;
  const uint64_t length = random_bits(3, stream, 0) % 40;
  for (uint64_t i = 1; i <= length; ++i) {
    const uint64_t bits = random_bits(3, stream, i);
    constexpr unsigned kBlocks[] = {0x20, 0x41, 0x61, 0x30, 0xc0, 0x391, 0x4e00, 0x1f600, 0x9, 0x660};
    text += utf8_encode(kBlocks[bits % 10] + static_cast<unsigned>((bits >> 8) % 20));
  }
  return text;
}

TEST(ByteLevelBpe, MergesByRank) {
  const auto tokenizer = make_byte_level_bpe(small_vocabulary(), "test");
  EXPECT_EQ(tokenizer->encode_text("abc ab x"), (std::vector<int32_t>{257, ' ', 256, 258}));
  EXPECT_EQ(tokenizer->encode_text("aab"), (std::vector<int32_t>{'a', 256}));  // "a b" comes before "a a"
  EXPECT_EQ(tokenizer->encode_text("aaa"), (std::vector<int32_t>{259, 'a'}));
  EXPECT_TRUE(tokenizer->encode_text("").empty());
}

TEST(ByteLevelBpe, SpecialTokensAreFoundInTrustedTextOnly) {
  const auto tokenizer = make_byte_level_bpe(small_vocabulary(), "test");
  EXPECT_EQ(tokenizer->encode_text("x<|end|>", /*trusted=*/true), (std::vector<int32_t>{'x', 260}));
  EXPECT_EQ(tokenizer->encode_text("x<|end|>").size(), 8u);
  // One that is half typed by a user is not special, even when the other half is trusted.
  const std::vector<TextPiece> halves = {{.text = "<|en", .trusted = true}, {.text = "d|>"}};
  EXPECT_EQ(tokenizer->encode(halves).ids.size(), 7u);
  EXPECT_EQ(tokenizer->encode_text("a    b"),
            (std::vector<int32_t>{'a', 261, 'b'}));  // not special: found in any text
}

TEST(ByteLevelBpe, NeighbouringPiecesAreOneTextAndTargetsFollowBytes) {
  const auto tokenizer = make_byte_level_bpe(small_vocabulary(), "test");
  const std::vector<TextPiece> pieces = {{.text = "a: ", .trusted = true},
                                         {.text = "xab", .target = true},
                                         {.text = "<|end|>", .trusted = true, .target = true},
                                         {.text = "c", .trusted = true}};
  const Encoding encoding = tokenizer->encode(pieces);
  // " x" crosses the border and holds a target byte.
  EXPECT_EQ(encoding.ids, (std::vector<int32_t>{'a', ':', 258, 256, 260, 'c'}));
  EXPECT_EQ(encoding.target, (std::vector<bool>{false, false, true, true, true, false}));
}

TEST(ByteLevelBpe, EqualsTheOriginalPhiTokenizer) {
  const auto tokenizer = open_tokenizer_folder(phi_folder() / "ckpt");
  const Json cases = read_json(phi_folder() / "tokenizer_cases.json");
  ASSERT_GT(cases.size(), 10u);
  for (const Json& entry : cases) {
    const std::string text = entry["text"];
    const auto ids = entry["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode_text(text, /*trusted=*/true), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids, /*skip_special=*/false), text);
  }
}

TEST(ByteLevelBpe, DecodesWhatItEncodes) {
  const auto small = make_byte_level_bpe(small_vocabulary(), "test");
  const auto phi = open_tokenizer_folder(phi_folder() / "ckpt");
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  for (const Tokenizer* tokenizer : {small.get(), phi.get()}) {
    for (uint64_t i = 0; i < 300; ++i) {
      const std::string text = random_text(i);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode_text(text)), text);
    }
    std::string back;
    for (int32_t id : tokenizer->encode_text(all_bytes)) back += tokenizer->token_bytes(id);
    EXPECT_EQ(back, all_bytes);
  }
}

TEST(ByteLevelBpe, BytesWithoutATokenAreDropped) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.erase(vocabulary.tokens.begin() + 4);
  EXPECT_EQ(make_byte_level_bpe(vocabulary, "test")->encode_text("a\x04z"), (std::vector<int32_t>{'a', 'z'}));
}

TEST(ByteLevelBpe, DigitsStandAlone) {
  const auto tokenizer = testing::tiny_tokenizer();
  const PreTokeniser words(WordPattern::SmolLm);
  std::vector<std::string> found;
  words.split("In  2024, it's   9\n\xff!", [&](std::string_view word) { found.emplace_back(word); });
  EXPECT_EQ(found, (std::vector<std::string>{"In", "  ", "2", "0", "2", "4", ",", " it", "'s", "   ", "9",
                                             "\n", "\xff", "!"}));
}

TEST(ByteLevelBpe, TimeIsNearlyLinearInOneLongWord) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.pattern = WordPattern::Qwen2;
  const auto tokenizer = make_byte_level_bpe(std::move(vocabulary), "test");
  for (char letter : {'a', ' '}) {
    auto ticks = [&](size_t length) {
      const std::string text(length, letter);
      const std::clock_t start = std::clock();  // of this process, however busy the machine is
      tokenizer->encode_text(text);
      return std::clock() - start;
    };
    ticks(1 << 14);
    // Sixteen times the length: quadratic time would be 256 times as long.
    EXPECT_LT(ticks(1 << 20), 100 * ticks(1 << 16)) << letter;
  }
}

TEST(ByteLevelBpe, ADroppedByteDoesNotKeepItsNeighboursApart) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.erase(vocabulary.tokens.begin() + '!');
  vocabulary.merges.emplace_back("(", ")");
  vocabulary.tokens.emplace_back("()", 300);
  const auto tokenizer = make_byte_level_bpe(vocabulary, "test");
  const std::vector<TextPiece> pieces = {{.text = "(!"}, {.text = ")!x", .target = true}};
  const Encoding encoding = tokenizer->encode(pieces);
  EXPECT_EQ(encoding.ids, (std::vector<int32_t>{300, 'x'}));
  EXPECT_EQ(encoding.target, (std::vector<bool>{true, true}));
}

TEST(ByteLevelBpe, OfEqualMergesTheLastCounts) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.merges.emplace_back("a", "b");  // now behind "a a"
  EXPECT_EQ(make_byte_level_bpe(vocabulary, "test")->encode_text("aab"), (std::vector<int32_t>{259, 'b'}));
}

TEST(ByteLevelBpe, WordsThatAreTokensNeedNoMergesWhenTheseAreIgnored) {
  BpeVocabulary vocabulary = small_vocabulary();
  vocabulary.tokens.emplace_back("Ġword", 300);
  vocabulary.tokens.emplace_back("hidden", 301);
  vocabulary.added.push_back({.text = "hidden", .id = 301, .special = true});
  EXPECT_EQ(make_byte_level_bpe(vocabulary, "test")->encode_text(" word").size(), 5u);
  vocabulary.ignore_merges = true;
  const auto tokenizer = make_byte_level_bpe(vocabulary, "test");
  EXPECT_EQ(tokenizer->encode_text(" word words"), (std::vector<int32_t>{300, ' ', 'w', 'o', 'r', 'd', 's'}));
  EXPECT_EQ(tokenizer->encode_text("hidden").size(), 6u);  // a special token is not typed
}

TEST(ByteLevelBpe, RememberedWordsGiveTheSameTokens) {
  const auto tokenizer = open_tokenizer_folder(phi_folder() / "ckpt");
  const Json cases = read_json(phi_folder() / "tokenizer_cases.json");
  for (int round = 0; round < 2; ++round) {  // the second time every word is known
    for (const Json& entry : cases) {
      const std::string text = entry["text"];
      EXPECT_EQ(tokenizer->encode_text(text, /*trusted=*/true), entry["ids"].get<std::vector<int32_t>>());
    }
  }
}

TEST(ByteLevelBpe, SeveralThreadsMayEncode) {
  const auto tokenizer = open_tokenizer_folder(phi_folder() / "ckpt");
  std::vector<std::vector<int32_t>> expected;
  for (uint64_t i = 0; i < 200; ++i) expected.push_back(tokenizer->encode_text(random_text(i)));
  const auto shared = open_tokenizer_folder(phi_folder() / "ckpt");  // one that remembers nothing yet
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 200; ++i) wrong += shared->encode_text(random_text(i)) != expected[i];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ByteLevelBpe, SavedFilesGiveTheSameTokenizer) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("tokenizer_saved_" + std::to_string(::getpid()));
  for (WordPattern pattern :
       {WordPattern::Gpt2, WordPattern::SmolLm, WordPattern::Qwen2, WordPattern::Llama3}) {
    BpeVocabulary vocabulary = small_vocabulary();
    vocabulary.pattern = pattern;
    vocabulary.chat_template = "{{ messages }}";
    const auto tokenizer = make_byte_level_bpe(vocabulary, "test");
    tokenizer->save(folder);
    const auto again = open_tokenizer_folder(folder);
    for (uint64_t i = 0; i < 100; ++i) {
      const std::string text = random_text(i) + "<|end|>    ab2024";
      EXPECT_EQ(again->encode_text(text, true), tokenizer->encode_text(text, true));
      EXPECT_EQ(again->encode_text(text), tokenizer->encode_text(text));
    }
    EXPECT_EQ(again->eos_id, 260);
    EXPECT_EQ(again->chat_template, "{{ messages }}");
    EXPECT_TRUE(again->is_special(260));
    EXPECT_FALSE(again->is_special(261));
  }
}

TEST(StreamDecoder, NeverCutsACharacter) {
  const auto tokenizer = make_byte_level_bpe(small_vocabulary(), "test");
  const std::string text = "a\xf0\x9f\x98\x80\xc3\xa9\xe4\xbd\xa0!";
  StreamDecoder decoder(*tokenizer);
  std::string shown;
  for (int32_t id : tokenizer->encode_text(text)) {
    const std::string part = decoder.push(id);
    for (size_t i = 0; i < part.size(); i += utf8_length(std::string_view(part).substr(i)))
      ASSERT_GT(utf8_length(std::string_view(part).substr(i)), 0u);
    shown += part;
  }
  EXPECT_EQ(shown + decoder.finish(), text);
  decoder.push(0xf0);
  EXPECT_EQ(decoder.finish(), "\xef\xbf\xbd");
}

struct BadTokenizer {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class BadTokenizers : public ::testing::TestWithParam<BadTokenizer> {};

TEST_P(BadTokenizers, GivesAOneLineError) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("tokenizer_bad_" + std::to_string(::getpid()));
  BpeVocabulary vocabulary = small_vocabulary();
  make_byte_level_bpe(vocabulary, "test")->save(folder);
  const Json good = read_json(folder / "tokenizer.json");
  std::string text = good.dump();
  const size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos) << text.substr(text.size() - 2000);
  text.replace(at, std::string(GetParam().from).size(), GetParam().to);
  try {
    make_byte_level_bpe(parse_tokenizer_json(text, "tokenizer.json"), "tokenizer.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::BadData);
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(
    C5, BadTokenizers,
    ::testing::Values(BadTokenizer{"duplicate_id", "\"ab\":256", "\"ab\":255", "duplicate token id"},
                      BadTokenizer{"negative_id", "\"ab\":256", "\"ab\":-1", "out of range"},
                      BadTokenizer{"huge_id", "\"ab\":256", "\"ab\":1099511627776", "out of range"},
                      BadTokenizer{"gap", "\"ab\":256", "\"ab\":9000000", "gap"},
                      BadTokenizer{"fraction", "\"ab\":256", "\"ab\":2.5", "out of range"},
                      BadTokenizer{"unknown_merge", "\"ab c\"", "\"ab q\"", "merge of an unknown token"},
                      BadTokenizer{"no_merge", "\"ab c\"", "\"abc\"", "not a merge"},
                      BadTokenizer{"empty_token", "\"ab\":256", "\"\":256", "empty token"},
                      BadTokenizer{"added_clash", "\"id\":260", "\"id\":5", "clashes"},
                      BadTokenizer{"lone_surrogate", "\"<|end|>\"", "\"\\ud800\"", "not valid JSON"},
                      BadTokenizer{"other_model", "\"type\":\"BPE\"", "\"type\":\"Unigram\"", "unsupported"},
                      BadTokenizer{"normalizer", "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}",
                                   "normalizer"},
                      BadTokenizer{"duplicate_key", "\"ab\":256", "\"ab\":256,\"ab\":256", "duplicate key"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace moellava
