#include "text/tokenizer_files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

// A tokenizer in the layout of vocab.json + merges.txt: all bytes, "ab", and "<|end|>" as added token 300.
Files gpt2_files() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[byte_spelling(static_cast<unsigned char>(byte))] = byte;
  vocab["ab"] = 256;
  return {{"vocab.json", vocab.dump()},
          {"merges.txt", "#version: 0.2\na b\r\n\n"},
          {"added_tokens.json", R"({"<|end|>": 300})"},
          {"special_tokens_map.json", R"({"eos_token": {"content": "<|end|>", "lstrip": false}})"},
          {"tokenizer_config.json", R"({"tokenizer_class": "CodeGenTokenizer", "bos_token": null})"}};
}

fs::path write_folder(const Files& files) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("tokenizer_files_test_" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const auto& [name, content] : files) write_file_atomic(folder / name, content);
  return folder;
}

std::string error_of(const Files& files) {
  try {
    open_tokenizer_folder(write_folder(files));
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::BadData) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "accepted";
}

std::string with(const std::string& name, const std::string& content) {
  Files files = gpt2_files();
  files[name] = content;
  return error_of(files);
}

TEST(TokenizerFolder, VocabAndMergesAreRead) {
  const auto tokenizer = open_tokenizer_folder(write_folder(gpt2_files()));
  EXPECT_EQ(tokenizer->encode_text("abb<|end|>", true), (std::vector<int32_t>{256, 'b', 300}));
  EXPECT_EQ(tokenizer->eos_id, 300);
  EXPECT_EQ(tokenizer->bos_id, std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(300));
  EXPECT_EQ(tokenizer->size(), 301);
}

TEST(TokenizerFolder, AddedTokensMayStandInTheConfigOnly) {
  Files files = gpt2_files();
  files.erase("added_tokens.json");
  files["tokenizer_config.json"] =
      R"({"added_tokens_decoder": {"300": {"content": "<|end|>", "special": true},
          "301": {"content": "<tool>", "special": false, "rstrip": true}}})";
  const auto tokenizer = open_tokenizer_folder(write_folder(files));
  EXPECT_EQ(tokenizer->encode_text("<|end|><tool>  b", true), (std::vector<int32_t>{300, 301, 'b'}));
  EXPECT_FALSE(tokenizer->is_special(301));

  // They survive saving, their rules too.
  const fs::path again =
      fs::path(::testing::TempDir()) / ("tokenizer_files_test_again_" + std::to_string(::getpid()));
  tokenizer->save(again);
  EXPECT_EQ(open_tokenizer_folder(again)->encode_text("<|end|><tool>  b", true),
            (std::vector<int32_t>{300, 301, 'b'}));
}

// A config that forgets to say so must not make a special token one that anybody can type.
TEST(TokenizerFolder, WhatOneFileCallsSpecialIsSpecial) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = {{"<", 0}, {"s", 1}, {">", 2}};
  vocabulary.added = {{.text = "<s>", .id = 3, .special = true}};
  const auto tokenizer = open_tokenizer_folder(
      write_folder({{"tokenizer.json", tokenizer_json(vocabulary)},
                    {"tokenizer_config.json", R"({"added_tokens_decoder": {"3": {"content": "<s>"}}})"}}));
  EXPECT_TRUE(tokenizer->is_special(3));
  EXPECT_EQ(tokenizer->encode_text("<s>"), (std::vector<int32_t>{0, 1, 2}));
}

TEST(TokenizerFolder, OtherKindsAreToldWhatWasLookedFor) {
  const std::string message = error_of({{"spiece.model", "?"}});
  EXPECT_NE(message.find("tokenizer.model, tokenizer.json, vocab.json with merges.txt"), std::string::npos)
      << message;
  EXPECT_NE(message.find("qwen.tiktoken"), std::string::npos) << message;
}

TEST(TokenizerFolder, BadFilesAreNamed) {
  auto expect = [](const std::string& message, const std::string& file, const std::string& fault) {
    EXPECT_NE(message.find(file), std::string::npos) << message;
    EXPECT_NE(message.find(fault), std::string::npos) << message;
  };
  expect(with("merges.txt", "a b c\n"), "merges.txt", "not a merge");
  expect(with("merges.txt", "ab\n"), "merges.txt", "not a merge");
  expect(with("merges.txt", "a q\n"), "tokenizer_files_test", "merge of an unknown token");
  expect(with("vocab.json", "[1]"), "vocab.json", "not an object");
  expect(with("vocab.json", R"({"a": 18446744073709551615})"), "vocab.json", "out of range");
  expect(with("added_tokens.json", R"({"<|end|>": 5})"), "tokenizer_files_test", "clashes");
  expect(with("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})"), "tokenizer_config.json",
         "tokenizer_class");
  expect(with("tokenizer_config.json", R"({"add_prefix_space": true})"), "tokenizer_config.json",
         "add_prefix_space");
  expect(with("tokenizer_config.json", R"({"pad_token": "<|pad|>"})"), "tokenizer_config.json: pad_token",
         "not in the vocabulary");
  expect(with("tokenizer_config.json", R"({"pad_token": 5})"), "tokenizer_config.json: pad_token",
         "wrong type");
  expect(with("tokenizer_config.json", R"({"added_tokens_decoder": {"301": {"content": "<|end|>"}}})"),
         "tokenizer_config.json", "another id");
  for (const char* key : {"-1", "", "x", "1e3", "99999999", "1099511627776"}) {
    expect(with("tokenizer_config.json",
                std::string(R"({"added_tokens_decoder": {")") + key + R"(": {"content": "<t>"}}})"),
           "tokenizer_config.json", "out of range");
  }
}

// A whole small tokenizer.json with one part replaced.
std::string json_error(const std::string& pointer, const Json& value) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.tokens.emplace_back(byte_spelling(static_cast<unsigned char>(byte)), byte);
  vocabulary.pattern = WordPattern::Qwen2;
  Json json = Json::parse(tokenizer_json(vocabulary));
  json[Json::json_pointer(pointer)] = value;
  try {
    parse_tokenizer_json(json.dump(), "t.json");
  } catch (const Error& error) {
    return error.kind() == ErrorKind::BadData ? error.what() : "wrong kind";
  }
  return "accepted";
}

