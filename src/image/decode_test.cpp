#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "image/golden_testing.hpp"
#include "image/image.hpp"
#include "image/orientation.hpp"

namespace moellava {
namespace {

using testing::HasSubstr;

// The message of the error that decoding ends with; "" when there is none.
std::string fault_of(const std::string& bytes, ErrorKind kind = ErrorKind::BadData,
                     const DecodeOptions& options = {}) {
  try {
    decode_string(bytes, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_LE(std::string(error.what()).size(), 300u);
    return error.what();
  }
  return "";
}

std::vector<std::string> sample_names() {
  std::vector<std::string> names;
  const Json samples = read_json(golden_path("samples.json"));
  for (const auto& [name, row] : samples.items()) names.push_back(name);
  return names;
}

class Sample : public testing::TestWithParam<std::string> {
 protected:
  std::string bytes() const { return golden_bytes("samples/" + GetParam()); }
};

TEST_P(Sample, EqualsPillow) {
  const Json row = read_json(golden_path("samples.json")).at(GetParam());
  DecodeOptions as_stored;
  as_stored.apply_exif_orientation = false;
  const Image stored = decode_string(bytes(), as_stored);
  EXPECT_EQ(stored.width, row.at("width").get<int>());
  EXPECT_EQ(stored.height, row.at("height").get<int>());
  EXPECT_EQ(crc32_of(stored.rgb), row.at("crc32").get<uint32_t>());
  const Image upright = decode_string(bytes());
  EXPECT_EQ(upright.width, row.at("upright").at(0).get<int>());
  EXPECT_EQ(upright.height, row.at("upright").at(1).get<int>());
  EXPECT_EQ(crc32_of(upright.rgb), row.at("upright").at(2).get<uint32_t>());
}

// Cut at any byte: an error, never half a picture. Only a GIF may lack what follows its first frame.
TEST_P(Sample, CutIsAnError) {
  const std::string whole = bytes();
  const Image image = decode_string(whole);
  const bool gif = whole.starts_with("GIF");
  for (size_t length = 0; length < whole.size(); ++length) {
    try {
      const Image cut = decode_string(whole.substr(0, length));
      ASSERT_TRUE(gif) << length << " bytes of " << whole.size();
      ASSERT_EQ(cut.rgb, image.rgb);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::BadData) << length << ": " << error.what();
      if (length > 30) {
        ASSERT_THAT(error.what(), HasSubstr("truncated")) << length;
      }
    }
  }
}

TEST_P(Sample, LimitsAreCheckedBeforeDecoding) {
  const std::string whole = bytes();
  const Image image = decode_string(whole);
  DecodeOptions options;
  options.max_pixels = static_cast<uint64_t>(image.width) * image.height;
  EXPECT_EQ(fault_of(whole, ErrorKind::Limit, options), "");
  options.max_pixels -= 1;
  EXPECT_THAT(fault_of(whole, ErrorKind::Limit, options), HasSubstr("picture too large: found"));
  options = {};
  options.max_bytes = whole.size() - 1;
  EXPECT_THAT(fault_of(whole, ErrorKind::Limit, options), HasSubstr("file too large: found"));
}

INSTANTIATE_TEST_SUITE_P(All, Sample, testing::ValuesIn(sample_names()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(DecodeImage, SaysWhatElseItLooksLike) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "an empty file"},
      {"x", "1 byte"},
      {"\xff\xd8"s, "2 bytes"},
      {"BM\x36\x10\0\0"s, "a BMP picture"},
      {"II*\0\x08\0\0\0"s, "a TIFF picture"},
      {"MM\0*\0\0\0\x08"s, "a TIFF picture"},
      {"\0\0\0\x1c"s + "ftypavif", "an AVIF picture"},
      {"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG drawing"},
      {"<!DOCTYPE HTML><title>404</title>", "an HTML page"},
      {"Not found, sorry.\n", "text"},
      {"RIFF\x10\0\0\0WAVEfmt "s, "data of unknown kind"},
      {std::string(64, '\0'), "data of unknown kind"},
      {"%PDF-1.7", "a PDF document"},
  };
  for (const auto& [bytes, kind] : cases)
    EXPECT_EQ(fault_of(bytes), "test: not a JPEG, PNG, WebP or GIF picture: found " + kind);
}

TEST(ReadImage, NamesTheFile) {
  EXPECT_EQ(read_image(golden_path("img0.png")).rgb, decode_string(golden_bytes("img0.png")).rgb);
  try {
    read_image(golden_path("samples.json"));
    FAIL() << "decoded JSON";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("not a JPEG, PNG, WebP or GIF picture: found text"));
    EXPECT_THAT(error.what(), HasSubstr("tests/golden/image"));
  }
  EXPECT_THROW(read_image(golden_path("no such file")), Error);
  EXPECT_THROW(read_image(golden_path("")), Error);  // a folder
  EXPECT_THROW(read_image("/dev/zero"), Error);
}

