#include "routing/page.hpp"

#include <algorithm>
#include <cmath>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "base/string_printf.hpp"
#include "draw/colour.hpp"
#include "image/encode.hpp"

namespace moellava {

namespace {

constexpr std::string_view kStyle =
#include "embedded/routing/page.css.inc"
    ;
constexpr std::string_view kScript =
#include "embedded/routing/page.js.inc"
    ;

std::string escaped(const std::string& text) {
  std::string html;
  for (const char c : shown_text(text)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

// Inside <script> nothing may look like its end.
std::string script_json(const Json& json) {
  std::string text;
  for (const char c : json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace))
    text += c == '<' ? "\\u003c" : std::string(1, c);
  return text;
}

Json picture_json(const SamplePicture& picture) {
  Json json = {{"name", shown_text(picture.name)},
               {"columns", std::max<size_t>(picture.grid.columns, 1)},
               {"rows", std::max<size_t>(picture.grid.rows, 1)},
               {"src", nullptr}};
  if (picture.image) json["src"] = "data:image/webp;base64," + encode_base64(encode_webp(*picture.image));
  return json;
}

// Tokens as [text, picture or -1, cell or -1, answer]; experts and weights in percent [T * L * K].
Json view_json(const RoutingTrace& trace, const SampleView& view) {
  Json pictures = Json::array(), tokens = Json::array(), experts = Json::array(), weights = Json::array();
  for (const SamplePicture& picture : view.pictures) pictures.push_back(picture_json(picture));
  for (size_t t = view.first_token; t < view.first_token + view.tokens; ++t) {
    const TracedToken& token = trace.tokens[t];
    int64_t cell = -1;
    if (token.is_image()) {
      const PatchGrid& grid = view.pictures[static_cast<size_t>(token.picture)].grid;
      const std::optional<size_t> place = grid.cell(static_cast<size_t>(token.patch));
      if (place) cell = static_cast<int64_t>(*place);
    }
    tokens.push_back({shown_text(trace.text_of(token)), token.picture, cell, token.answer ? 1 : 0});
    for (size_t l = 0; l < trace.layers(); ++l) {
      for (size_t k = 0; k < trace.top_k(); ++k) {
        const TracedChoice& choice = trace.choice(t, l, k);
        experts.push_back(choice.expert);
        // At least 1 for what was kept: 0 is how the page knows a dropped one.
        weights.push_back(choice.dropped ? 0 : std::max(1L, std::lround(100 * choice.weight)));
      }
    }
  }
  return {{"title", sample_title(trace.samples[view.sample])},
          {"pictures", std::move(pictures)},
          {"tokens", std::move(tokens)},
          {"experts", std::move(experts)},
          {"weights", std::move(weights)}};
}

Json page_json(const RoutingTrace& trace, const RoutingStatistics& statistics,
               std::span<const SampleView> views) {
  Json layers = Json::array(), colours = Json::array(), samples = Json::array();
  for (const LayerLoad& layer : statistics.layers) layers.push_back(layer.layer);
  for (int64_t e = 0; e < statistics.experts; ++e) colours.push_back(series_colour(static_cast<size_t>(e)));
  for (const SampleView& view : views) samples.push_back(view_json(trace, view));
  return {{"layers", std::move(layers)},
          {"topK", statistics.top_k},
          {"colours", std::move(colours)},
          {"samples", std::move(samples)}};
}

std::string fact(const std::string& value, const std::string& what) {
  return "<div><b>" + value + "</b><span>" + what + "</span></div>\n";
}

std::string facts(const RoutingStatistics& statistics) {
  double distance = 0, balance = 0, dropped = 0, least = 1, most = 0;
  for (const LayerLoad& layer : statistics.layers) {
    distance += layer.text_image_distance;
    balance += layer.all.balance_loss;
    dropped += layer.all.dropped;
    least = std::min(least, *std::min_element(layer.all.first.begin(), layer.all.first.end()));
    most = std::max(most, *std::max_element(layer.all.first.begin(), layer.all.first.end()));
  }
  const auto layers = static_cast<double>(std::max<size_t>(statistics.layers.size(), 1));
  std::string html = "<div class=\"facts\">\n";
  html += fact(tick_text(static_cast<double>(statistics.samples)), "questions");
  html += fact(
      tick_text(static_cast<double>(statistics.tokens)),
      "tokens, " + tick_text(static_cast<double>(statistics.image_pathways.tokens)) + " of them patches");
  html += fact(std::to_string(statistics.layers.size()), "layers with experts");
  html += fact(
      string_printf("%d of %d", static_cast<int>(statistics.top_k), static_cast<int>(statistics.experts)),
      "experts work on a token");
  html += fact(string_printf("%.2f", balance / layers), "balance loss; 1 is balanced");
  html += fact(string_printf("%.0f-%.0f %%", 100 * least, 100 * most), "of a layer's tokens to one expert");
  html += fact(string_printf("%.0f %%", 100 * distance / layers), "text and image routed apart, mean");
  html += fact(string_printf("%.1f %%", 100 * dropped / layers), "of the choices dropped");
  return html + "</div>\n";
}

std::string figure_section(const Figure& figure) {
  std::string html = "<section id=\"" + figure.name + "\">\n<h2>" + escaped(figure.title) +
                     "</h2>\n<p class=\"note\">" + escaped(figure.meaning) + "</p>\n";
  if (!figure.legend.empty()) {
    html += "<ul class=\"legend\">";
    for (const LegendEntry& entry : figure.legend)
      html += "<li style=\"--c:" + entry.colour + "\"><i></i>" + escaped(entry.name) + "</li>";
    html += "</ul>\n";
  }
  html += "<div class=\"panels\">\n";
  for (const Panel& panel : figure.panels) html += svg_of(panel_picture(panel));
  return html + "</div>\n</section>\n";
}

constexpr std::string_view kExplorer = R"html(<section id="explorer">
<h2>Who took what</h2>
<p class="note">Every patch and every word in the colour of its expert. Words with a line below them were written by the
model; a dashed frame says that the expert was full.</p>
<div class="controls">
<label class="wide">Question <select id="sample"></select></label>
<label class="wide">Layer <b id="layer-name"></b> <input type="range" id="layer" min="0" max="0" value="0" step="1"></label>
<fieldset id="choices"><legend>Choice</legend></fieldset>
<label>Colour over the picture <input type="range" id="strength" min="0" max="100" value="60"></label>
</div>
<div class="explorer">
<div><div id="pictures"></div><h3>All layers</h3><div class="small-maps" id="small-maps"></div></div>
<div><p class="words" id="words"></p><ul class="legend" id="counts"></ul>
<div class="token"><h3 id="token-name"></h3><div class="path" id="token-path"></div></div></div>
</div>
</section>
)html";

}  // namespace

std::string routing_page(const RoutingTrace& trace, const RoutingStatistics& statistics,
                         std::span<const Figure> figures, std::span<const SampleView> views) {
  const std::string title = "The experts of " + escaped(statistics.model);
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>" +
      title + "</title>\n<style>\n" + std::string(kStyle) + "</style>\n</head>\n<body>\n<header>\n<h1>" +
      title +
      "</h1>\n<p class=\"note\">Where a sparse model sends its words and the patches of its pictures.</p>\n" +
      facts(statistics) + "</header>\n<nav aria-label=\"Figures\"><ul>\n";
  if (!views.empty()) html += "<li><a href=\"#explorer\">Who took what</a></li>\n";
  for (const Figure& figure : figures)
    html += "<li><a href=\"#" + figure.name + "\">" + escaped(figure.short_title) + "</a></li>\n";
  html += "</ul></nav>\n<main>\n";
  if (!views.empty()) html += kExplorer;
  for (const Figure& figure : figures) html += figure_section(figure);
  html +=
      "</main>\n<footer><p>Layers and experts are counted from 1. Made by moe-llava routing.</p></footer>\n";
  html += "<script type=\"application/json\" id=\"data\">" +
          script_json(page_json(trace, statistics, views)) + "</script>\n";
  return html + "<script>\n" + std::string(kScript) + "</script>\n</body>\n</html>\n";
}

}  // namespace moellava
