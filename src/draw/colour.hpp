// Colours by number and by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace moellava {

struct Rgb {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;

  bool operator==(const Rgb&) const = default;
};

// Of "#rrggbb"; throws Internal for anything else.
Rgb rgb_of(const std::string& name);

// "#62a0ca" of series 0: the original's colours of its four experts, then as many others as are asked for,
// all different.
std::string series_colour(size_t series);

}  // namespace moellava
