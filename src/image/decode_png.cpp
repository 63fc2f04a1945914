// PNG through libpng. Alpha and tRNS are dropped; 16-bit samples become 8-bit as in Pillow 12: colour keeps
// the high byte, grey without alpha is clipped at 255.
//
// Errors jump back to `guarded`; steps and callbacks hold plain values only, so that no destructor is jumped
// over, and the C++ error is thrown after the jump.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/orientation.hpp"

namespace moellava {

namespace {

// Deflate's best: 258 bytes for two bits.
constexpr uint64_t kBestDeflateRatio = 1032;

struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> bytes;
  size_t offset = 0;
  char message[128] = {};
  bool truncated = false;
  int passes = 1;           // 7 when interlaced
  png_bytep row = nullptr;  // where read_row puts the next row

  PngReader() = default;
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof reader->message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (reader->bytes.size() - reader->offset < count) {
    reader->truncated = true;
    png_error(png, "unexpected end of file");
  }
  std::memcpy(out, reader->bytes.data() + reader->offset, count);
  reader->offset += count;
}

bool guarded(PngReader& reader, void (*step)(PngReader&)) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  step(reader);
  return true;
}

void read_header(PngReader& reader) {
  png_set_read_fn(reader.png, &reader, on_read);
  // Of the chunks that are not the picture itself only EXIF is read: no profile or text is ever inflated.
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, reinterpret_cast<png_const_bytep>("tRNS"),
                              1);
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_ALWAYS, reinterpret_cast<png_const_bytep>("eXIf"),
                              1);
  png_set_benign_errors(reader.png, 0);  // more data than the picture has is an error
  png_set_check_for_invalid_index(reader.png, 0);
  png_read_info(reader.png, reader.info);
}

// What a row holds after libpng's transformations.
enum class RowKind { Rgb, Index, Grey16 };

RowKind row_kind(const PngReader& reader) {
  const int colour = png_get_color_type(reader.png, reader.info);
  if (colour == PNG_COLOR_TYPE_PALETTE) return RowKind::Index;
  if (colour == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(reader.png, reader.info) == 16)
    return RowKind::Grey16;
  return RowKind::Rgb;
}

void set_transformations(PngReader& reader) {
  switch (row_kind(reader)) {
    case RowKind::Index:
      png_set_packing(reader.png);
      break;
    case RowKind::Grey16:
      break;
    case RowKind::Rgb:
      png_set_expand_gray_1_2_4_to_8(reader.png);
      png_set_strip_16(reader.png);
      png_set_strip_alpha(reader.png);
      png_set_gray_to_rgb(reader.png);
  }
  reader.passes = png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
}

void read_row(PngReader& reader) {
  png_read_row(reader.png, reader.row, nullptr);
}
void read_end(PngReader& reader) {
  png_read_end(reader.png, reader.info);
}

void step_or_throw(PngReader& reader, void (*step)(PngReader&), const std::string& where) {
  if (guarded(reader, step)) return;
  const std::string at = "byte " + std::to_string(reader.offset);
  if (reader.truncated) throw bad_data(where, "truncated PNG file", {.at = at});
  throw bad_data(where, "damaged PNG file: " + printable(reader.message), {.at = at});
}

// [height, row_bytes]; grows row by row, so that memory is touched only for rows that are there.
void read_rows(PngReader& reader, int height, std::vector<uint8_t>& rows, const std::string& where) {
  const size_t row_bytes = png_get_rowbytes(reader.png, reader.info);
  rows.reserve(row_bytes * static_cast<size_t>(height));
  for (int pass = 0; pass < reader.passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      if (pass == 0) rows.resize(rows.size() + row_bytes);
      reader.row = rows.data() + row_bytes * static_cast<size_t>(y);
      step_or_throw(reader, read_row, where);
    }
  }
  step_or_throw(reader, read_end, where);
}

// Indices beyond the palette are black, as in Pillow.
void append_colours(const PngReader& reader, const std::vector<uint8_t>& indices, std::vector<uint8_t>& rgb) {
  png_colorp palette = nullptr;
  int count = 0;
  png_get_PLTE(reader.png, reader.info, &palette, &count);
  std::array<png_color, 256> colours{};
  std::copy_n(palette, count, colours.begin());
  for (uint8_t index : indices)
    rgb.insert(rgb.end(), {colours[index].red, colours[index].green, colours[index].blue});
}

void append_greys(const std::vector<uint8_t>& big_endian, std::vector<uint8_t>& rgb) {
  for (size_t i = 0; i + 1 < big_endian.size(); i += 2)
    rgb.insert(rgb.end(), 3, big_endian[i] == 0 ? big_endian[i + 1] : uint8_t{255});
}

int find_orientation(const PngReader& reader) {
  png_unknown_chunkp chunks = nullptr;
  const int count = png_get_unknown_chunks(reader.png, reader.info, &chunks);
  for (int i = 0; i < count; ++i) {
    if (std::memcmp(chunks[i].name, "eXIf", 4) == 0)
      return exif_orientation(std::as_bytes(std::span(chunks[i].data, chunks[i].size)));
  }
  return 1;
}

}  // namespace

Decoded decode_png(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options) {
  PngReader reader;
  reader.bytes = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png == nullptr) throw limit_error(where, "no memory to decode PNG");
  reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw limit_error(where, "no memory to decode PNG");
  step_or_throw(reader, read_header, where);

  const int64_t width = png_get_image_width(reader.png, reader.info);
  const int64_t height = png_get_image_height(reader.png, reader.info);
  require_size(width, height, where, options);
  const uint64_t packed = png_get_rowbytes(reader.png, reader.info) * static_cast<uint64_t>(height);
  if (packed / kBestDeflateRatio > bytes.size()) {
    throw bad_data(where, "truncated PNG file",
                   {.found = std::to_string(bytes.size()) + " bytes for " + std::to_string(width) + " x " +
                             std::to_string(height) + " pixels"});
  }
  const RowKind kind = row_kind(reader);
  step_or_throw(reader, set_transformations, where);

  Decoded decoded{empty_image(width, height)};
  std::vector<uint8_t> samples;
  read_rows(reader, static_cast<int>(height), kind == RowKind::Rgb ? decoded.image.rgb : samples, where);
  if (kind == RowKind::Index) append_colours(reader, samples, decoded.image.rgb);
  if (kind == RowKind::Grey16) append_greys(samples, decoded.image.rgb);
  decoded.orientation = find_orientation(reader);
  return decoded;
}

}  // namespace moellava
