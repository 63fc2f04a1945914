// JSON that is a part of a larger text.
#pragma once

#include "base/json.hpp"

namespace moellava {

// Where a part begins in its text, counted from 1.
struct TextPosition {
  size_t line = 1;
  size_t column = 1;
};

// As parse_json, but errors give positions in the larger text.
Json parse_json_part(std::string_view part, TextPosition begin, std::string_view where,
                     JsonLimits limits = {});

}  // namespace moellava
