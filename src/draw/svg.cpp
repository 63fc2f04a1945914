// Shapes as SVG elements.
#include "base/string_printf.hpp"
#include "base/utf8.hpp"
#include "draw/picture.hpp"

namespace moellava {

namespace {

constexpr const char* kFonts = "system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif";

// Text of any bytes as XML.
std::string escaped(std::string_view text) {
  std::string xml;
  for (char c : shown_utf8(text)) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      default:
        xml += c;
    }
  }
  return xml;
}

std::string attribute(const char* name, const std::string& value) {
  return value.empty() ? "" : string_printf(" %s=\"%s\"", name, value.c_str());
}

std::string element(const Rectangle& shape) {
  const Box& box = shape.box;
  std::string xml = string_printf("<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"", box.left,
                                  box.top, box.width, box.height);
  if (shape.radius > 0) xml += string_printf(" rx=\"%.1f\"", shape.radius);
  xml += attribute("fill", shape.fill.empty() ? "none" : shape.fill) + attribute("stroke", shape.stroke);
  if (shape.tooltip.empty()) return xml + "/>\n";
  return xml + "><title>" + escaped(shape.tooltip) + "</title></rect>\n";
}

std::string element(const Path& shape) {
  std::string xml = shape.fill.empty() ? "<polyline points=\"" : "<polygon points=\"";
  for (size_t i = 0; i < shape.points.size(); ++i)
    xml += string_printf("%s%.2f,%.2f", i > 0 ? " " : "", shape.points[i].x, shape.points[i].y);
  xml += "\"" + attribute("fill", shape.fill.empty() ? "none" : shape.fill);
  if (!shape.stroke.empty())
    xml += attribute("stroke", shape.stroke) + string_printf(" stroke-width=\"%.2f\"", shape.width);
  if (shape.opacity < 1) xml += string_printf(" opacity=\"%.2f\"", shape.opacity);
  if (shape.dashed) xml += " stroke-dasharray=\"4 3\"";
  return xml + " stroke-linejoin=\"round\"/>\n";
}

std::string element(const Text& shape) {
  std::string xml =
      string_printf("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%g\"", shape.at.x, shape.at.y, shape.size);
  if (shape.align != Align::Start)
    xml += attribute("text-anchor", shape.align == Align::End ? "end" : "middle");
  if (shape.bold) xml += " font-weight=\"600\"";
  return xml + attribute("fill", shape.colour) + ">" + escaped(shape.text) + "</text>\n";
}

std::string element(const Photo& shape) {
  const Box& box = shape.box;
  return string_printf(
             "<image x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" preserveAspectRatio=\"none\"",
             box.left, box.top, box.width, box.height) +
         attribute("href", shape.href) + "/>\n";
}

}  // namespace

std::string svg_of(const Picture& picture) {
  std::string svg = string_printf(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
      "role=\"img\" font-family=\"%s\">\n",
      picture.width, picture.height, picture.width, picture.height, kFonts);
  svg += "<title>" + escaped(picture.title) + "</title>\n";
  svg += element(Rectangle{.box = {0, 0, picture.width, picture.height}, .fill = ink::kPaper});
  for (const Shape& shape : picture.shapes)
    svg += std::visit([](const auto& one) { return element(one); }, shape);
  return svg + "</svg>\n";
}

}  // namespace moellava
