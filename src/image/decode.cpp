#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "image/decoders.hpp"
#include "image/image.hpp"
#include "image/orientation.hpp"

namespace moellava {

namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view bytes;
  size_t at;
  std::string_view name;
};

// Kinds of file that people take for pictures of ours, for the error message only.
constexpr std::array kOtherKinds = {
    Signature{"BM"sv, 0, "a BMP picture"},
    Signature{"II*\0"sv, 0, "a TIFF picture"},
    Signature{"MM\0*"sv, 0, "a TIFF picture"},
    Signature{"ftypavif"sv, 4, "an AVIF picture"},
    Signature{"ftyphei"sv, 4, "a HEIF picture"},
    Signature{"ftypmif1"sv, 4, "a HEIF picture"},
    Signature{"ftyp"sv, 4, "an MP4 video"},
    Signature{"\xff\x0a"sv, 0, "a JPEG XL picture"},
    Signature{"\0\0\0\x0cJXL "sv, 0, "a JPEG XL picture"},
    Signature{"\0\0\0\x0cjP  "sv, 0, "a JPEG 2000 picture"},
    Signature{"\0\0\1\0"sv, 0, "an ICO icon"},
    Signature{"8BPS"sv, 0, "a Photoshop file"},
    Signature{"%PDF"sv, 0, "a PDF document"},
    Signature{"PK\3\4"sv, 0, "a ZIP archive"},
    Signature{"\x1f\x8b"sv, 0, "gzip data"},
    Signature{"\x93NUMPY"sv, 0, "a NumPy array"},
};

bool has_signature(std::string_view text, const Signature& signature) {
  return text.size() >= signature.at + signature.bytes.size() &&
         text.substr(signature.at, signature.bytes.size()) == signature.bytes;
}

bool is_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0x7f || (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f');
  });
}

// "an SVG drawing", "3 bytes", ...
std::string guess_kind(std::string_view text) {
  if (text.empty()) return "an empty file";
  for (const Signature& signature : kOtherKinds) {
    if (has_signature(text, signature)) return std::string(signature.name);
  }
  std::string head(text.substr(0, 1024));
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
  if (head.find("<svg") != std::string::npos) return "an SVG drawing";
  if (head.find("<!doctype html") != std::string::npos || head.find("<html") != std::string::npos)
    return "an HTML page";
  if (text.size() >= 8 && is_text(head)) return "text";
  if (text.size() < 8) return std::to_string(text.size()) + (text.size() == 1 ? " byte" : " bytes");
  return "data of unknown kind";
}

using Decoder = Decoded (*)(std::span<const std::byte>, const std::string&, const DecodeOptions&);

struct Format {
  Signature signature;
  Decoder decode;
};

// PNG is told by four of its eight bytes: the other four exist to show what a text-mode transfer did to the
// file, which libpng then says.
constexpr std::array kFormats = {
    Format{{"\xff\xd8\xff"sv, 0, "JPEG"}, decode_jpeg}, Format{{"\x89PNG"sv, 0, "PNG"}, decode_png},
    Format{{"WEBP"sv, 8, "WebP"}, decode_webp},         Format{{"GIF87a"sv, 0, "GIF"}, decode_gif},
    Format{{"GIF89a"sv, 0, "GIF"}, decode_gif},
};

}  // namespace

void require_size(int64_t width, int64_t height, const std::string& where, const DecodeOptions& options) {
  const std::string found = std::to_string(width) + " x " + std::to_string(height);
  if (width <= 0 || height <= 0)
    throw bad_data(where, "picture without pixels", {.found = found, .expected = "at least 1 x 1"});
  // Both factors are below 2^32, as no format stores more.
  if (static_cast<uint64_t>(width) * static_cast<uint64_t>(height) > options.max_pixels) {
    throw limit_error(where, "picture too large",
                      {.found = found + " pixels",
                       .expected = "at most " + std::to_string(options.max_pixels) + " in all"});
  }
}

Image empty_image(int64_t width, int64_t height) {
  Image image{static_cast<int>(width), static_cast<int>(height), {}};
  image.rgb.reserve(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  return image;
}

Image decode_image(std::span<const std::byte> bytes, const std::string& where, const DecodeOptions& options) {
  if (bytes.size() > options.max_bytes) {
    throw limit_error(where, "file too large",
                      {.found = std::to_string(bytes.size()) + " bytes",
                       .expected = "at most " + std::to_string(options.max_bytes)});
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Format& format : kFormats) {
    if (!has_signature(text, format.signature)) continue;
    Decoded decoded = format.decode(bytes, where, options);
    if (!options.apply_exif_orientation) return std::move(decoded.image);
    return apply_orientation(std::move(decoded.image), decoded.orientation);
  }
  throw bad_data(where, "not a JPEG, PNG, WebP or GIF picture", {.found = guess_kind(text)});
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  // Read rather than mapped: a file cut while libjpeg walks through a mapping would be a SIGBUS.
  const std::string content = read_file(path, options.max_bytes);
  return decode_image(std::as_bytes(std::span(content)), printable(path.string()), options);
}

}  // namespace moellava
