// printf into a string. (Not fmt: where torch's headers are, they bring their own newer fmt, which Debian's
// library does not link with.)
#pragma once

#include <string>

namespace moellava {

[[gnu::format(printf, 1, 2)]] std::string string_printf(const char* format, ...);

}  // namespace moellava