TEST(TokenizerJson, WhatWouldChangeIdsIsRefused) {
  const std::string split = "/pre_tokenizer/pretokenizers/0";
  const std::pair<std::string, std::pair<Json, const char*>> cases[] = {
      {split + "/pattern/Regex", {"(a+)+$", "unsupported word pattern: found (a+)+$"}},
      {split + "/behavior", {"Removed", "behavior: unsupported: found Removed"}},
      {split + "/invert", {true, "inverted"}},
      {split + "/type", {"Punctuation", "unsupported: found Punctuation"}},
      {"/pre_tokenizer/pretokenizers/1/use_regex", {true, "use_regex"}},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", {true, "add_prefix_space"}},
      {"/pre_tokenizer", {nullptr, "pre_tokenizer: missing"}},
      {"/decoder/type", {"WordPiece", "decoder: unsupported: found WordPiece"}},
      {"/normalizer", {Json{{"type", "NFKC"}}, "normalizer: unsupported: found NFKC"}},
      {"/model/end_of_word_suffix", {"</w>", "end_of_word_suffix"}},
      {"/model/dropout", {0.1, "dropout"}},
      {"/added_tokens",
       {Json::array({{{"id", 300}, {"content", "x"}, {"single_word", true}}}), "single_word"}},
      {"/added_tokens", {5, "added_tokens: not a list"}},
      {"/model/merges", {"a b", "merges: not a list"}},
      {"/model/merges", {Json::array({Json::array({"a", "b", "c"})}), "not a merge"}},
  };
  for (const auto& [pointer, change] : cases) {
    const std::string message = json_error(pointer, change.first);
    EXPECT_NE(message.find(change.second), std::string::npos) << pointer << ": " << message;
  }
  EXPECT_EQ(json_error("/model/unk_token", "a"),
            "accepted");  // with a token for every byte it is never written
  EXPECT_EQ(json_error("/model/end_of_word_suffix", ""), "accepted");
  EXPECT_EQ(json_error("/decoder", nullptr), "accepted");
  EXPECT_EQ(json_error("/unknown", 5), "accepted");
}

TEST(TokenizerJson, AnUnknownTokenIsRefusedWhereBytesHaveNoToken) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = {{"a", 0}};
  Json json = Json::parse(tokenizer_json(vocabulary));
  json["model"]["unk_token"] = "a";
  EXPECT_THROW(parse_tokenizer_json(json.dump(), "t.json"), Error);
}

TEST(TokenizerJson, TheRulesOfAddedTokensAreKept) {
  BpeVocabulary vocabulary;
  vocabulary.added = {{.text = "a", .id = 0, .special = true, .lstrip = true},
                      {.text = "b", .id = 1, .rstrip = true, .normalized = true}};
  const std::vector<AddedToken> again = parse_tokenizer_json(tokenizer_json(vocabulary), "t.json").added;
  ASSERT_EQ(again.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const AddedToken& expected = vocabulary.added[i];
    EXPECT_EQ(again[i].text, expected.text);
    EXPECT_EQ(again[i].id, expected.id);
    EXPECT_EQ(again[i].special, expected.special);
    EXPECT_EQ(again[i].lstrip, expected.lstrip);
    EXPECT_EQ(again[i].rstrip, expected.rstrip);
    EXPECT_EQ(again[i].normalized, expected.normalized);
  }
}

TEST(TokenizerJson, MergesMayBePairsAndHoldSpaces) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = {{"a", 0}, {" ", 1}, {"a ", 2}};
  vocabulary.merges = {{"a", " "}};
  const BpeVocabulary again = parse_tokenizer_json(tokenizer_json(vocabulary), "t.json");
  EXPECT_EQ(again.merges, vocabulary.merges);
  EXPECT_EQ(std::map(again.tokens.begin(), again.tokens.end()).size(), 3u);
}

}  // namespace
}  // namespace moellava
