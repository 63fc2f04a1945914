// GPT-2's byte-level byte-pair encoding, built from a vocabulary that a reader of some file has filled.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/pretokenise.hpp"
#include "text/tokenizer.hpp"

namespace moellava {

// A token that is found in the text before words are cut.
struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;  // found in trusted text only, and left out when decoding skips special tokens
  bool lstrip = false;   // takes the white space before it along
  bool rstrip = false;   // and behind it
};

struct BpeVocabulary {
  // Spellings in GPT-2's byte alphabet ("Ġcat"); ids need not be without gaps.
  std::vector<std::pair<std::string, int32_t>> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // best first
  std::vector<AddedToken> added;
  WordPattern pattern = WordPattern::Gpt2;
  std::optional<int32_t> bos_id, eos_id, pad_id;
  std::string chat_template;
};

// Throws BadData naming `where` for duplicate or impossible ids and merges of unknown tokens.
// A byte without a token is dropped when encoding.
std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeVocabulary vocabulary, const std::string& where);

// GPT-2's alphabet: printable bytes stand for themselves, the others are numbered from U+0100.
std::string byte_spelling(unsigned char byte);  // UTF-8 of the byte's character
std::string spell_bytes(std::string_view bytes);
std::optional<std::string> bytes_of_spelling(
    std::string_view spelling);  // nothing when a character is not of the alphabet

}  // namespace moellava
