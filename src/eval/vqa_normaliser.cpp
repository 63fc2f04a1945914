#include "eval/vqa_normaliser.hpp"

#include <utf8proc.h>

#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/strings.hpp"
#include "text/utf8.hpp"

namespace moellava {

namespace {

using Words = std::unordered_map<std::string_view, std::string_view>;

// Those of the published list that can be met: words are in lower case by then, and "'s" stands apart.
const Words& contractions() {
  static const Words words{{"'ows'at", "'ow's'at"},
                           {"aint", "ain't"},
                           {"arent", "aren't"},
                           {"cant", "can't"},
                           {"couldn'tve", "couldn't've"},
                           {"couldnt", "couldn't"},
                           {"couldnt've", "couldn't've"},
                           {"couldve", "could've"},
                           {"didnt", "didn't"},
                           {"doesnt", "doesn't"},
                           {"dont", "don't"},
                           {"hadn'tve", "hadn't've"},
                           {"hadnt", "hadn't"},
                           {"hadnt've", "hadn't've"},
                           {"hasnt", "hasn't"},
                           {"havent", "haven't"},
                           {"he'dve", "he'd've"},
                           {"hed", "he'd"},
                           {"hed've", "he'd've"},
                           {"hes", "he's"},
                           {"howd", "how'd"},
                           {"howll", "how'll"},
                           {"hows", "how's"},
                           {"isnt", "isn't"},
                           {"it'dve", "it'd've"},
                           {"itd", "it'd"},
                           {"itd've", "it'd've"},
                           {"itll", "it'll"},
                           {"maam", "ma'am"},
                           {"mightn'tve", "mightn't've"},
                           {"mightnt", "mightn't"},
                           {"mightnt've", "mightn't've"},
                           {"mightve", "might've"},
                           {"mustnt", "mustn't"},
                           {"mustve", "must've"},
                           {"neednt", "needn't"},
                           {"notve", "not've"},
                           {"oclock", "o'clock"},
                           {"oughtnt", "oughtn't"},
                           {"shant", "shan't"},
                           {"she'dve", "she'd've"},
                           {"shed've", "she'd've"},
                           {"shouldn'tve", "shouldn't've"},
                           {"shouldnt", "shouldn't"},
                           {"shouldnt've", "shouldn't've"},
                           {"shouldve", "should've"},
                           {"somebody'd", "somebodyd"},
                           {"somebody'dve", "somebody'd've"},
                           {"somebodyd've", "somebody'd've"},
                           {"somebodyll", "somebody'll"},
                           {"somebodys", "somebody's"},
                           {"someone'dve", "someone'd've"},
                           {"someoned", "someone'd"},
                           {"someoned've", "someone'd've"},
                           {"someonell", "someone'll"},
                           {"someones", "someone's"},
                           {"something'dve", "something'd've"},
                           {"somethingd", "something'd"},
                           {"somethingd've", "something'd've"},
                           {"somethingll", "something'll"},
                           {"thats", "that's"},
                           {"there'dve", "there'd've"},
                           {"thered", "there'd"},
                           {"thered've", "there'd've"},
                           {"therere", "there're"},
                           {"theres", "there's"},
                           {"they'dve", "they'd've"},
                           {"theyd", "they'd"},
                           {"theyd've", "they'd've"},
                           {"theyll", "they'll"},
                           {"theyre", "they're"},
                           {"theyve", "they've"},
                           {"twas", "'twas"},
                           {"wasnt", "wasn't"},
                           {"we'dve", "we'd've"},
                           {"wed've", "we'd've"},
                           {"werent", "weren't"},
                           {"weve", "we've"},
                           {"whatll", "what'll"},
                           {"whatre", "what're"},
                           {"whats", "what's"},
                           {"whatve", "what've"},
                           {"whens", "when's"},
                           {"whered", "where'd"},
                           {"wheres", "where's"},
                           {"whereve", "where've"},
                           {"who'dve", "who'd've"},
                           {"whod", "who'd"},
                           {"whod've", "who'd've"},
                           {"wholl", "who'll"},
                           {"whos", "who's"},
                           {"whove", "who've"},
                           {"whyll", "why'll"},
                           {"whyre", "why're"},
                           {"whys", "why's"},
                           {"wont", "won't"},
                           {"wouldn'tve", "wouldn't've"},
                           {"wouldnt", "wouldn't"},
                           {"wouldnt've", "wouldn't've"},
                           {"wouldve", "would've"},
                           {"y'all'dve", "y'all'd've"},
                           {"y'alld've", "y'all'd've"},
                           {"y'allll", "y'all'll"},
                           {"yall", "y'all"},
                           {"yall'd've", "y'all'd've"},
                           {"yall'll", "y'all'll"},
                           {"you'dve", "you'd've"},
                           {"youd", "you'd"},
                           {"youd've", "you'd've"},
                           {"youll", "you'll"},
                           {"youre", "you're"},
                           {"youve", "you've"}};
  return words;
}

const Words& number_words() {
  static const Words words{{"none", "0"},  {"zero", "0"},  {"one", "1"},  {"two", "2"},
                           {"three", "3"}, {"four", "4"},  {"five", "5"}, {"six", "6"},
                           {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}};
  return words;
}

utf8proc_int32_t code_point(std::string_view character) {
  utf8proc_int32_t code = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &code);
  return code;
}

// The words of valid UTF-8 between white space, as Python's str.split has it: U+001C to U+001F divide, too.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (size_t length = 0; !text.empty(); text.remove_prefix(length)) {
    length = utf8_length(text);
    const std::string_view character = text.substr(0, length);
    if (is_white_space(character) || (character >= "\x1c" && character <= "\x1f")) {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += character;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// A mark is dropped everywhere when it stands beside a blank anywhere, else every one becomes a blank.
std::string without_punctuation(const std::string& text) {
  std::string result = text;
  for (const char mark : std::string_view(";/[]\"{}()=+\\_-><@`,?!")) {
    const std::string m(1, mark);
    const bool beside_blank =
        text.find(m + " ") != std::string::npos || text.find(" " + m) != std::string::npos;
    result = replace_all(result, m, beside_blank ? "" : " ");
  }
  return result;
}

// Drops periods that no digit follows, at most the first 32: the published code passes a flag of that value
// where the largest number of replacements belongs.
std::string without_periods(std::string_view text) {
  std::string result;
  int dropped = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' && dropped < 32) {
      const std::string_view next = text.substr(i + 1, utf8_length(text.substr(i + 1)));
      const bool digit = !next.empty() && utf8proc_category(code_point(next)) == UTF8PROC_CATEGORY_ND;
      if (!digit) {
        ++dropped;
        continue;
      }
    }
    result += text[i];
  }
  return result;
}

