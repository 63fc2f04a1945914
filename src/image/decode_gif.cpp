// The first frame of a GIF, through giflib, on the canvas Pillow gives it: the logical screen, grown where
// the frame reaches beyond it, filled with the transparent colour or else with colour 0. Frames after the
// first are not looked at.
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "image/decoders.hpp"

namespace moellava {

namespace {

struct GifClose {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};
using Gif = std::unique_ptr<GifFileType, GifClose>;
using Colour = std::array<uint8_t, 3>;

struct Source {
  std::span<const std::byte> bytes;
  size_t offset = 0;
};

int read_bytes(GifFileType* gif, GifByteType* out, int count) {
  auto* source = static_cast<Source*>(gif->UserData);
  const size_t got = std::min(static_cast<size_t>(count), source->bytes.size() - source->offset);
  if (got > 0) std::memcpy(out, source->bytes.data() + source->offset, got);
  source->offset += got;
  return static_cast<int>(got);
}

Error fault(int code, const Source& source, const std::string& where) {
  const Detail at{.at = "byte " + std::to_string(source.offset)};
  // giflib has many words for a file that stops; at the end of the bytes they all mean this.
  if (source.offset == source.bytes.size() || code == D_GIF_ERR_EOF_TOO_SOON)
    return bad_data(where, "truncated GIF file", at);
  const char* message = GifErrorString(code);
  return bad_data(where, std::string("damaged GIF file: ") + (message != nullptr ? message : "unreadable"),
                  at);
}

// Goes to the first frame. Returns the index that is transparent in it, or NO_TRANSPARENT_COLOR.
int find_frame(GifFileType* gif, const Source& source, const std::string& where) {
  int transparent = NO_TRANSPARENT_COLOR;
  for (;;) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &record) == GIF_ERROR) throw fault(gif->Error, source, where);
    if (record == TERMINATE_RECORD_TYPE) throw bad_data(where, "GIF file without a picture");
    if (record == IMAGE_DESC_RECORD_TYPE) break;
    int code = 0;
    GifByteType* block = nullptr;  // its length, then its bytes
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) throw fault(gif->Error, source, where);
    while (block != nullptr) {
      GraphicsControlBlock control{};
      if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent = control.TransparentColor;
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) throw fault(gif->Error, source, where);
    }
  }
  if (DGifGetImageDesc(gif) == GIF_ERROR) throw fault(gif->Error, source, where);
  return transparent;
}

// Indices [height, width] of the frame, from top to bottom.
std::vector<uint8_t> read_frame(GifFileType* gif, const Source& source, const std::string& where) {
  const GifImageDesc& frame = gif->Image;
  const auto width = static_cast<size_t>(frame.Width);
  std::vector<uint8_t> stored;
  stored.reserve(width * static_cast<size_t>(frame.Height));
  for (int row = 0; row < frame.Height; ++row) {
    stored.resize(stored.size() + width);
    if (DGifGetLine(gif, stored.data() + stored.size() - width, frame.Width) == GIF_ERROR)
      throw fault(gif->Error, source, where);
  }
  if (!frame.Interlace) return stored;

  struct Pass {
    int first, step;
  };
  constexpr std::array<Pass, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  std::vector<uint8_t> ordered(stored.size());
  auto next = stored.begin();
  for (const Pass pass : kPasses) {
    for (int y = pass.first; y < frame.Height; y += pass.step, next += frame.Width)
      std::copy_n(next, width, ordered.begin() + static_cast<ptrdiff_t>(width) * y);
  }
  return ordered;
}

// Indices beyond the palette are black, as in Pillow; it reads a palette that is a plain grey ramp, or that
// is missing, as grey values, which go on to 255.
std::array<Colour, 256> read_palette(const GifFileType& gif) {
  const ColorMapObject* map = gif.Image.ColorMap != nullptr ? gif.Image.ColorMap : gif.SColorMap;
  const int count = map != nullptr ? std::min(map->ColorCount, 256) : 0;
  std::array<Colour, 256> palette{};
  bool ramp = true;
  for (int i = 0; i < count; ++i) {
    const GifColorType& entry = map->Colors[i];
    palette[static_cast<size_t>(i)] = {entry.Red, entry.Green, entry.Blue};
    ramp = ramp && entry.Red == i && entry.Green == i && entry.Blue == i;
  }
  for (size_t i = static_cast<size_t>(count); ramp && i < palette.size(); ++i)
    palette[i].fill(static_cast<uint8_t>(i));
  return palette;
}

}  // namespace

Decoded decode_gif(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options) {
  Source source{bytes};
  int code = 0;
  const Gif gif(DGifOpen(&source, read_bytes, &code));
  if (!gif) throw fault(code, source, where);
  const int transparent = find_frame(gif.get(), source, where);
  const GifImageDesc& frame = gif->Image;
  require_size(frame.Width, frame.Height, where, options);
  const int width = std::max(gif->SWidth, frame.Left + frame.Width);
  const int height = std::max(gif->SHeight, frame.Top + frame.Height);
  require_size(width, height, where, options);

  const std::vector<uint8_t> indices = read_frame(gif.get(), source, where);
  const std::array<Colour, 256> palette = read_palette(*gif);
  Decoded decoded{empty_image(width, height)};
  std::vector<uint8_t>& rgb = decoded.image.rgb;
  const Colour& background =
      palette[transparent == NO_TRANSPARENT_COLOR ? 0 : static_cast<size_t>(transparent)];
  while (rgb.size() < size_t{3} * width * height) rgb.insert(rgb.end(), background.begin(), background.end());
  for (int y = 0; y < frame.Height; ++y) {
    const uint8_t* in = indices.data() + static_cast<size_t>(frame.Width) * y;
    uint8_t* out = rgb.data() + (static_cast<size_t>(width) * (frame.Top + y) + frame.Left) * 3;
    for (int x = 0; x < frame.Width; ++x, out += 3) std::copy_n(palette[in[x]].begin(), 3, out);
  }
  return decoded;
}

}  // namespace moellava