// --- JPEG ---

std::string big_endian(uint32_t value, int count) {
  std::string text;
  for (int shift = 8 * (count - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
  return text;
}

// The frame header of a sample: FF C0, length, precision, height, width, components.
std::string patched_frame(std::string jpeg, size_t at, const std::string& bytes) {
  const size_t frame = jpeg.find("\xff\xc0");
  return jpeg.replace(frame + 4 + at, bytes.size(), bytes);
}

TEST(DecodeJpeg, RefusesWhatTheHeaderClaims) {
  const std::string jpeg = golden_bytes("samples/420.jpg");
  EXPECT_THAT(fault_of(patched_frame(jpeg, 1, big_endian(60000, 2) + big_endian(60000, 2)), ErrorKind::Limit),
              HasSubstr("picture too large: found 60000 x 60000 pixels, expected at most 89000000"));
  EXPECT_THAT(fault_of(patched_frame(jpeg, 1, big_endian(65535, 2) + big_endian(65535, 2))),
              HasSubstr("damaged JPEG file: Maximum supported image dimension"));
  EXPECT_NE(fault_of(patched_frame(jpeg, 1, big_endian(0, 2))), "");
  EXPECT_NE(fault_of(patched_frame(jpeg, 3, big_endian(0, 2))), "");
  EXPECT_THAT(fault_of(patched_frame(jpeg, 1, big_endian(9000, 2) + big_endian(9000, 2))),
              HasSubstr("premature end of data segment"));
  EXPECT_THAT(fault_of(patched_frame(jpeg, 0, "\x0c")), HasSubstr("precision 12"));
}

TEST(DecodeJpeg, MissingParts) {
  const std::string jpeg = golden_bytes("samples/420.jpg");
  const auto without = [&](const char* marker) {  // made comments instead
    std::string patched = jpeg;
    for (size_t at = patched.find(marker); at != std::string::npos; at = patched.find(marker))
      patched[at + 1] = '\xfe';
    return patched;
  };
  EXPECT_THAT(fault_of(without("\xff\xdb")), HasSubstr("Quantization table"));
  EXPECT_THAT(fault_of(without("\xff\xc0")), HasSubstr("damaged JPEG file"));
  // Motion JPEG leaves the standard Huffman tables out, which are this file's.
  EXPECT_EQ(decode_string(without("\xff\xc4")).rgb, decode_string(jpeg).rgb);
  EXPECT_THAT(fault_of("\xff\xd8" + jpeg), HasSubstr("two SOI markers"));
}

// Each scan of a progressive file goes over the whole picture.
TEST(DecodeJpeg, RefusesManyScans) {
  const std::string jpeg = golden_bytes("samples/progressive.jpg");
  const size_t scan = jpeg.find("\xff\xda");
  const size_t next = std::min(jpeg.find("\xff\xc4", scan), jpeg.find("\xff\xda", scan + 2));
  ASSERT_NE(next, std::string::npos);
  const auto repeated = [&](int times) {
    std::string patched = jpeg.substr(0, scan);
    for (int i = 0; i < times; ++i) patched += jpeg.substr(scan, next - scan);
    return patched + jpeg.substr(next);
  };
  EXPECT_EQ(decode_string(repeated(50)).rgb, decode_string(jpeg).rgb);
  EXPECT_THAT(fault_of(repeated(1000), ErrorKind::Limit), HasSubstr("more than 100"));
}

TEST(DecodeJpeg, DamagedScanIsAnError) {
  std::string jpeg = golden_bytes("samples/420_noise.jpg");
  const size_t scan = jpeg.find("\xff\xda");
  std::fill(jpeg.begin() + static_cast<ptrdiff_t>(scan) + 14, jpeg.end() - 2, '\x7f');
  EXPECT_THAT(fault_of(jpeg), HasSubstr("damaged JPEG file: Corrupt JPEG data"));
}

// --- PNG ---

std::string chunk(const std::string& name, const std::string& data) {
  const std::string body = name + data;
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size()), 4) + body + big_endian(static_cast<uint32_t>(sum), 4);
}

