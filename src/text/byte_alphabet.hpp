// GPT-2's alphabet: printable bytes stand for themselves, the others are numbered from U+0100. Vocabularies
// are spelled in it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moellava {

std::string byte_spelling(unsigned char byte);  // UTF-8 of the byte's character
std::string spell_bytes(std::string_view bytes);
// Nothing when a character is not of the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace moellava
