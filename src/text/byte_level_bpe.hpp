// GPT-2's byte-level byte-pair encoding, built from a vocabulary that a reader of some file has filled.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/added_tokens.hpp"
#include "text/byte_alphabet.hpp"
#include "text/pretokenise.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

struct BpeVocabulary {
  // Spellings in GPT-2's byte alphabet ("Ġcat"); ids need not be without gaps.
  std::vector<std::pair<std::string, int32_t>> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // best first; of equal ones the last counts
  std::vector<AddedToken> added;
  WordPattern pattern = WordPattern::Gpt2;
  bool nfc = false;            // texts are brought to Normalization Form C first
  bool ignore_merges = false;  // a word that is a token is not built from its parts (Llama 3)
  std::optional<int32_t> bos_id, eos_id, pad_id;
  std::string chat_template;
};

// Throws BadData naming `where` for duplicate or impossible ids and merges of unknown tokens.
// The tokenizer may be used by several threads. A byte without a token is dropped when encoding; texts of
// more than 1 GiB are refused with a Limit error.
std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeVocabulary vocabulary, const std::string& where);

}  // namespace moellava
