// A picture as a list of shapes: put together once, written as SVG or as PNG. Lengths are pixels, y grows
// downwards, later shapes cover earlier ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace moellava {

struct Point {
  double x = 0;
  double y = 0;
};

// A part of the picture.
struct Box {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

// Colours are "#rrggbb"; an empty one draws nothing.
namespace ink {
inline constexpr const char* kText = "#24292f";
inline constexpr const char* kNote = "#656d76";
inline constexpr const char* kAxis = "#8c959f";
inline constexpr const char* kGrid = "#e4e7eb";
inline constexpr const char* kFrame = "#d0d7de";
inline constexpr const char* kPaper = "#ffffff";
}  // namespace ink

struct Rectangle {
  Box box;
  std::string fill;
  std::string stroke = {};
  double radius = 0;         // of the corners
  std::string tooltip = {};  // shown by browsers; also where a reader of the SVG finds the number
};

// Straight lines from point to point.
struct Path {
  std::vector<Point> points;
  std::string stroke = {};
  std::string fill = {};  // of the area within, which is closed
  double width = 1;
  double opacity = 1;
  bool dashed = false;
};

enum class Align { Start, Middle, End };

struct Text {
  Point at;  // of the baseline
  std::string text;
  double size = 12;
  Align align = Align::Start;
  std::string colour = ink::kText;
  bool bold = false;
};

// A photograph, stretched to its box.
struct Photo {
  Box box;
  int width = 0;
  int height = 0;
  std::shared_ptr<const std::vector<uint8_t>> rgb = {};  // [height, width, 3]
  std::string href = {};                                 // the same as a data: address, for SVG
};

using Shape = std::variant<Rectangle, Path, Text, Photo>;

struct Picture {
  double width = 0;
  double height = 0;
  std::string title;  // what it shows, for screen readers
  std::vector<Shape> shapes;

  void add(Shape shape) { shapes.push_back(std::move(shape)); }
};

// Self-contained; its words can be searched and copied.
std::string svg_of(const Picture& picture);
// With `scale` picture elements a pixel: two are sharp on dense screens and in print.
std::string png_of(const Picture& picture, double scale = 2);

// Atomically, in the format of the file's extension; throws Usage when that is neither .svg nor .png.
void write_picture(const std::filesystem::path& path, const Picture& picture);

}  // namespace moellava
