// What answers are compared by.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moellava {

// ASCII letters only.
std::string lower_case(std::string_view text);

// Without the blanks, tabs and line breaks at both ends.
std::string_view trimmed(std::string_view text);

// The letters (ASCII) a text begins with after white space, in lower case: "yes" of "Yes, there is one."
std::string first_word(std::string_view text);

// The numbers of a text that holds nothing but numbers and blanks; none for any other text.
std::optional<std::vector<double>> numbers_of(std::string_view text);

}  // namespace moellava
