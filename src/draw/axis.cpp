#include "draw/axis.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/string_printf.hpp"

namespace moellava {

namespace {

// Pixels.
constexpr double kNumberWidth = 52;  // room for the numbers of the y axis
constexpr double kHeadingHeight = 26;
constexpr double kTickHeight = 20;
constexpr double kLabelHeight = 16;
constexpr double kTickSize = 11;
constexpr double kNoteSize = 11.5;
constexpr double kTitleSize = 13;
constexpr double kLegendRow = 20;
constexpr double kLegendMark = 12;
constexpr double kLetterWidth = 7;  // on average, of a legend's letters

// The smallest round number that is not below `value`.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= value * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

double tick_step(double low, double high, int most) {
  return round_up((high - low) / most);
}

// 12000 -> "12,000"
std::string grouped(double value) {
  std::string digits = string_printf("%.0f", std::fabs(value));
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), ",");
  return (value < 0 ? "-" : "") + digits;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int most, double least_step) {
  const double step = std::max(tick_step(low, high, most), least_step);
  std::vector<double> ticks;
  // Counted in steps, so that no error adds up.
  const double slack = 1e-6;
  for (double i = std::ceil(low / step - slack); i <= high / step + slack; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string tick_text(double value) {
  if (std::fabs(value) >= 1000 && std::fabs(value) < 1e9) return grouped(value);
  return string_printf("%.4g", value + 0.0);  // no "-0"
}

Scale round_scale(double low, double high, double from, double to) {
  // What differs less than this cannot be told apart in a picture, or in a float.
  const double least = std::max(1e-6 * std::max(std::fabs(low), std::fabs(high)), 1e-12);
  if (high - low < least) {
    low -= std::max(std::fabs(low) / 2, least);
    high += std::max(std::fabs(high) / 2, least);
  }
  const double step = tick_step(low, high, 5);
  return {.low = std::min(low, std::floor(low / step + 1e-6) * step),
          .high = std::max(high, std::ceil(high / step - 1e-6) * step),
          .from = from,
          .to = to};
}

Box draw_frame(Picture& picture, const Box& box, const Heading& heading, const std::string& x_label) {
  const double below = kTickHeight + (x_label.empty() ? 0 : kLabelHeight);
  const Box plot = {box.left + kNumberWidth, box.top + kHeadingHeight, box.width - kNumberWidth - 10,
                    box.height - kHeadingHeight - below};
  picture.add(Text{.at = {plot.left, box.top + 14}, .text = heading.title, .size = kTitleSize, .bold = true});
  if (!heading.note.empty()) {
    picture.add(Text{.at = {plot.right(), box.top + 14},
                     .text = heading.note,
                     .size = kNoteSize,
                     .align = Align::End,
                     .colour = ink::kNote});
  }
  if (!x_label.empty()) {
    picture.add(Text{.at = {plot.left + plot.width / 2, plot.bottom() + kTickHeight + 11},
                     .text = x_label,
                     .size = kNoteSize,
                     .align = Align::Middle,
                     .colour = ink::kNote});
  }
  return plot;
}

void draw_y_axis(Picture& picture, const Box& plot, const Scale& y) {
  const int most = std::max(2, static_cast<int>(plot.height / 28));
  for (double tick : round_ticks(y.low, y.high, most)) {
    picture.add(Path{.points = {{plot.left, y(tick)}, {plot.right(), y(tick)}}, .stroke = ink::kGrid});
    picture.add(Text{.at = {plot.left - 7, y(tick) + 4},
                     .text = tick_text(tick),
                     .size = kTickSize,
                     .align = Align::End,
                     .colour = ink::kNote});
  }
}

void draw_x_axis(Picture& picture, const Box& plot, const Scale& x, bool counted) {
  picture.add(
      Path{.points = {{plot.left, plot.bottom()}, {plot.right(), plot.bottom()}}, .stroke = ink::kAxis});
  const int most = std::max(2, static_cast<int>(plot.width / 70));
  for (double tick : round_ticks(x.low, x.high, most, counted ? 1 : 0)) {
    picture.add(
        Path{.points = {{x(tick), plot.bottom()}, {x(tick), plot.bottom() + 4}}, .stroke = ink::kAxis});
    picture.add(Text{.at = {x(tick), plot.bottom() + 16},
                     .text = tick_text(tick),
                     .size = kTickSize,
                     .align = Align::Middle,
                     .colour = ink::kNote});
  }
}

double draw_legend(Picture& picture, const Box& box, const std::vector<LegendEntry>& entries) {
  double x = box.left;
  double y = box.top;
  for (const LegendEntry& entry : entries) {
    const double width = kLegendMark + 20 + kLetterWidth * static_cast<double>(entry.name.size());
    if (x > box.left && x + width > box.right()) {
      x = box.left;
      y += kLegendRow;
    }
    picture.add(Rectangle{.box = {x, y, kLegendMark, kLegendMark}, .fill = entry.colour, .radius = 2.5});
    picture.add(Text{.at = {x + kLegendMark + 6, y + 10.5}, .text = entry.name});
    x += width;
  }
  return entries.empty() ? 0 : y + kLegendRow - box.top;
}

}  // namespace moellava
