// A spreadsheet as Office Open XML (.xlsx), which MMBench's server takes.
#pragma once

#include <string>
#include <vector>

namespace moellava {

// The bytes of a file with one sheet. A cell that is a whole number below 2^53 in the usual spelling becomes
// one, all others are text; bytes that are no UTF-8 and characters that XML cannot hold become U+FFFD. Equal
// rows have equal bytes.
std::string spreadsheet(const std::vector<std::vector<std::string>>& rows);

}  // namespace moellava
