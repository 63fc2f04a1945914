// Vocabularies in tiktoken's form, "<base64 of the bytes> <rank>" a line: qwen.tiktoken of Qwen (v1) and
// arcade100k.tiktoken of StableLM-2. The files do not hold the special tokens; the tokenizer classes do.
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "base/error.hpp"
#include "text/tokenizer_files.hpp"
#include "text/vocabulary_fields.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

// Ids of special tokens follow the largest rank: at once (Qwen), or after one that nobody uses (Arcade).
struct TiktokenKind {
  std::string_view file;
  int32_t first_special;  // behind the last rank
  std::vector<std::string> (*special)();
  std::string_view pad;
};

std::vector<std::string> qwen_special() {
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) names.push_back("<|extra_" + std::to_string(i) + "|>");
  return names;
}

std::vector<std::string> arcade_special() {
  return {"<|endoftext|>",   "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",   "<|fim_pad|>",
          "<gh_stars>",      "<filename>",     "<issue_start>",  "<issue_comment>",  "<issue_closed>",
          "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<empty_output>",
          "<commit_before>", "<commit_msg>",   "<commit_after>", "<reponame>",       "<|endofprompt|>",
          "<|im_start|>",    "<|im_end|>",     "<|pause|>",      "<|reg0|>",         "<|reg1|>",
          "<|reg2|>",        "<|reg3|>",       "<|reg4|>",       "<|reg5|>",         "<|reg6|>",
          "<|reg7|>",        "<|extra0|>"};
}

constexpr TiktokenKind kKinds[] = {{"qwen.tiktoken", 0, qwen_special, "<|extra_0|>"},
                                   {"arcade100k.tiktoken", 1, arcade_special, "<|reg0|>"}};

// Nothing when `text` is not canonical base64.
std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool pad = i + padding >= text.size();
    const size_t digit = pad ? 0 : kDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift & 0xff);
    bits = 0;
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

constexpr size_t kLongestToken = 256;  // bytes; the longest known is 128 spaces

using Ranks = std::unordered_map<std::string, int32_t>;

void read_line(std::string_view line, const std::string& where, Ranks& ranks) {
  const size_t space = line.find(' ');
  const std::optional<std::string> bytes = decode_base64(line.substr(0, space));
  int32_t rank = -1;
  if (space != std::string_view::npos) {
    const char* end = line.data() + line.size();
    const auto [stop, failure] = std::from_chars(line.data() + space + 1, end, rank);
    if (failure != std::errc() || stop != end) rank = -1;
  }
  if (!bytes || rank < 0 || rank > kLargestTokenId) {
    throw bad_data(where, "not a token",
                   {.found = "\"" + printable(line) + "\"", .expected = "base64, a space and a rank"});
  }
  if (bytes->size() > kLongestToken)
    throw bad_data(where, "token too long",
                   {.found = std::to_string(bytes->size()) + " bytes",
                    .expected = "at most " + std::to_string(kLongestToken)});
  if (!ranks.emplace(*bytes, rank).second)
    throw bad_data(where, "duplicate token", {.found = "\"" + printable(*bytes) + "\""});
}

Ranks read_ranks(std::string_view content, const std::string& where) {
  Ranks ranks;
  size_t number = 0;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    ++number;
    if (end > begin)
      read_line(content.substr(begin, end - begin), where + " line " + std::to_string(number), ranks);
    begin = end + 1;
  }
  if (ranks.empty()) throw bad_data(where, "holds no token");
  return ranks;
}

// tiktoken merges any two neighbours that together are a token, the lowest rank first: each way to cut a
// token into two tokens is a merge of that token's rank.
void add_every_cut(const Ranks& ranks, BpeVocabulary& vocabulary) {
  std::vector<std::pair<int32_t, const std::string*>> by_rank;
  for (const auto& [bytes, rank] : ranks) by_rank.emplace_back(rank, &bytes);
  std::sort(by_rank.begin(), by_rank.end());
  for (const auto& [rank, bytes] : by_rank) {
    vocabulary.tokens.emplace_back(spell_bytes(*bytes), rank);
    for (size_t cut = 1; cut < bytes->size(); ++cut) {
      std::string left = bytes->substr(0, cut);
      std::string right = bytes->substr(cut);
      if (ranks.contains(left) && ranks.contains(right))
        vocabulary.merges.emplace_back(spell_bytes(left), spell_bytes(right));
    }
  }
}

}  // namespace

std::optional<fs::path> find_tiktoken(const fs::path& folder) {
  for (const TiktokenKind& kind : kKinds) {
    if (fs::exists(folder / kind.file)) return folder / kind.file;
  }
  return std::nullopt;
}

BpeVocabulary parse_tiktoken(std::string_view content, const fs::path& path) {
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const TiktokenKind& known) { return path.filename() == known.file; });
  if (kind == std::end(kKinds)) throw bad_data(path.string(), "no known .tiktoken file");
  const Ranks ranks = read_ranks(content, path.string());
  BpeVocabulary vocabulary;
  vocabulary.pattern = WordPattern::Qwen2;
  vocabulary.ignore_merges = true;  // a word that is a token is that token
  vocabulary.nfc = true;
  add_every_cut(ranks, vocabulary);
  int32_t id = vocabulary.tokens.back().second + 1 + kind->first_special;
  for (std::string& name : kind->special()) {
    if (name == "<|endoftext|>") vocabulary.eos_id = id;
    if (name == kind->pad) vocabulary.pad_id = id;
    vocabulary.added.push_back({.text = std::move(name), .id = id++, .special = true});
  }
  return vocabulary;
}

}  // namespace moellava
