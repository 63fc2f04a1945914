// Tokenizer files: read into a vocabulary, written back from one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "text/byte_level_bpe.hpp"

namespace moellava {

// The content of tokenizer.json: a byte-level BPE with a known word pattern. `where` names it in errors.
BpeVocabulary parse_tokenizer_json(std::string_view text, const std::string& where);

// The same the other way, as Hugging Face's tokenizers read it.
std::string tokenizer_json(const BpeVocabulary& vocabulary);

// vocab.json, merges.txt and, when there, added_tokens.json; for the tokenizer classes that cut words as
// GPT-2 does.
BpeVocabulary read_vocab_and_merges(const std::filesystem::path& folder);

// added_tokens.json, where it is.
void read_added_tokens(const std::filesystem::path& folder, BpeVocabulary& vocabulary);

// qwen.tiktoken or arcade100k.tiktoken, with the special tokens of their tokenizer class.
std::optional<std::filesystem::path> find_tiktoken(const std::filesystem::path& folder);
// `path` tells which of them it is, and names it in errors.
BpeVocabulary parse_tiktoken(std::string_view content, const std::filesystem::path& path);

// Added and special tokens and the chat template from tokenizer_config.json and special_tokens_map.json,
// where they are. Throws BadData when a bos, eos or pad token is named that is not in the vocabulary.
void read_tokenizer_config(const std::filesystem::path& folder, BpeVocabulary& vocabulary);

// tokenizer.json, tokenizer_config.json and special_tokens_map.json, as Hugging Face's tokenizers read them.
void save_tokenizer_folder(const BpeVocabulary& vocabulary, const std::filesystem::path& folder);

// What every kind of tokenizer writes the same: its special tokens, "" for none, and its template.
struct TokenizerNames {
  std::string bos, eos, pad;
  std::string chat_template;
};
// special_tokens_map.json, and tokenizer_config.json, which says what `config` holds besides.
void write_tokenizer_config(const std::filesystem::path& folder, const TokenizerNames& names, Json config);

}  // namespace moellava
