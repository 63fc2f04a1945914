// Shapes through Cairo.
#include <cairo.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>

#include "base/error.hpp"
#include "base/utf8.hpp"
#include "draw/colour.hpp"
#include "draw/picture.hpp"

namespace moellava {

namespace {

using Surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;
using Context = std::unique_ptr<cairo_t, decltype(&cairo_destroy)>;

void require_success(cairo_status_t status) {
  if (status == CAIRO_STATUS_SUCCESS) return;
  throw Error(status == CAIRO_STATUS_NO_MEMORY ? ErrorKind::Limit : ErrorKind::Internal,
              std::string("picture: cannot be drawn: ") + cairo_status_to_string(status));
}

class Painter {
 public:
  explicit Painter(cairo_t* cairo) : cairo_(cairo) {}

  void operator()(const Rectangle& shape) {
    outline(shape.box, shape.radius);
    fill(shape.fill, 1);
    stroke(shape.stroke, 1, 1);
    cairo_new_path(cairo_);
  }

  void operator()(const Path& shape) {
    for (const Point& point : shape.points) cairo_line_to(cairo_, point.x, point.y);
    if (!shape.fill.empty()) cairo_close_path(cairo_);
    fill(shape.fill, shape.opacity);
    constexpr double kDashes[] = {4, 3};
    if (shape.dashed) cairo_set_dash(cairo_, kDashes, 2, 0);
    stroke(shape.stroke, shape.width, shape.opacity);
    cairo_set_dash(cairo_, nullptr, 0, 0);
    cairo_new_path(cairo_);
  }

  void operator()(const Text& shape) {
    cairo_select_font_face(cairo_, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           shape.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo_, shape.size);
    const std::string text = shown_utf8(shape.text);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo_, text.c_str(), &extents);
    const double left =
        shape.align == Align::Start ? 0 : extents.x_advance / (shape.align == Align::End ? 1 : 2);
    colour(shape.colour, 1);
    cairo_move_to(cairo_, shape.at.x - left, shape.at.y);
    cairo_show_text(cairo_, text.c_str());
    cairo_new_path(cairo_);
  }

  void operator()(const Photo& shape) {
    const Surface surface(cairo_image_surface_create(CAIRO_FORMAT_RGB24, shape.width, shape.height),
                          &cairo_surface_destroy);
    require_success(cairo_surface_status(surface.get()));
    unsigned char* row = cairo_image_surface_get_data(surface.get());
    const uint8_t* rgb = shape.rgb->data();
    for (int y = 0; y < shape.height; ++y, row += cairo_image_surface_get_stride(surface.get())) {
      unsigned char* pixel = row;
      for (int x = 0; x < shape.width; ++x, rgb += 3, pixel += sizeof(uint32_t)) {
        const uint32_t value = uint32_t{rgb[0]} << 16 | uint32_t{rgb[1]} << 8 | rgb[2];
        std::memcpy(pixel, &value, sizeof value);
      }
    }
    cairo_surface_mark_dirty(surface.get());
    cairo_save(cairo_);
    cairo_translate(cairo_, shape.box.left, shape.box.top);
    cairo_scale(cairo_, shape.box.width / shape.width, shape.box.height / shape.height);
    cairo_set_source_surface(cairo_, surface.get(), 0, 0);
    cairo_pattern_set_extend(cairo_get_source(cairo_), CAIRO_EXTEND_PAD);  // no pale edge
    cairo_rectangle(cairo_, 0, 0, shape.width, shape.height);
    cairo_fill(cairo_);
    cairo_restore(cairo_);
  }

 private:
  void outline(const Box& box, double radius) {
    if (radius <= 0) return cairo_rectangle(cairo_, box.left, box.top, box.width, box.height);
    constexpr double kQuarter = std::numbers::pi / 2;
    cairo_new_sub_path(cairo_);
    cairo_arc(cairo_, box.right() - radius, box.top + radius, radius, -kQuarter, 0);
    cairo_arc(cairo_, box.right() - radius, box.bottom() - radius, radius, 0, kQuarter);
    cairo_arc(cairo_, box.left + radius, box.bottom() - radius, radius, kQuarter, 2 * kQuarter);
    cairo_arc(cairo_, box.left + radius, box.top + radius, radius, 2 * kQuarter, 3 * kQuarter);
    cairo_close_path(cairo_);
  }
  void fill(const std::string& name, double opacity) {
    if (name.empty()) return;
    colour(name, opacity);
    cairo_fill_preserve(cairo_);
  }
  void stroke(const std::string& name, double width, double opacity) {
    if (name.empty()) return;
    colour(name, opacity);
    cairo_set_line_width(cairo_, width);
    cairo_stroke_preserve(cairo_);
  }
  void colour(const std::string& name, double opacity) {
    const Rgb rgb = rgb_of(name);
    cairo_set_source_rgba(cairo_, rgb.red / 255.0, rgb.green / 255.0, rgb.blue / 255.0, opacity);
  }

  cairo_t* cairo_;
};

cairo_status_t append(void* out, const unsigned char* data, unsigned int length) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), length);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

std::string png_of(const Picture& picture, double scale) {
  const Surface surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::ceil(picture.width * scale)),
                                 static_cast<int>(std::ceil(picture.height * scale))),
      &cairo_surface_destroy);
  require_success(cairo_surface_status(surface.get()));
  const Context context(cairo_create(surface.get()), &cairo_destroy);
  cairo_scale(context.get(), scale, scale);
  cairo_set_line_join(context.get(), CAIRO_LINE_JOIN_ROUND);
  Painter painter(context.get());
  painter(Rectangle{.box = {0, 0, picture.width, picture.height}, .fill = ink::kPaper});
  for (const Shape& shape : picture.shapes) std::visit(painter, shape);
  require_success(cairo_status(context.get()));
  std::string png;
  require_success(cairo_surface_write_to_png_stream(surface.get(), append, &png));
  return png;
}

}  // namespace moellava
