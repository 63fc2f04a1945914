#include "text/tokenizer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/utf8.hpp"

namespace moellava {
namespace {

GgufVocabulary small_gguf() {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  auto add = [&](const std::string& token, int64_t type) {
    vocabulary.tokens.push_back(token);
    vocabulary.types.push_back(type);
  };
  for (int byte = 0; byte < 256; ++byte) add(byte_spelling(static_cast<unsigned char>(byte)), 1);
  add("12", 1);          // 256
  add("Ġx", 1);          // 257
  add("<|im_end|>", 3);  // 258, control
  add("<tool>", 4);      // 259, user defined
  vocabulary.merges = {"1 2", "Ġ x"};
  vocabulary.bos_id = 258;
  vocabulary.eos_id = 258;
  vocabulary.chat_template = "{{ x }}";
  return vocabulary;
}

std::string error_of(const GgufVocabulary& vocabulary) {
  try {
    make_gguf_tokenizer(vocabulary, "a.gguf");
  } catch (const Error& error) {
    return error.kind() == ErrorKind::BadData ? error.what() : "wrong kind";
  }
  return "accepted";
}

TEST(GgufTokenizer, CutsMergesAndKnowsItsSpecialTokens) {
  const auto tokenizer = make_gguf_tokenizer(small_gguf(), "a.gguf");
  EXPECT_EQ(tokenizer->encode_text("12 x"), (std::vector<int32_t>{'1', '2', 257}));  // digits stand alone
  EXPECT_EQ(tokenizer->encode_text("<|im_end|>", true), std::vector<int32_t>{258});
  EXPECT_EQ(tokenizer->encode_text("<|im_end|>").size(), 10u);
  EXPECT_EQ(tokenizer->encode_text("a<tool>"), (std::vector<int32_t>{'a', 259}));
  EXPECT_TRUE(tokenizer->is_special(258));
  EXPECT_FALSE(tokenizer->is_special(259));
  EXPECT_EQ(tokenizer->eos_id, 258);
  EXPECT_EQ(tokenizer->pad_id, std::nullopt);
  EXPECT_EQ(tokenizer->chat_template, "{{ x }}");
  EXPECT_EQ(tokenizer->size(), 260);

  GgufVocabulary gpt2 = small_gguf();
  gpt2.pre = "gpt-2";
  EXPECT_EQ(make_gguf_tokenizer(gpt2, "a.gguf")->encode_text("12 x"), (std::vector<int32_t>{256, 257}));
}

// Llama 3 takes a word that is a token whole; in GGUF its name says so, in tokenizer.json a field does.
TEST(GgufTokenizer, Llama3DoesNotBuildWordsThatAreTokens) {
  GgufVocabulary gguf = small_gguf();
  gguf.merges.clear();
  EXPECT_EQ(make_gguf_tokenizer(gguf, "a.gguf")->encode_text(" x").size(), 2u);
  gguf.pre = "llama-bpe";
  const auto tokenizer = make_gguf_tokenizer(gguf, "a.gguf");
  EXPECT_EQ(tokenizer->encode_text(" x"), std::vector<int32_t>{257});
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ("tokenizer_test_llama3_" + std::to_string(::getpid()));
  tokenizer->save(folder);
  EXPECT_EQ(open_tokenizer_folder(folder)->encode_text(" x"), std::vector<int32_t>{257});
}

TEST(GgufTokenizer, BadMetadataIsNamed) {
  GgufVocabulary bad = small_gguf();
  bad.model = "llama";
  EXPECT_NE(error_of(bad).find("a.gguf: tokenizer.ggml.model: unsupported: found \"llama\""),
            std::string::npos);
  bad = small_gguf();
  bad.pre = "viking";
  EXPECT_NE(error_of(bad).find("tokenizer.ggml.pre: unsupported word pattern: found \"viking\""),
            std::string::npos);
  bad = small_gguf();
  bad.types.pop_back();
  EXPECT_NE(error_of(bad).find("token_type: wrong length: found 259, expected 260"), std::string::npos);
  bad = small_gguf();
  bad.merges.emplace_back("12");
  EXPECT_NE(error_of(bad).find("merges: not a merge"), std::string::npos);
  bad = small_gguf();
  bad.merges.emplace_back("1 3");
  EXPECT_NE(error_of(bad).find("merge of an unknown token"), std::string::npos);
  bad = small_gguf();
  bad.tokens[256] = "\xff";
  EXPECT_NE(error_of(bad).find("tokens: not UTF-8"), std::string::npos);
  bad = small_gguf();
  bad.chat_template = "\xc3";
  EXPECT_NE(error_of(bad).find("chat_template: not UTF-8"), std::string::npos);
  bad = small_gguf();
  bad.pad_id = 260;
  EXPECT_NE(error_of(bad).find("special token id out of range"), std::string::npos);
}

TEST(Tokenizer, DecodingReplacesWhatIsCutOffOnce) {
  const auto tokenizer = make_gguf_tokenizer(small_gguf(), "a.gguf");
  auto decode = [&](std::string_view bytes) {
    std::vector<int32_t> ids;
    for (char byte : bytes) ids.push_back(static_cast<unsigned char>(byte));
    StreamDecoder stream(*tokenizer);
    std::string streamed;
    for (int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), tokenizer->decode(ids));
    return tokenizer->decode(ids);
  };
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(decode("a\xf0\x9f\x98z"), "a" + r + "z");
  EXPECT_EQ(decode("\xe4\xbd\xe4\xbd\xa0"), r + "\xe4\xbd\xa0");
  EXPECT_EQ(decode("\xff\x80\xc3"), r + r + r);
  EXPECT_EQ(decode("\xed\xa0\x80"), r + r + r);  // a surrogate is three stray bytes
}

TEST(StreamDecoder, SpecialTokensAreLeftOutAndDoNotCutACharacter) {
  const auto tokenizer = make_gguf_tokenizer(small_gguf(), "a.gguf");
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.push(0xc3), "");
  EXPECT_EQ(stream.push(258), "");
  EXPECT_EQ(stream.push(0xa9), "\xc3\xa9");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8, WhiteSpaceIsThePropertyOfUnicode) {
  int count = 0;
  for (unsigned c = 0; c < 0x110000; ++c) count += is_white_space(utf8_encode(c)) ? 1 : 0;
  EXPECT_EQ(count, 25);
  for (unsigned c : {0x9u, 0x20u, 0x85u, 0xa0u, 0x1680u, 0x200au, 0x2029u, 0x202fu, 0x205fu, 0x3000u})
    EXPECT_TRUE(is_white_space(utf8_encode(c))) << c;
}

}  // namespace
}  // namespace moellava
