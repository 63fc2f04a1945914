// Pictures for tests.
#pragma once

#include <string>

namespace moellava::testing {

// A plain 2 x 2 picture as GIF, the shortest of the formats; its colour is the first entry of the palette.
inline std::string plain_gif(char red, char green, char blue) {
  const std::string size_and_palette("GIF89a\x02\x00\x02\x00\x80\x00\x00", 13);
  const std::string second_colour_and_pixels(
      "\x00\x00\x00\x2c\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x02\x84\x51\x00\x3b", 19);
  return size_and_palette + red + green + blue + second_colour_and_pixels;
}

// plain_gif on a screen of 4 x 2 whose right half is the second colour, black.
inline std::string wide_gif() {
  std::string gif = plain_gif('\xff', 0, 0);
  gif[6] = '\x04';
  return gif;
}

}  // namespace moellava::testing
