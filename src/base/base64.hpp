// Base64: pictures as text, in tables and in pages.
#pragma once

#include <string>
#include <string_view>

namespace moellava {

// Padded or not; white space is skipped. Throws BadData naming `where` for anything else.
std::string decode_base64(std::string_view text, std::string_view where);
std::string encode_base64(std::string_view bytes);  // padded, in one line

}  // namespace moellava