std::string zipped(const std::string& data) {
  uLongf size = compressBound(static_cast<uLong>(data.size()));
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()),
           static_cast<uLong>(data.size()));
  return out.substr(0, size);
}

const std::string kPngSignature = "\x89PNG\r\n\x1a\n";

// 8-bit grey.
std::string png_header(uint32_t width, uint32_t height) {
  return chunk("IHDR", big_endian(width, 4) + big_endian(height, 4) + std::string("\x08\0\0\0\0", 5));
}

std::string png_file(const std::string& middle) {
  return kPngSignature + png_header(3, 2) + middle + chunk("IEND", "");
}

const std::string kRows = std::string("\0abc\0def", 8);

TEST(DecodePng, AcceptsOddButWholeFiles) {
  const Image image = decode_string(png_file(chunk("IDAT", zipped(kRows))));
  EXPECT_EQ(image.rgb, (std::vector<uint8_t>{'a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c',  //
                                             'd', 'd', 'd', 'e', 'e', 'e', 'f', 'f', 'f'}));
  std::string split;
  for (char c : zipped(kRows)) split += chunk("IDAT", std::string(1, c)) + chunk("IDAT", "");
  EXPECT_EQ(decode_string(png_file(split)).rgb, image.rgb);
  EXPECT_EQ(decode_string(png_file(chunk("IDAT", zipped(kRows))) + "PK\3\4 trailing").rgb, image.rgb);
  // What is no part of the picture is neither inflated nor checked.
  std::string bad_text = chunk("zTXt", "k\0\0not deflate");
  bad_text.back() ^= 1;
  EXPECT_EQ(decode_string(png_file(bad_text + chunk("IDAT", zipped(kRows)))).rgb, image.rgb);
  EXPECT_EQ(
      decode_string(png_file(chunk("iCCP", "x") + chunk("tRNS", "?") + chunk("IDAT", zipped(kRows)))).rgb,
      image.rgb);
}

TEST(DecodePng, RefusesDamage) {
  const std::string idat = chunk("IDAT", zipped(kRows));
  std::string bad_crc = idat;
  bad_crc.back() ^= 1;
  std::string bad_adler = zipped(kRows);
  bad_adler.back() ^= 1;
  std::string filter5 = kRows;
  filter5[4] = 5;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {png_file(""), "IEND: out of place"},
      {png_file(bad_crc), "CRC"},
      {png_file(chunk("IDAT", bad_adler)), "incorrect data check"},
      {png_file(chunk("IDAT", zipped(filter5))), "bad adaptive filter"},
      {png_file(chunk("IDAT", zipped(kRows.substr(0, 7)))), "Not enough image data"},
      {png_file(chunk("IDAT", zipped(kRows + "g"))), "Too much image data"},
      {png_file(chunk("IDAT", zipped(kRows + std::string(1 << 20, '\0')))), "Too much image data"},
      {png_file(png_header(3, 2) + idat), "IHDR"},
      {png_file(chunk("QUIT", "") + idat), "unhandled critical chunk"},
      {png_file(chunk("PLTE", "abc") + idat), ""},  // a palette that grey has no use for
      {kPngSignature + png_header(0, 2), "IHDR"},
      {kPngSignature + png_header(0x80000000u, 2), "out of range"},
      {kPngSignature + png_header(3, 2) + big_endian(0x80000000u, 4) + "IDAT", ""},
      {kPngSignature + idat, "IHDR"},
      {"\x89PNG\n\x1a\n" + png_header(3, 2), "damaged PNG file"},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string fault = fault_of(cases[i].first);
    EXPECT_THAT(fault, HasSubstr("PNG file")) << i;
    EXPECT_THAT(fault, HasSubstr(cases[i].second)) << i;
  }
}

TEST(DecodePng, RefusesBombsFromTheHeader) {
  EXPECT_THAT(fault_of(kPngSignature + png_header(50000, 50000) + chunk("IDAT", ""), ErrorKind::Limit),
              HasSubstr("picture too large"));
  // Within the limit, but more than these bytes can inflate to.
  EXPECT_THAT(fault_of(kPngSignature + png_header(9000, 9000) + chunk("IDAT", zipped(kRows))),
              HasSubstr("truncated PNG file: found"));
}

// --- GIF and WebP ---

