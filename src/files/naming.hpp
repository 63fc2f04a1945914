// How errors name things out of a file.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace moellava {

inline std::string in_quotes(std::string_view name) {
  return "\"" + printable(name) + "\"";
}

// `where: tensor "name"`
inline std::string tensor_at(const std::string& where, std::string_view name) {
  return where + ": tensor " + in_quotes(name);
}

}  // namespace moellava
