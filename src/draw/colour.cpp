#include "draw/colour.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/string_printf.hpp"

namespace moellava {

namespace {

// One channel, 0 to 255, of a hue in degrees at the saturation and lightness that suit the named series.
// The formula of CSS Color 4, section 7; `offset` is 0 for red, 8 for green, 4 for blue.
int channel(double hue, double offset) {
  constexpr double kSaturation = 0.45;
  constexpr double kLightness = 0.62;
  const double k = std::fmod(offset + hue / 30, 12);
  const double amplitude = kSaturation * std::min(kLightness, 1 - kLightness);
  const double value = kLightness - amplitude * std::max(-1.0, std::min({k - 3, 9 - k, 1.0}));
  return static_cast<int>(std::lround(255 * value));
}

}  // namespace

Rgb rgb_of(const std::string& name) {
  uint32_t value = 0;
  const char* end = name.data() + name.size();
  const bool sharp = name.size() == 7 && name[0] == '#';
  if (!sharp || std::from_chars(name.data() + 1, end, value, 16).ptr != end)
    throw Error(ErrorKind::Internal, "no colour: \"" + printable(name) + "\"");
  return {.red = static_cast<uint8_t>(value >> 16),
          .green = static_cast<uint8_t>(value >> 8),
          .blue = static_cast<uint8_t>(value)};
}

std::string series_colour(size_t series) {
  // The original's four, then the rest of the same palette (Tableau's ten at 70 % on white), then hues a
  // golden angle apart.
  constexpr std::array<const char*, 10> palette = {"#62a0ca", "#ffa556", "#6bbc6b", "#e26868", "#b495d1",
                                                   "#ae8981", "#eba0d4", "#a5a5a5", "#d0d164", "#5dd1dd"};
  if (series < palette.size()) return palette[series];
  const double hue = std::fmod(static_cast<double>(series) * 137.508, 360.0);
  return string_printf("#%02x%02x%02x", channel(hue, 0), channel(hue, 8), channel(hue, 4));
}

}  // namespace moellava
