// Base64, as pictures in tables are written.
#pragma once

#include <string>
#include <string_view>

namespace moellava {

// Padded or not; white space is skipped. Throws BadData naming `where` for anything else.
std::string decode_base64(std::string_view text, std::string_view where);

}  // namespace moellava
