// Tokenizer files: read into a vocabulary, written back from one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "text/byte_level_bpe.hpp"

namespace moellava {

// The content of tokenizer.json: a byte-level BPE with a known word pattern. `where` names it in errors.
BpeVocabulary parse_tokenizer_json(std::string_view text, const std::string& where);

// vocab.json, merges.txt and, when there, added_tokens.json.
BpeVocabulary read_vocab_and_merges(const std::filesystem::path& folder);

// Special tokens and chat template from tokenizer_config.json and special_tokens_map.json, where they are.
void read_tokenizer_config(const std::filesystem::path& folder, BpeVocabulary& vocabulary);

// tokenizer.json, tokenizer_config.json and special_tokens_map.json, as Hugging Face's tokenizers read them.
void save_tokenizer_folder(const BpeVocabulary& vocabulary, const std::filesystem::path& folder);

}  // namespace moellava
