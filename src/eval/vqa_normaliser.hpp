// How VQA answers are made comparable: EvalAI's processing of VQAv2, TextVQA and VizWiz, as "m4c" and the
// original have it. Its oddities are kept, since scores are only comparable with them.
#pragma once

#include <string>
#include <string_view>

namespace moellava {

// Lower case; punctuation, articles and most periods dropped; number words to digits; apostrophes put into
// contractions; single blanks: "Two Dogs." -> "2 dogs".
std::string normalise_vqa_answer(std::string_view answer);

// Unicode lower case, as Python's str.lower but for a final sigma. Bytes that are no UTF-8 become U+FFFD.
std::string unicode_lower_case(std::string_view text);

}  // namespace moellava
