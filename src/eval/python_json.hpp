// JSON spaced and escaped as Python's json.dump writes it, so that files for a server are the original's byte
// for byte.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"

namespace moellava {

// {"question_id": 7, "answer": "caf\u00e9"}
inline std::string python_record(const std::vector<std::pair<std::string, Json>>& fields) {
  std::string text;
  for (const auto& [name, value] : fields) {
    text += (text.empty() ? "" : ", ") + Json(name).dump() + ": ";
    text += value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  }
  return "{" + text + "}";
}

inline std::string python_list(const std::vector<std::string>& records) {
  std::string text;
  for (const std::string& record : records) text += (text.empty() ? "" : ", ") + record;
  return "[" + text + "]";
}

}  // namespace moellava
