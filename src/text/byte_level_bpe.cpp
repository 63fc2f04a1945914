#include "text/byte_level_bpe.hpp"

#include <algorithm>
#include <queue>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

constexpr int32_t kLargestId = 1 << 24;
constexpr int32_t kNoToken = -1;

bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

// Code point of each byte.
std::array<unsigned, 256> make_alphabet() {
  std::array<unsigned, 256> alphabet{};
  unsigned moved = 256;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<size_t>(byte)] = stands_for_itself(byte) ? static_cast<unsigned>(byte) : moved++;
  }
  return alphabet;
}

const std::array<unsigned, 256>& alphabet() {
  static const std::array<unsigned, 256> kAlphabet = make_alphabet();
  return kAlphabet;
}

struct Merge {
  int32_t rank;
  int32_t result;
};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A stretch of the concatenated pieces with one property.
struct Range {
  size_t begin, end;
};

// Ranges in ascending order, asked for ascending positions.
bool overlaps(const std::vector<Range>& ranges, size_t begin, size_t end, size_t& hint) {
  while (hint < ranges.size() && ranges[hint].end <= begin) ++hint;
  return hint < ranges.size() && ranges[hint].begin < end;
}

bool contains(const std::vector<Range>& ranges, size_t begin, size_t end) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                      [](size_t at, const Range& r) { return at < r.begin; });
  return after != ranges.begin() && std::prev(after)->end >= end;
}

void append_range(std::vector<Range>& ranges, size_t begin, size_t end) {
  if (begin == end) return;
  if (!ranges.empty() && ranges.back().end == begin) {
    ranges.back().end = end;
  } else {
    ranges.push_back({begin, end});
  }
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

class ByteLevelBpe : public Tokenizer {
 public:
  ByteLevelBpe(BpeVocabulary vocabulary, const std::string& where);

  Encoding encode(std::span<const TextPiece> pieces) const override;
  std::string token_bytes(int32_t id) const override {
    return id >= 0 && id < size() ? bytes_[static_cast<size_t>(id)] : "";
  }
  bool is_special(int32_t id) const override {
    return id >= 0 && id < size() && special_[static_cast<size_t>(id)];
  }
  int32_t size() const override { return static_cast<int32_t>(bytes_.size()); }
  std::optional<int32_t> id_of(std::string_view token) const override {
    const auto found = id_by_spelling_.find(std::string(token));
    return found == id_by_spelling_.end() ? std::nullopt : std::optional(found->second);
  }
  void save(const std::filesystem::path& folder) const override {
    save_tokenizer_folder(vocabulary_, folder);
  }

 private:
  void add_tokens(const std::string& where);
  void add_merges(const std::string& where);
  const AddedToken* added_at(std::string_view text, size_t at, const std::vector<Range>& trusted) const;
  // Merges one word; calls emit(id, bytes) in order.
  void encode_word(std::string_view word, const std::function<void(int32_t, size_t)>& emit) const;

  BpeVocabulary vocabulary_;
  PreTokeniser pretokeniser_;
  std::vector<std::string> bytes_;  // [id]
  std::vector<bool> special_;       // [id]
  std::unordered_map<std::string, int32_t> id_by_spelling_;
  std::array<int32_t, 256> byte_ids_{};
  std::unordered_map<uint64_t, Merge> merges_;
  std::array<std::vector<const AddedToken*>, 256> added_by_first_byte_;  // longest first
};

ByteLevelBpe::ByteLevelBpe(BpeVocabulary vocabulary, const std::string& where)
    : vocabulary_(std::move(vocabulary)), pretokeniser_(vocabulary_.pattern) {
  add_tokens(where);
  add_merges(where);
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
  int32_t largest = -1;
  auto check = [&](const std::string& spelling, int32_t id) {
    if (spelling.empty()) throw bad_data(where, "empty token", {.at = "id " + std::to_string(id)});
    if (id < 0 || id > kLargestId) {
      throw bad_data(where, "token id out of range",
                     {.found = std::to_string(id) + " for \"" + printable(spelling) + "\"",
                      .expected = "0 to " + std::to_string(kLargestId)});
    }
    largest = std::max(largest, id);
  };
  for (const auto& [spelling, id] : vocabulary_.tokens) check(spelling, id);
  for (const AddedToken& token : vocabulary_.added) check(token.text, token.id);
  // Holes would allow a tiny file to ask for a lot of memory.
  const size_t entries = vocabulary_.tokens.size() + vocabulary_.added.size();
  if (static_cast<size_t>(largest) + 1 > 2 * entries + 1024) {
    throw bad_data(
        where, "token ids have a gap",
        {.found = "largest id " + std::to_string(largest), .expected = "about " + std::to_string(entries)});
  }
  bytes_.resize(static_cast<size_t>(largest) + 1);
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
    added_by_first_byte_[static_cast<unsigned char>(token.text[0])].push_back(&token);
  }
  for (auto& bucket : added_by_first_byte_) {
    std::stable_sort(bucket.begin(), bucket.end(), [](const AddedToken* a, const AddedToken* b) {
      return a->text.size() > b->text.size();
    });
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = id_by_spelling_.find(byte_spelling(static_cast<unsigned char>(byte)));
    // Some vocabularies (SmolLM2's) leave out control bytes; as in Hugging Face's tokenizers, those are
    // dropped.
    byte_ids_[static_cast<size_t>(byte)] = found == id_by_spelling_.end() ? kNoToken : found->second;
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
    merges_.emplace(pair_key(l->second, r->second),
                    Merge{rank, result->second});  // the first of two equal ones counts
    ++rank;
  }
}

