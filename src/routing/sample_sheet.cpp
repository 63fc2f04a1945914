#include "routing/sample_sheet.hpp"

#include <algorithm>
#include <memory>

#include "base/base64.hpp"
#include "draw/axis.hpp"
#include "draw/colour.hpp"
#include "image/encode.hpp"
#include "routing/panels.hpp"

namespace moellava {

namespace {

// Pixels.
constexpr double kMargin = 18;
constexpr double kCell = 224;
constexpr double kGap = 18;
constexpr double kWidest = 5 * (kCell + kGap) - kGap + 2 * kMargin;
constexpr double kNameHeight = 20;
constexpr double kWordSize = 11;
constexpr double kLine = 17;
constexpr double kOpacity = 0.6;  // of the colours over a picture

// How wide a sans-serif sets the character, in parts of its size; on the safe side.
double letter_width(char c) {
  if (std::string_view("iljtf.,:;'|!()[] ").find(c) != std::string_view::npos) return 0.36;
  if (std::string_view("mwMW@%").find(c) != std::string_view::npos) return 0.95;
  if (c >= 'A' && c <= 'Z') return 0.72;
  return static_cast<unsigned char>(c) >= 0x80 && static_cast<unsigned char>(c) < 0xc0 ? 0 : 0.6;
}

double width_of(const std::string& text) {
  double width = 0;
  for (const char c : text) width += letter_width(c) * kWordSize;
  return width;
}

// A word and where it stands in a cell.
struct PlacedWord {
  size_t token = 0;
  std::string text;
  Box box;
};

// Left to right, line by line, broken where the cell ends and where the text says so.
std::vector<PlacedWord> place_words(const RoutingTrace& trace, const SampleView& view) {
  std::vector<PlacedWord> words;
  double x = 0, y = 0;
  for (size_t t = view.first_token; t < view.first_token + view.tokens; ++t) {
    if (trace.tokens[t].is_image()) continue;
    std::string text = shown_text(trace.text_of(trace.tokens[t]));
    const bool ends_line = text.ends_with('\n');
    std::replace(text.begin(), text.end(), '\n', ' ');
    const double width = std::max(width_of(text), 3.0);
    if (x > 0 && x + width > kCell) {
      x = 0;
      y += kLine;
    }
    words.push_back({.token = t, .text = text, .box = {x, y, width, kLine - 2}});
    x += width;
    if (ends_line) {
      x = 0;
      y += kLine;
    }
  }
  return words;
}

// A picture's pixels, once for all layers.
Photo photo_of(const Image& image) {
  return {.box = {},
          .width = image.width,
          .height = image.height,
          .rgb = std::make_shared<const std::vector<uint8_t>>(image.rgb),
          .href = "data:image/webp;base64," + encode_base64(encode_webp(image))};
}

class Sheet {
 public:
  Sheet(const RoutingTrace& trace, const SampleView& view)
      : trace_(trace), view_(view), words_(place_words(trace, view)) {
    for (const SamplePicture& picture : view.pictures) {
      if (picture.image)
        photos_.push_back(photo_of(*picture.image));
      else
        photos_.emplace_back();
    }
  }

  double cell_height() const {
    const double words = words_.empty() ? 0 : words_.back().box.bottom() + 6;
    return kNameHeight + words + static_cast<double>(view_.pictures.size()) * (kCell + 8);
  }

  void draw_cell(Picture& sheet, Point corner, size_t layer) const {
    const std::string name = "layer " + std::to_string(trace_.model.layers[layer] + 1);
    sheet.add(Text{.at = {corner.x, corner.y + 13}, .text = name, .size = 13, .bold = true});
    double y = corner.y + kNameHeight;
    for (size_t i = 0; i < view_.pictures.size(); ++i) {
      draw_picture(sheet, {corner.x, y, kCell, kCell}, i, layer);
      y += kCell + 8;
    }
    for (const PlacedWord& word : words_) draw_word(sheet, {corner.x, y}, word, layer);
  }

 private:
  std::string colour_of(size_t token, size_t layer) const {
    return series_colour(static_cast<size_t>(trace_.choice(token, layer).expert));
  }

  void draw_picture(Picture& sheet, const Box& box, size_t number, size_t layer) const {
    Photo photo = photos_[number];
    if (photo.rgb != nullptr) {
      photo.box = box;
      sheet.add(photo);
    } else {
      sheet.add(Rectangle{.box = box, .fill = ink::kGrid});
    }
    const PatchGrid& grid = view_.pictures[number].grid;
    const double width = box.width / static_cast<double>(std::max<size_t>(grid.columns, 1));
    const double height = box.height / static_cast<double>(std::max<size_t>(grid.rows, 1));
    for (size_t t = view_.first_token; t < view_.first_token + view_.tokens; ++t) {
      const TracedToken& token = trace_.tokens[t];
      if (token.picture != static_cast<int32_t>(number)) continue;
      const std::optional<size_t> cell = grid.cell(static_cast<size_t>(token.patch));
      if (!cell) continue;
      const size_t column = *cell % grid.columns, row = *cell / grid.columns;
      const double left = box.left + width * static_cast<double>(column);
      const double top = box.top + height * static_cast<double>(row);
      sheet.add(Path{
          .points = {{left, top}, {left + width, top}, {left + width, top + height}, {left, top + height}},
          .fill = colour_of(t, layer),
          .opacity = kOpacity});
    }
  }

  void draw_word(Picture& sheet, Point corner, const PlacedWord& word, size_t layer) const {
    const Box box = {corner.x + word.box.left, corner.y + word.box.top, word.box.width, word.box.height};
    sheet.add(Rectangle{.box = box, .fill = colour_of(word.token, layer), .radius = 2});
    sheet.add(Text{.at = {box.left, box.top + 11.5}, .text = word.text, .size = kWordSize});
    if (!trace_.tokens[word.token].answer) return;
    sheet.add(Path{.points = {{box.left, box.bottom()}, {box.right(), box.bottom()}},
                   .stroke = ink::kText,
                   .width = 1.5});
  }

  const RoutingTrace& trace_;
  const SampleView& view_;
  std::vector<PlacedWord> words_;
  std::vector<Photo> photos_;  // without pixels where there is no image
};

}  // namespace

Picture sample_sheet(const RoutingTrace& trace, const SampleView& view) {
  const Sheet cells(trace, view);
  const auto most = static_cast<size_t>((kWidest - 2 * kMargin + kGap) / (kCell + kGap));
  const size_t columns = std::min(std::max<size_t>(trace.layers(), 2), most);
  const double width = static_cast<double>(columns) * (kCell + kGap) - kGap;
  Picture sheet{.width = width + 2 * kMargin,
                .height = 0,
                .title = sample_title(trace.samples[view.sample]),
                .shapes = {}};
  double y = kMargin + 17;
  sheet.add(Text{.at = {kMargin, y}, .text = sheet.title, .size = 17, .bold = true});
  y += 14;
  y += draw_legend(sheet, {kMargin, y, width, 0}, expert_legend(trace.model.most_experts())) + 10;
  for (size_t layer = 0; layer < trace.layers(); ++layer) {
    const size_t column = layer % columns, row = layer / columns;
    const double x = kMargin + static_cast<double>(column) * (kCell + kGap);
    cells.draw_cell(sheet, {x, y + static_cast<double>(row) * (cells.cell_height() + kGap)}, layer);
  }
  const size_t rows = (trace.layers() + columns - 1) / columns;
  sheet.height = y + static_cast<double>(rows) * (cells.cell_height() + kGap) - kGap + kMargin;
  return sheet;
}

}  // namespace moellava
