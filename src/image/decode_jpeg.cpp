// JPEG through libjpeg-turbo, with Pillow's settings (integer DCT, smooth upsampling).
//
// libjpeg reports errors by a callback that must not return. Ours jumps back to `guarded`, which runs one
// step at a time; steps and callbacks hold plain values only, so that no destructor is ever jumped over, and
// the C++ error is thrown after the jump.
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstring>

#include <jpeglib.h>

#include <jerror.h>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/orientation.hpp"

namespace moellava {

namespace {

// Every scan of a progressive file passes over the whole picture: a small file can ask for hours of them.
// Encoders write about ten.
constexpr int kMostScans = 100;

struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = {};
  bool truncated = false;
  bool too_many_scans = false;
  std::span<const std::byte> bytes;
  JSAMPLE* row = nullptr;  // where read_row puts the next row

  JpegReader() = default;
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  // Harmless before jpeg_create_decompress too: it frees what the memory manager holds, if there is one.
  ~JpegReader() { jpeg_destroy_decompress(&info); }
};

JpegReader& reader_of(j_common_ptr info) {
  return *static_cast<JpegReader*>(info->client_data);
}

[[noreturn]] void on_error(j_common_ptr info) {
  JpegReader& reader = reader_of(info);
  info->err->format_message(info, reader.message);
  std::longjmp(reader.escape, 1);
}

// libjpeg decodes on after damage and fills the rest with grey; what cannot be trusted is an error here.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace message
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
      reader_of(info).truncated = true;
      on_error(info);
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      on_error(info);
    default:
      return;  // stray bytes between segments, odd version numbers: the picture is whole
  }
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  reader_of(info).too_many_scans = true;
  std::longjmp(reader_of(info).escape, 1);
}

bool guarded(JpegReader& reader, void (*step)(JpegReader&)) {
  if (setjmp(reader.escape) != 0) return false;
  step(reader);
  return true;
}

void read_header(JpegReader& reader) {
  jpeg_create_decompress(&reader.info);
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, reinterpret_cast<const unsigned char*>(reader.bytes.data()),
               static_cast<unsigned long>(reader.bytes.size()));
  jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&reader.info, TRUE);
}

void start(JpegReader& reader) {
  jpeg_start_decompress(&reader.info);
}
void read_row(JpegReader& reader) {
  jpeg_read_scanlines(&reader.info, &reader.row, 1);
}
void finish(JpegReader& reader) {
  jpeg_finish_decompress(&reader.info);
}

Error fault(const JpegReader& reader, const std::string& where) {
  if (reader.too_many_scans) {
    return limit_error(where, "JPEG with too many progressive scans",
                       {.found = "more than " + std::to_string(kMostScans)});
  }
  const std::string done = std::to_string(reader.info.output_scanline) + " of " +
                           std::to_string(reader.info.image_height) + " rows decoded";
  if (reader.truncated) return bad_data(where, "truncated JPEG file", {.found = done});
  return bad_data(where, "damaged JPEG file: " + printable(reader.message));
}

void step_or_throw(JpegReader& reader, void (*step)(JpegReader&), const std::string& where) {
  if (!guarded(reader, step)) throw fault(reader, where);
}

int find_orientation(const JpegReader& reader) {
  for (auto marker = reader.info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->data_length >= 6 && std::memcmp(marker->data, "Exif\0", 6) == 0)
      return exif_orientation(std::as_bytes(std::span(marker->data, marker->data_length)));
  }
  return 1;
}

// a * b / 255, rounded.
uint8_t scaled(unsigned a, unsigned b) {
  const unsigned product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// Inks as Adobe stores them, 255 for none, to RGB as Pillow does it: no colour profile.
void append_inks(const std::vector<JSAMPLE>& cmyk, std::vector<uint8_t>& rgb) {
  for (size_t i = 0; i + 3 < cmyk.size(); i += 4) {
    const uint8_t white = cmyk[i + 3];
    for (size_t c = 0; c < 3; ++c)
      rgb.push_back(static_cast<uint8_t>(white - scaled(255u - cmyk[i + c], white)));
  }
}

}  // namespace

Decoded decode_jpeg(std::span<const std::byte> bytes, const std::string& where,
                    const DecodeOptions& options) {
  JpegReader reader;
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.info.client_data = &reader;
  reader.errors.error_exit = on_error;
  reader.errors.emit_message = on_message;
  reader.progress.progress_monitor = on_progress;
  reader.bytes = bytes;
  step_or_throw(reader, read_header, where);

  jpeg_decompress_struct& info = reader.info;
  require_size(info.image_width, info.image_height, where, options);
  const bool inks = info.num_components == 4;
  if (info.num_components != 1 && info.num_components != 3 && !inks) {
    throw bad_data(
        where, "unsupported JPEG file",
        {.found = std::to_string(info.num_components) + " colour components", .expected = "1, 3 or 4"});
  }
  info.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  step_or_throw(reader, start, where);

  Decoded decoded{empty_image(info.output_width, info.output_height), find_orientation(reader)};
  std::vector<uint8_t>& rgb = decoded.image.rgb;
  std::vector<JSAMPLE> cmyk(inks ? size_t{4} * info.output_width : 0);
  while (info.output_scanline < info.output_height) {
    if (inks) {
      reader.row = cmyk.data();
      step_or_throw(reader, read_row, where);
      append_inks(cmyk, rgb);
    } else {
      rgb.resize(rgb.size() + size_t{3} * info.output_width);
      reader.row = rgb.data() + rgb.size() - size_t{3} * info.output_width;
      step_or_throw(reader, read_row, where);
    }
  }
  step_or_throw(reader, finish, where);
  return decoded;
}

}  // namespace moellava