const AddedToken* ByteLevelBpe::added_at(std::string_view text, size_t at,
                                         const std::vector<Range>& trusted) const {
  for (const AddedToken* token : added_by_first_byte_[static_cast<unsigned char>(text[at])]) {
    if (!text.substr(at).starts_with(token->text)) continue;
    if (!token->special || contains(trusted, at, at + token->text.size())) return token;
  }
  return nullptr;
}

void ByteLevelBpe::encode_word(std::string_view word,
                               const std::function<void(int32_t, size_t)>& emit) const {
  struct Symbol {
    int32_t id;
    int32_t previous, next;  // neighbours that still stand, -1 at the ends
    size_t bytes;            // 0 once merged away
  };
  struct Candidate {
    int32_t rank, left, right, left_id, right_id;
    bool operator>(const Candidate& other) const {
      return std::pair(rank, left) > std::pair(other.rank, other.left);
    }
  };
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    const int32_t next = i + 1 < word.size() ? at + 1 : -1;
    symbols.push_back({byte_ids_[static_cast<unsigned char>(word[i])], at - 1, next, 1});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const int32_t left_id = symbols[static_cast<size_t>(left)].id;
    const int32_t right_id = symbols[static_cast<size_t>(right)].id;
    const auto found = merges_.find(pair_key(left_id, right_id));
    if (found != merges_.end()) queue.push({found->second.rank, left, right, left_id, right_id});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    consider(static_cast<int32_t>(i), static_cast<int32_t>(i) + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    Symbol& right = symbols[static_cast<size_t>(best.right)];
    // Stale: one side has been merged since.
    if (left.bytes == 0 || right.bytes == 0 || left.id != best.left_id || right.id != best.right_id ||
        left.next != best.right)
      continue;
    left.id = merges_.at(pair_key(best.left_id, best.right_id)).result;
    left.bytes += right.bytes;
    right.bytes = 0;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.bytes > 0) emit(symbol.id, symbol.bytes);
  }
}

Encoding ByteLevelBpe::encode(std::span<const TextPiece> pieces) const {
  std::string text;
  std::vector<Range> trusted;
  std::vector<Range> target;
  for (const TextPiece& piece : pieces) {
    const size_t begin = text.size();
    text += piece.text;
    if (piece.trusted) append_range(trusted, begin, text.size());
    if (piece.target) append_range(target, begin, text.size());
  }

  Encoding encoding;
  size_t hint = 0;
  auto emit = [&](int32_t id, size_t begin, size_t end) {
    if (id == kNoToken) return;
    encoding.ids.push_back(id);
    encoding.target.push_back(overlaps(target, begin, end, hint));
  };
  auto encode_words = [&](size_t begin, size_t end) {
    size_t at = begin;
    pretokeniser_.split(std::string_view(text).substr(begin, end - begin), [&](std::string_view word) {
      encode_word(word, [&](int32_t id, size_t bytes) {
        emit(id, at, at + bytes);
        at += bytes;
      });
    });
  };
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = added_at(text, at, trusted);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->text.size();
    while (token->lstrip && begin > done && is_space(text[begin - 1])) --begin;
    while (token->rstrip && end < text.size() && is_space(text[end])) ++end;
    encode_words(done, begin);
    emit(token->id, at, at + token->text.size());
    done = at = end;
  }
  encode_words(done, text.size());
  return encoding;
}

}  // namespace

std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeVocabulary vocabulary, const std::string& where) {
  return std::make_unique<ByteLevelBpe>(std::move(vocabulary), where);
}

std::string byte_spelling(unsigned char byte) {
  return utf8_encode(alphabet()[byte]);
}

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (char byte : bytes) spelling += byte_spelling(static_cast<unsigned char>(byte));
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  static const std::unordered_map<std::string, char> kBytes = [] {
    std::unordered_map<std::string, char> bytes;
    for (int byte = 0; byte < 256; ++byte)
      bytes[byte_spelling(static_cast<unsigned char>(byte))] = static_cast<char>(byte);
    return bytes;
  }();
  std::string bytes;
  while (!spelling.empty()) {
    const size_t length = utf8_length(spelling);
    const auto found = kBytes.find(std::string(spelling.substr(0, length)));
    if (length == 0 || found == kBytes.end()) return std::nullopt;
    bytes += found->second;
    spelling.remove_prefix(length);
  }
  return bytes;
}

}  // namespace moellava
