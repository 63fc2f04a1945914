// Words to ids and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

// A stretch of text. Special tokens ("<|im_end|>") are recognised only in trusted pieces, so that nobody can
// type one; neighbouring pieces are otherwise tokenised as one text. `target` marks what a model is trained
// to say.
struct TextPiece {
  std::string text;
  bool trusted = false;
  bool target = false;
};

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<bool> target;  // [ids]: the token holds at least one byte of a target piece
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual Encoding encode(std::span<const TextPiece> pieces) const = 0;
  // Bytes of one id: what it adds to the decoded text. Special tokens give their spelling.
  virtual std::string token_bytes(int32_t id) const = 0;
  virtual bool is_special(int32_t id) const = 0;
  virtual int32_t size() const = 0;  // largest id + 1, special tokens included
  virtual std::optional<int32_t> id_of(
      std::string_view token) const = 0;  // by exact spelling, special tokens too
  // Writes the files from which open_tokenizer_folder reads the same tokenizer back.
  virtual void save(const std::filesystem::path& folder) const = 0;

  std::vector<int32_t> encode_text(std::string_view text, bool trusted = false) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  std::optional<int32_t> bos_id, eos_id, pad_id;
  bool adds_bos = false;      // a text of its own begins with bos_id; encode leaves it out
  std::string chat_template;  // Jinja source as found, "" when there is none; never run
};

// tokenizer.model, tokenizer.json, vocab.json + merges.txt (+ added_tokens.json), qwen.tiktoken or
// arcade100k.tiktoken, the first that is there, with tokenizer_config.json and
// special_tokens_map.json beside them.
std::unique_ptr<Tokenizer> open_tokenizer_folder(const std::filesystem::path& folder);

// What a GGUF file says about its tokenizer; the caller takes it from the metadata.
struct GgufVocabulary {
  std::string model;  // tokenizer.ggml.model: "gpt2"
  std::string pre;    // tokenizer.ggml.pre: "smollm"
  std::vector<std::string> tokens;
  std::vector<int64_t> types;  // 1 normal, 3 control, 4 user defined
  std::vector<std::string> merges;
  std::optional<int32_t> bos_id, eos_id, pad_id;
  std::string chat_template;
};
std::unique_ptr<Tokenizer> make_gguf_tokenizer(GgufVocabulary vocabulary, const std::string& where);

// Turns a stream of ids into text without ever cutting a UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string push(int32_t id);  // what can be shown now
  std::string finish();          // the rest; an unfinished character becomes U+FFFD

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace moellava
