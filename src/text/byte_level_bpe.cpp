#include "text/byte_level_bpe.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/normalise.hpp"
#include "text/pair_merger.hpp"
#include "text/table_tokenizer.hpp"
#include "text/tokenizer_files.hpp"

namespace moellava {

namespace {

constexpr int32_t kLargestId = 1 << 24;
constexpr size_t kLargestText = 1 << 30;

class ByteLevelBpe : public TableTokenizer {
 public:
  ByteLevelBpe(BpeVocabulary vocabulary, const std::string& where);

  void save(const std::filesystem::path& folder) const override {
    save_tokenizer_folder(vocabulary_, folder);
  }

 protected:
  void encode_words(std::string_view words, const Emit& emit) const override;
  std::string normalised(const std::string& piece) const override {
    return vocabulary_.nfc ? to_nfc(piece) : piece;
  }

 private:
  void add_tokens(const std::string& where);
  void add_merges(const std::string& where);
  void prepare_merger();

  BpeVocabulary vocabulary_;
  PreTokeniser pretokeniser_;
  PairMerger merger_;
};

ByteLevelBpe::ByteLevelBpe(BpeVocabulary vocabulary, const std::string& where)
    : TableTokenizer(kLargestText), vocabulary_(std::move(vocabulary)), pretokeniser_(vocabulary_.pattern) {
  add_tokens(where);
  add_merges(where);
  prepare_merger();
  bos_id = vocabulary_.bos_id;
  eos_id = vocabulary_.eos_id;
  pad_id = vocabulary_.pad_id;
  chat_template = vocabulary_.chat_template;
  for (const auto& id : {bos_id, eos_id, pad_id}) {
    if (id && (*id < 0 || *id >= size())) {
      throw bad_data(where, "special token id out of range",
                     {.found = std::to_string(*id), .expected = "less than " + std::to_string(size())});
    }
  }
}

void ByteLevelBpe::add_tokens(const std::string& where) {
  size_t needed = 0;  // largest id + 1
  auto check = [&](const std::string& spelling, int32_t id) {
    if (spelling.empty()) throw bad_data(where, "empty token", {.at = "id " + std::to_string(id)});
    if (id < 0 || id > kLargestId) {
      throw bad_data(where, "token id out of range",
                     {.found = std::to_string(id) + " for \"" + printable(spelling) + "\"",
                      .expected = "0 to " + std::to_string(kLargestId)});
    }
    needed = std::max(needed, static_cast<size_t>(id) + 1);
  };
  for (const auto& [spelling, id] : vocabulary_.tokens) check(spelling, id);
  for (const AddedToken& token : vocabulary_.added) check(token.text, token.id);
  if (needed > 0) require_dense_ids(needed - 1, vocabulary_.tokens.size() + vocabulary_.added.size(), where);
  bytes_.resize(needed);
  special_.resize(bytes_.size());

  std::vector<bool> taken(bytes_.size());
  for (const auto& [spelling, id] : vocabulary_.tokens) {
    const auto index = static_cast<size_t>(id);
    if (taken[index])
      throw bad_data(where, "duplicate token id",
                     {.found = std::to_string(id) + " for \"" + printable(spelling) + "\""});
    if (!id_by_spelling_.emplace(spelling, id).second)
      throw bad_data(where, "duplicate token", {.found = "\"" + printable(spelling) + "\""});
    taken[index] = true;
    // A token outside the alphabet (a special one kept in the vocabulary) is its own spelling.
    bytes_[index] = bytes_of_spelling(spelling).value_or(spelling);
  }
  for (const AddedToken& token : vocabulary_.added) {
    const auto index = static_cast<size_t>(token.id);
    const auto known = id_by_spelling_.find(token.text);
    if (known != id_by_spelling_.end() ? known->second != token.id : taken[index]) {
      throw bad_data(where, "added token clashes with another id",
                     {.found = "\"" + printable(token.text) + "\" as " + std::to_string(token.id)});
    }
    taken[index] = true;
    id_by_spelling_[token.text] = token.id;
    bytes_[index] = token.text;
    special_[index] = token.special;
    added_.add(token);
  }
}

void ByteLevelBpe::prepare_merger() {
  for (int byte = 0; byte < 256; ++byte) {
    // Some vocabularies (SmolLM2's) leave out control bytes; as in Hugging Face's tokenizers, those are
    // dropped.
    if (const auto id = id_of(byte_spelling(static_cast<unsigned char>(byte))))
      merger_.set_byte(static_cast<unsigned char>(byte), *id);
  }
  if (!vocabulary_.ignore_merges) return;
  for (const auto& [spelling, id] : vocabulary_.tokens) {
    // What is special must not be typed.
    if (const auto bytes = bytes_of_spelling(spelling); bytes && !is_special(id))
      merger_.add_whole_word(*bytes, id);
  }
}

void ByteLevelBpe::add_merges(const std::string& where) {
  int32_t rank = 0;
  for (const auto& [left, right] : vocabulary_.merges) {
    const auto l = id_by_spelling_.find(left);
    const auto r = id_by_spelling_.find(right);
    const auto result = id_by_spelling_.find(left + right);
    if (l == id_by_spelling_.end() || r == id_by_spelling_.end() || result == id_by_spelling_.end()) {
      throw bad_data(where, "merge of an unknown token",
                     {.found = "\"" + printable(left) + " " + printable(right) + "\"",
                      .at = "merge " + std::to_string(rank)});
    }
    merger_.add_merge(l->second, r->second, rank++, result->second);
  }
}

void ByteLevelBpe::encode_words(std::string_view words, const Emit& emit) const {
  std::vector<PairMerger::Token> tokens;
  size_t at = 0;
  pretokeniser_.split(words, [&](std::string_view word) {
    merger_.merge(word, tokens);
    for (const PairMerger::Token& token : tokens) emit(token.id, at + token.begin, at + token.end);
    at += word.size();
  });
}

}  // namespace

std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeVocabulary vocabulary, const std::string& where) {
  return std::make_unique<ByteLevelBpe>(std::move(vocabulary), where);
}

}  // namespace moellava
