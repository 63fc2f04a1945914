// Unicode normalisation.
#pragma once

#include <string>
#include <string_view>

namespace moellava {

// Normalization Form C. Bytes that are not UTF-8 stay as they are.
std::string to_nfc(std::string_view text);

}  // namespace moellava
