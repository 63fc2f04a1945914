#include "image/orientation.hpp"

#include <libexif/exif-data.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace moellava {

namespace {

struct ExifFree {
  void operator()(ExifData* data) const { exif_data_unref(data); }
};

// The eight orientations are the eight combinations of three steps, taken in this order.
struct Turn {
  bool transpose;  // rows become columns
  bool mirror;     // left to right, of the result
  bool flip;       // top to bottom, of the result
};

constexpr std::array<Turn, 9> kTurns = {{{},
                                         {false, false, false},
                                         {false, true, false},
                                         {false, true, true},
                                         {false, false, true},
                                         {true, false, false},
                                         {true, true, false},
                                         {true, true, true},
                                         {true, false, true}}};

}  // namespace

int exif_orientation(std::span<const std::byte> block) {
  constexpr std::array kHeader = {std::byte{'E'}, std::byte{'x'}, std::byte{'i'},
                                  std::byte{'f'}, std::byte{0},   std::byte{0}};
  constexpr size_t kMostBytes = 1 << 20;
  const bool headed =
      block.size() >= kHeader.size() && std::equal(kHeader.begin(), kHeader.end(), block.begin());
  if (headed) block = block.subspan(kHeader.size());
  if (block.empty() || block.size() > kMostBytes) return 1;

  std::vector<unsigned char> whole;  // libexif wants the header that PNG and WebP leave out
  whole.reserve(kHeader.size() + block.size());
  for (std::byte b : kHeader) whole.push_back(static_cast<unsigned char>(b));
  for (std::byte b : block) whole.push_back(static_cast<unsigned char>(b));

  const std::unique_ptr<ExifData, ExifFree> data(exif_data_new());
  if (!data) return 1;
  // By default libexif adds the tags the standard demands, with values of its own.
  exif_data_unset_option(data.get(), EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  exif_data_load_data(data.get(), whole.data(), static_cast<unsigned int>(whole.size()));

  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry == nullptr || entry->data == nullptr || entry->components == 0) return 1;
  const ExifByteOrder order = exif_data_get_byte_order(data.get());
  uint32_t value = 1;
  if (entry->format == EXIF_FORMAT_SHORT && entry->size >= 2)
    value = exif_get_short(entry->data, order);
  else if (entry->format == EXIF_FORMAT_LONG && entry->size >= 4)
    value = exif_get_long(entry->data, order);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const Turn turn = kTurns[static_cast<size_t>(orientation)];
  Image upright{image.width, image.height, std::vector<uint8_t>(image.rgb.size())};
  if (turn.transpose) std::swap(upright.width, upright.height);

  // Result pixel (x, y) is the source pixel at start + x * step_x + y * step_y.
  const ptrdiff_t row = ptrdiff_t{3} * image.width;
  ptrdiff_t step_x = turn.transpose ? row : 3;
  ptrdiff_t step_y = turn.transpose ? 3 : row;
  ptrdiff_t start = 0;
  if (turn.mirror) {
    start += step_x * (upright.width - 1);
    step_x = -step_x;
  }
  if (turn.flip) {
    start += step_y * (upright.height - 1);
    step_y = -step_y;
  }
  // In tiles: a transposed picture is read down its columns, one cache line a pixel.
  constexpr int kTile = 32;
  for (int top = 0; top < upright.height; top += kTile) {
    for (int left = 0; left < upright.width; left += kTile) {
      const int right = std::min(left + kTile, upright.width);
      for (int y = top; y < std::min(top + kTile, upright.height); ++y) {
        const uint8_t* in = image.rgb.data() + start + y * step_y + left * step_x;
        uint8_t* out = upright.rgb.data() + (size_t{3} * upright.width * y + size_t{3} * left);
        for (int x = left; x < right; ++x, in += step_x, out += 3) std::copy_n(in, 3, out);
      }
    }
  }
  return upright;
}

}  // namespace moellava