TEST(DecodeGif, RefusesDamage) {
  const std::string gif = golden_bytes("samples/offset.gif");
  EXPECT_THAT(fault_of(gif.substr(0, 25) + ";"), HasSubstr("GIF file without a picture"));
  std::string empty_frame = gif;
  empty_frame[30] = 0;  // the frame's width
  EXPECT_THAT(fault_of(empty_frame), HasSubstr("picture without pixels"));
  std::string huge = gif;
  huge.replace(26, 8, std::string(8, '\xff'));  // its place and size
  EXPECT_THAT(fault_of(huge, ErrorKind::Limit), HasSubstr("picture too large"));
  std::string code_size = gif;
  code_size[35] = 12;
  EXPECT_THAT(fault_of(code_size), HasSubstr("GIF file"));
}

TEST(DecodeWebp, RefusesDamage) {
  for (const char* name : {"lossy.webp", "lossless.webp", "animated.webp", "animated_offset.webp"}) {
    const std::string webp = golden_bytes(std::string("samples/") + name);
    std::string no_length = webp;
    no_length.replace(4, 4, std::string(4, '\0'));
    EXPECT_THAT(fault_of(no_length), HasSubstr("damaged WebP file")) << name;
    std::string no_picture = webp;
    for (const char* kind : {"VP8 ", "VP8L"}) {
      for (size_t at = no_picture.find(kind); at != std::string::npos; at = no_picture.find(kind))
        no_picture.replace(at, 4, "VP9?");
    }
    EXPECT_THAT(fault_of(no_picture), HasSubstr("WebP file")) << name;
  }
  std::string outside = golden_bytes("samples/animated_offset.webp");
  outside[outside.find("ANMF") + 8] = 30;  // the frame's x / 2
  EXPECT_THAT(fault_of(outside), HasSubstr("outside of its canvas"));
  std::string frameless = golden_bytes("samples/animated_offset.webp");
  for (size_t at = frameless.find("ANMF"); at != std::string::npos; at = frameless.find("ANMF"))
    frameless.replace(at, 4, "XXXX");
  EXPECT_THAT(fault_of(frameless), HasSubstr("animation without a frame"));
}

// --- EXIF ---

// A little-endian block whose only entry is the orientation.
std::string exif_block(char type, const std::string& value) {
  return std::string("II*\0\x08\0\0\0\x01\0\x12\x01", 12) + type + std::string("\0\x01\0\0\0", 5) + value +
         std::string(4, '\0');
}

int orientation_of(const std::string& block) {
  return exif_orientation(std::as_bytes(std::span(block)));
}

TEST(ExifOrientation, IsReadOrElseUpright) {
  using namespace std::string_literals;
  EXPECT_EQ(orientation_of(exif_block(3, "\x06\0\0\0"s)), 6);
  EXPECT_EQ(orientation_of("Exif\0\0"s + exif_block(3, "\x06\0\0\0"s)), 6);
  EXPECT_EQ(orientation_of(exif_block(4, "\x03\0\0\0"s)), 3);
  EXPECT_EQ(orientation_of(exif_block(3, "\0\0\0\0"s)), 1);
  EXPECT_EQ(orientation_of(exif_block(3, "\x09\0\0\0"s)), 1);
  EXPECT_EQ(orientation_of(exif_block(2, "\x06\0\0\0"s)), 1);
  EXPECT_EQ(orientation_of(""), 1);
  EXPECT_EQ(orientation_of("Exif\0\0"s), 1);
  EXPECT_EQ(orientation_of(std::string(100, 'x')), 1);
  const std::string whole = exif_block(3, "\x06\0\0\0"s);
  for (size_t length = 0; length < 18; ++length) EXPECT_EQ(orientation_of(whole.substr(0, length)), 1);
}

TEST(ApplyOrientation, TurnsAndMirrors) {
  const Image image{2, 1, {1, 2, 3, 4, 5, 6}};
  const Image right = apply_orientation(image, 6);  // the camera's top was to the right
  EXPECT_EQ(right.width, 1);
  EXPECT_EQ(right.height, 2);
  EXPECT_EQ(right.rgb, image.rgb);
  EXPECT_EQ(apply_orientation(image, 8).rgb, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
  EXPECT_EQ(apply_orientation(image, 2).rgb, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
  EXPECT_EQ(apply_orientation(image, 0).rgb, image.rgb);
}

}  // namespace
}  // namespace moellava