std::string trimmed(std::string_view text) {
  const auto is_blank = [](char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
  };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

}  // namespace

std::string unicode_lower_case(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::string_view rest = valid;
  std::string lower;
  for (size_t length = 0; !rest.empty(); rest.remove_prefix(length)) {
    length = utf8_length(rest);
    const utf8proc_int32_t code = code_point(rest.substr(0, length));
    // U+0130, the only letter whose lower case is two: i and a dot above.
    lower += code == 0x130 ? "i\xcc\x87" : utf8_encode(static_cast<unsigned>(utf8proc_tolower(code)));
  }
  return lower;
}

std::string normalise_vqa_answer(std::string_view answer) {
  std::string text = unicode_lower_case(answer);
  for (const std::string_view dropped : {",", "?"}) text = replace_all(text, dropped, "");
  text = trimmed(replace_all(text, "'s", " 's"));
  for (const std::string_view blank : {"\n", "\t"}) text = replace_all(text, blank, " ");
  std::string result;
  for (std::string word : words_of(without_periods(without_punctuation(trimmed(text))))) {
    if (const auto digits = number_words().find(word); digits != number_words().end()) word = digits->second;
    if (word == "a" || word == "an" || word == "the") continue;
    if (const auto full = contractions().find(word); full != contractions().end()) word = full->second;
    result += (result.empty() ? "" : " ") + word;
  }
  return result;
}

}  // namespace moellava
