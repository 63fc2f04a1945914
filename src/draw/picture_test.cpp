#include "draw/picture.hpp"

#include <cairo.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "draw/colour.hpp"
#include "draw/xml_testing.hpp"

namespace moellava {
namespace {

using test::fault_in;
using testing::HasSubstr;

// What a reader of the PNG sees.
class Decoded {
 public:
  explicit Decoded(std::string png) : left_(std::move(png)) {
    surface_ = cairo_image_surface_create_from_png_stream(read, this);
    EXPECT_EQ(cairo_surface_status(surface_), CAIRO_STATUS_SUCCESS);
  }
  ~Decoded() { cairo_surface_destroy(surface_); }
  Decoded(const Decoded&) = delete;
  Decoded& operator=(const Decoded&) = delete;

  int width() const { return cairo_image_surface_get_width(surface_); }
  int height() const { return cairo_image_surface_get_height(surface_); }
  Rgb at(int x, int y) const {
    uint32_t value = 0;
    std::memcpy(&value,
                cairo_image_surface_get_data(surface_) + y * cairo_image_surface_get_stride(surface_) + 4 * x,
                sizeof value);
    return {static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  }
  // Elements of the box that are not white.
  int ink(int left, int top, int width, int height) const {
    int count = 0;
    for (int y = top; y < top + height; ++y) {
      for (int x = left; x < left + width; ++x) count += at(x, y) == Rgb{255, 255, 255} ? 0 : 1;
    }
    return count;
  }

 private:
  static cairo_status_t read(void* self, unsigned char* data, unsigned int length) {
    std::string& left = static_cast<Decoded*>(self)->left_;
    if (left.size() < length) return CAIRO_STATUS_READ_ERROR;
    std::memcpy(data, left.data(), length);
    left.erase(0, length);
    return CAIRO_STATUS_SUCCESS;
  }

  std::string left_;
  cairo_surface_t* surface_;
};

Picture example() {
  Picture picture{.width = 100, .height = 60, .title = "a <b> & \"c\"", .shapes = {}};
  picture.add(Rectangle{.box = {10, 10, 20, 20}, .fill = "#e26868", .tooltip = "1 < 2"});
  picture.add(Path{.points = {{50, 10}, {90, 10}, {90, 30}}, .fill = "#6bbc6b"});
  picture.add(Path{.points = {{0, 40}, {100, 40}}, .stroke = "#000000", .width = 2});
  picture.add(Text{.at = {50, 55}, .text = "bad \xff\x01 bytes & é", .align = Align::Middle});
  return picture;
}

TEST(Svg, IsWellFormedWhateverTheWords) {
  const std::string svg = svg_of(example());
  EXPECT_EQ(fault_in(svg), "");
  EXPECT_EQ(fault_in("<a><b></a></b>"), "unexpected end of a");  // it can find one
  EXPECT_EQ(fault_in("<a>& b</a>"), "a bare &");
  for (const char* part : {"<title>a &lt;b&gt; &amp; &quot;c&quot;</title>", "<title>1 &lt; 2</title></rect>",
                           "points=\"0.00,40.00 100.00,40.00\"", ">bad ?? bytes &amp; é</text>",
                           "text-anchor=\"middle\"", "width=\"100\" height=\"60\""}) {
    EXPECT_THAT(svg, HasSubstr(part));
  }
}

TEST(Png, ShowsTheSameShapes) {
  const Decoded png(png_of(example(), 2));
  EXPECT_EQ(png.width(), 200);
  EXPECT_EQ(png.height(), 120);
  EXPECT_EQ(png.at(2, 2), (Rgb{255, 255, 255}));
  EXPECT_EQ(png.at(40, 40), rgb_of("#e26868"));
  EXPECT_EQ(png.at(170, 24), rgb_of("#6bbc6b"));     // in the triangle
  EXPECT_EQ(png.at(110, 56), (Rgb{255, 255, 255}));  // on the other side of its long edge
  EXPECT_EQ(png.at(100, 80), (Rgb{0, 0, 0}));
  EXPECT_GT(png.ink(0, 90, 200, 30), 100);  // the words
}

TEST(Png, AlignsText) {
  Picture picture{.width = 100, .height = 60, .title = "", .shapes = {}};
  picture.add(Text{.at = {50, 20}, .text = "words", .align = Align::End});
  picture.add(Text{.at = {50, 50}, .text = "words", .align = Align::Start});
  const Decoded png(png_of(picture, 1));
  EXPECT_GT(png.ink(0, 0, 50, 30), 20);
  EXPECT_EQ(png.ink(52, 0, 48, 30), 0);
  EXPECT_EQ(png.ink(0, 30, 49, 30), 0);
  EXPECT_GT(png.ink(50, 30, 50, 30), 20);
}

TEST(WritePicture, TakesTheFormatFromTheName) {
  const std::filesystem::path folder = testing::TempDir();
  write_picture(folder / "picture.svg", example());
  EXPECT_EQ(read_file(folder / "picture.svg", 1 << 20), svg_of(example()));
  write_picture(folder / "picture.png", example());
  EXPECT_EQ(read_file(folder / "picture.png", 1 << 20).substr(0, 8), "\x89PNG\r\n\x1a\n");
  try {
    write_picture(folder / "picture.pdf", example());
    ADD_FAILURE() << "written";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_THAT(error.what(), HasSubstr("found \".pdf\", expected .svg or .png"));
  }
}

TEST(Colour, FirstFourAreTheOriginalsAndAllDiffer) {
  EXPECT_EQ(series_colour(0), "#62a0ca");
  EXPECT_EQ(series_colour(1), "#ffa556");
  EXPECT_EQ(series_colour(2), "#6bbc6b");
  EXPECT_EQ(series_colour(3), "#e26868");
  std::set<std::string> colours;
  for (size_t i = 0; i < 64; ++i) {
    colours.insert(series_colour(i));
    rgb_of(series_colour(i));  // throws when it is none
  }
  EXPECT_EQ(colours.size(), 64U);
  EXPECT_EQ(rgb_of("#0180ff"), (Rgb{1, 128, 255}));
  for (const char* none : {"", "red", "#12345", "#12345g", "#1234567"}) EXPECT_THROW(rgb_of(none), Error);
}

TEST(Picture, PhotosFillTheirBox) {
  Picture picture{.width = 60, .height = 40, .title = "photo", .shapes = {}};
  const std::vector<uint8_t> pixels = {200, 10, 20, 30, 40, 250};  // one row: red, blue
  picture.add(Photo{.box = {10, 10, 40, 20},
                    .width = 2,
                    .height = 1,
                    .rgb = std::make_shared<const std::vector<uint8_t>>(pixels),
                    .href = "data:image/webp;base64,AA=="});
  const Decoded png(png_of(picture, 1));
  EXPECT_EQ(png.at(11, 11), (Rgb{200, 10, 20}));
  EXPECT_EQ(png.at(48, 28), (Rgb{30, 40, 250}));
  EXPECT_EQ(png.at(9, 20), (Rgb{255, 255, 255}));
  EXPECT_EQ(png.at(51, 20), (Rgb{255, 255, 255}));
  const std::string svg = svg_of(picture);
  EXPECT_EQ(fault_in(svg), "");
  EXPECT_THAT(svg, HasSubstr("<image x=\"10.00\" y=\"10.00\" width=\"40.00\" height=\"20.00\" "
                             "preserveAspectRatio=\"none\" href=\"data:image/webp;base64,AA==\"/>"));
}

}  // namespace
}  // namespace moellava
