#include "text/tokenizer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "text/sentencepiece_tokenizer.hpp"
#include "text/tokenizer_files.hpp"
#include "text/utf8.hpp"
#include "text/vocabulary_fields.hpp"

namespace moellava {

namespace fs = std::filesystem;

namespace {

WordPattern pattern_of_gguf(const std::string& pre, const std::string& where) {
  if (pre == "smollm") return WordPattern::SmolLm;
  if (pre == "gpt-2" || pre == "default" || pre.empty()) return WordPattern::Gpt2;
  if (pre == "qwen2") return WordPattern::Qwen2;
  if (pre == "llama-bpe") return WordPattern::Llama3;
  throw bad_data(where + ": tokenizer.ggml.pre", "unsupported word pattern",
                 {.found = "\"" + printable(pre) + "\"", .expected = "smollm, gpt-2, qwen2 or llama-bpe"});
}

// What is saved as JSON must be text.
void require_utf8(std::string_view text, const std::string& where, const std::string& at) {
  if (!is_utf8(text)) throw bad_data(where, "not UTF-8", {.found = "\"" + printable(text) + "\"", .at = at});
}

}  // namespace

std::vector<int32_t> Tokenizer::encode_text(std::string_view text, bool trusted) const {
  const TextPiece piece{.text = std::string(text), .trusted = trusted};
  return encode({&piece, 1}).ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (int32_t id : ids) {
    if (!skip_special || !is_special(id)) bytes += token_bytes(id);
  }
  return replace_invalid_utf8(bytes);
}

std::unique_ptr<Tokenizer> open_tokenizer_folder(const fs::path& folder) {
  // Llama's tokenizer.json says the same as tokenizer.model beside it, in steps that are not byte-level.
  if (fs::exists(folder / "tokenizer.model")) return open_sentencepiece(folder);
  BpeVocabulary vocabulary;
  const fs::path json = folder / "tokenizer.json";
  if (fs::exists(json)) {
    vocabulary = parse_tokenizer_json(read_file(json, kTokenizerFileLimits.bytes), json.string());
  } else if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt")) {
    vocabulary = read_vocab_and_merges(folder);
  } else if (const std::optional<fs::path> tiktoken = find_tiktoken(folder)) {
    vocabulary = parse_tiktoken(read_file(*tiktoken, kTokenizerFileLimits.bytes), *tiktoken);
  } else {
    throw make_error(
        ErrorKind::BadData, folder.string(), "no tokenizer that can be read",
        {.expected = "tokenizer.model, tokenizer.json, vocab.json with merges.txt, qwen.tiktoken or "
                     "arcade100k.tiktoken"});
  }
  read_tokenizer_config(folder, vocabulary);
  return make_byte_level_bpe(std::move(vocabulary), folder.string());
}

std::unique_ptr<Tokenizer> make_gguf_tokenizer(GgufVocabulary gguf, const std::string& where) {
  if (gguf.model != "gpt2") {
    throw bad_data(where + ": tokenizer.ggml.model", "unsupported",
                   {.found = "\"" + printable(gguf.model) + "\"", .expected = "\"gpt2\""});
  }
  if (gguf.types.size() != gguf.tokens.size()) {
    throw bad_data(
        where + ": tokenizer.ggml.token_type", "wrong length",
        {.found = std::to_string(gguf.types.size()), .expected = std::to_string(gguf.tokens.size())});
  }
  constexpr int64_t kControl = 3;
  constexpr int64_t kUserDefined = 4;
  BpeVocabulary vocabulary;
  vocabulary.pattern = pattern_of_gguf(gguf.pre, where);
  vocabulary.ignore_merges = vocabulary.pattern == WordPattern::Llama3;  // implied by the name in GGUF
  for (size_t i = 0; i < gguf.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    require_utf8(gguf.tokens[i], where + ": tokenizer.ggml.tokens", "id " + std::to_string(i));
    vocabulary.tokens.emplace_back(gguf.tokens[i], id);
    if (gguf.types[i] == kControl || gguf.types[i] == kUserDefined) {
      vocabulary.added.push_back({.text = gguf.tokens[i], .id = id, .special = gguf.types[i] == kControl});
    }
  }
  for (const std::string& merge : gguf.merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      throw bad_data(where + ": tokenizer.ggml.merges", "not a merge",
                     {.found = "\"" + printable(merge) + "\""});
    vocabulary.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  vocabulary.bos_id = gguf.bos_id;
  vocabulary.eos_id = gguf.eos_id;
  vocabulary.pad_id = gguf.pad_id;
  require_utf8(gguf.chat_template, where + ": tokenizer.chat_template", "");
  vocabulary.chat_template = std::move(gguf.chat_template);
  return make_byte_level_bpe(std::move(vocabulary), where);
}

std::string StreamDecoder::push(int32_t id) {
  if (!tokenizer_.is_special(id)) pending_ += tokenizer_.token_bytes(id);
  // Keep back the beginning of a character that the next token may finish.
  size_t kept = 0;
  for (size_t tail = std::min<size_t>(3, pending_.size()); tail > 0 && kept == 0; --tail) {
    if (utf8_is_incomplete(std::string_view(pending_).substr(pending_.size() - tail))) kept = tail;
  }
  std::string shown = replace_invalid_utf8(std::string_view(pending_).substr(0, pending_.size() - kept));
  pending_.erase(0, pending_.size() - kept);
  return shown;
}

std::string StreamDecoder::finish() {
  std::string rest = replace_invalid_utf8(pending_);
  pending_.clear();
  return rest;
}

}  // namespace moellava
