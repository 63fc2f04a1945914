#include "text/sentencepiece_tokenizer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

// A vocabulary of 600 pieces with byte fallback; ids of texts are tested against the original by
// dump_test.py.
const fs::path kFolder = fs::path(MOELLAVA_SOURCE_DIR) / "tests/golden/llama/ckpt";

TEST(SentencePiece, SpecialTokensCannotBeTyped) {
  const auto tokenizer = open_sentencepiece(kFolder);
  ASSERT_EQ(tokenizer->eos_id, 2);
  EXPECT_EQ(tokenizer->encode_text("</s>", /*trusted=*/true), std::vector<int32_t>{2});
  for (int32_t id : tokenizer->encode_text("</s>", /*trusted=*/false))
    EXPECT_FALSE(tokenizer->is_special(id));
}

TEST(SentencePiece, TargetsAreTheTokensThatTouchTheAnswer) {
  const auto tokenizer = open_sentencepiece(kFolder);
  const std::vector<TextPiece> pieces = {{.text = "ASSISTANT: ", .trusted = true},
                                         {.text = "yes", .target = true},
                                         {.text = "</s>", .trusted = true, .target = true}};
  const Encoding encoding = tokenizer->encode(pieces);
  std::vector<int32_t> answer;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (encoding.target[i]) answer.push_back(encoding.ids[i]);
  }
  EXPECT_EQ(answer.back(), 2);
  EXPECT_EQ(tokenizer->decode(answer), " yes");
  EXPECT_FALSE(encoding.target[0]);
}

TEST(SentencePiece, EveryByteComesBack) {
  const auto tokenizer = open_sentencepiece(kFolder);
  for (const char* text : {"plain", "na\xc3\xafve \xf0\x9f\x99\x82", "tab\tand\nline"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_text(text)), std::string(" ") + text);
}

TEST(SentencePiece, ATextBeginsWithBosOnce) {
  const auto tokenizer = open_sentencepiece(kFolder);
  EXPECT_TRUE(tokenizer->adds_bos);
  const Conversation conversation{.turns = {{.role = Role::User, .parts = {ImagePart{}, "\nWhat?"}}},
                                  .system = ""};
  const auto ids = tokenise(render(conversation, conversation_style("v1")), *tokenizer).ids;
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
}

TEST(SentencePiece, SavedItIsTheSame) {
  const auto tokenizer = open_sentencepiece(kFolder);
  const fs::path folder = fs::path(::testing::TempDir()) / ("sentencepiece_" + std::to_string(::getpid()));
  tokenizer->save(folder);
  const auto again = open_tokenizer_folder(folder);
  EXPECT_EQ(again->encode_text("Hello</s> world", true), tokenizer->encode_text("Hello</s> world", true));
  EXPECT_EQ(again->size(), tokenizer->size());
  EXPECT_EQ(again->pad_id, tokenizer->pad_id);
  EXPECT_EQ(again->adds_bos, tokenizer->adds_bos);
}

TEST(SentencePiece, OtherBytesAreRefused) {
  // A model with the pieces "<unk>" and two zero bytes: the library's own trie refuses such a key by
  // throwing.
  const std::string zeros("\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x09\x0a\x02\0\0\x15\0\0\x80\xbf",
                          27);
  for (const std::string& bytes :
       {std::string(), std::string("not a model"), std::string(64, '\xff'), zeros}) {
    try {
      parse_sentencepiece(bytes, "tokenizer.model");
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData);
      EXPECT_NE(std::string(error.what()).find("tokenizer.model: not a SentencePiece model"),
                std::string::npos);
    }
  }
}

std::string golden_model() {
  return read_file(kFolder / "tokenizer.model", 1 << 20);
}

TEST(SentencePiece, CutModelsAreRefusedOrWhole) {
  const std::string whole = golden_model();
  for (size_t size = 0; size < whole.size(); size += 37) {
    try {
      parse_sentencepiece(whole.substr(0, size), "tokenizer.model");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::BadData) << size;
    }
  }
  // A piece that claims to be 2^32 - 1 bytes long.
  EXPECT_THROW(parse_sentencepiece(whole + "\x0a\xff\xff\xff\xff\x0f" + "x", "m"), Error);
  // A field that nobody knows: number 1000, a varint.
  EXPECT_EQ(parse_sentencepiece(whole + std::string("\xc0\x3e\x01", 3), "m")->size(),
            parse_sentencepiece(whole, "m")->size());
}

TEST(SentencePiece, ScoresMustBeNumbers) {
  std::string model = golden_model();
  // Field 2 of the fourth piece, behind <unk>, <s> and </s>: a float after its tag 0x15.
  const size_t at = model.find("<0x00>");
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(model[at + 6], '\x15');
  model.replace(at + 7, 4, std::string("\x00\x00\xc0\x7f", 4));
  try {
    parse_sentencepiece(model, "tokenizer.model");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("score is not finite: found nan at id 3"), std::string::npos)
        << error.what();
  }
}

TEST(SentencePiece, TimeIsLinearInLongTexts) {
  const auto tokenizer = open_sentencepiece(kFolder);
  const auto ticks = [&](size_t bytes, char letter) {
    const std::string text(bytes, letter);
    const std::clock_t start = std::clock();  // of this process, however busy the machine is
    EXPECT_FALSE(tokenizer->encode_text(text).empty());
    return std::clock() - start;
  };
  ticks(1 << 14, 'a');
  for (const char letter : {'a', ' '})
    EXPECT_LT(ticks(1 << 18, letter), 100 * ticks(1 << 14, letter)) << letter;
}

}  // namespace
}  // namespace moellava
