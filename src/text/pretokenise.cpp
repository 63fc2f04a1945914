#include "text/pretokenise.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <vector>

#include "base/error.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

constexpr std::string_view kDigits = R"(\p{N})";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Unicode's White_Space, which is what \s means where these patterns come from; PCRE2's own \s has U+180E
// too.
constexpr std::string_view kWhiteSpace = R"(\t-\r\x{85}\p{Z})";

// `source` with \s and \S written out.
std::string with_unicode_white_space(std::string_view source) {
  std::string pattern;
  bool in_class = false;
  for (size_t i = 0; i < source.size(); ++i) {
    const std::string_view two = source.substr(i, 2);
    if (two == R"(\s)" && in_class) {
      pattern += kWhiteSpace;
    } else if (two == R"(\s)" || two == R"(\S)") {
      pattern.append(two == R"(\s)" ? "[" : "[^").append(kWhiteSpace).append("]");
    } else if (two[0] == '\\') {
      pattern += two;
    } else {
      if (two[0] == '[') in_class = true;
      if (two[0] == ']') in_class = false;
      pattern += two[0];
      continue;
    }
    ++i;  // the letter behind the backslash
  }
  return pattern;
}

// Steps that one match may take: more than these patterns need, and still linear in the text.
uint32_t match_limit(size_t bytes) {
  return static_cast<uint32_t>(std::min<size_t>(10'000 + 16 * bytes, UINT32_MAX));
}

// One compiled expression; matches and the text between them are words.
class Splitter {
 public:
  explicit Splitter(std::string_view expression) {
    const std::string source = with_unicode_white_space(expression);
    int error = 0;
    PCRE2_SIZE at = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    if (!code_) throw make_error(ErrorKind::Internal, "word pattern", "does not compile");
    // Without JIT it is slower and gives the same.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  // `text` is valid UTF-8.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const {
    if (text.empty()) return;
    // Made for each call: the compiled expression is shared by threads, these are not.
    const std::unique_ptr<pcre2_match_data, Free> match(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const std::unique_ptr<pcre2_match_context, Free> context(pcre2_match_context_create(nullptr));
    if (!match || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), match_limit(text.size()));
    size_t done = 0;
    while (done < text.size()) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), done,
                                    PCRE2_NO_UTF_CHECK, match.get(), context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0)
        throw limit_error("text", "too hard to cut into words", {.at = "byte " + std::to_string(done)});
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
      if (range[0] > done) word(text.substr(done, range[0] - done));
      word(text.substr(range[0], range[1] - range[0]));
      done = range[1];
    }
    if (done < text.size()) word(text.substr(done));
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
};

}  // namespace

std::string_view pattern_source(WordPattern pattern) {
  switch (pattern) {
    case WordPattern::Gpt2:
      return kGpt2;
    case WordPattern::SmolLm:
      return "";
    case WordPattern::Qwen2:
      return kQwen2;
    case WordPattern::Llama3:
      return kLlama3;
  }
  return "";
}

struct PreTokeniser::Compiled {
  WordPattern pattern;
  std::vector<Splitter> steps;  // each cuts the words of the one before
};

PreTokeniser::PreTokeniser(WordPattern pattern) : compiled_(std::make_unique<Compiled>()) {
  compiled_->pattern = pattern;
  if (pattern == WordPattern::SmolLm) {
    compiled_->steps.emplace_back(kDigits);
    compiled_->steps.emplace_back(kGpt2);
  } else {
    compiled_->steps.emplace_back(pattern_source(pattern));
  }
}

PreTokeniser::~PreTokeniser() = default;
PreTokeniser::PreTokeniser(PreTokeniser&&) noexcept = default;
PreTokeniser& PreTokeniser::operator=(PreTokeniser&&) noexcept = default;

WordPattern PreTokeniser::pattern() const {
  return compiled_->pattern;
}

void PreTokeniser::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  const std::vector<Splitter>& steps = compiled_->steps;
  auto split_valid = [&](std::string_view valid) {
    steps[0].split(valid, [&](std::string_view part) {
      if (steps.size() == 1) return word(part);
      steps[1].split(part, word);
    });
  };
  size_t begin = 0;
  size_t end = 0;
  while (end < text.size()) {
    const size_t length = utf8_length(text.substr(end, 4));
    if (length > 0) {
      end += length;
      continue;
    }
    split_valid(text.substr(begin, end - begin));
    word(text.substr(end, 1));
    begin = ++end;
  }
  split_valid(text.substr(begin));
}

}  // namespace moellava
