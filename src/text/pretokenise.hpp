// Cutting text into the words that byte-pair merging never crosses. Patterns are known ones, compiled in: no
// regular expression out of a file is ever run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace moellava {

enum class WordPattern {
  Gpt2,    // GPT-2's pattern
  SmolLm,  // every digit by itself, then GPT-2's pattern
  Qwen2,   // digits one by one, letters with one leading other character, newlines together
  Llama3,  // as Qwen2 with digits in threes
};

// The regular expression as tokenizer.json spells it, "" for SmolLm, which is two steps.
std::string_view pattern_source(WordPattern pattern);

class PreTokeniser {
 public:
  explicit PreTokeniser(WordPattern pattern);
  ~PreTokeniser();
  PreTokeniser(PreTokeniser&&) noexcept;
  PreTokeniser& operator=(PreTokeniser&&) noexcept;

  WordPattern pattern() const;
  // Calls `word` with consecutive stretches that together are `text`. Bytes that are not UTF-8 are words by
  // themselves. Safe to call from several threads.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace moellava
