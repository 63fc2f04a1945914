#include "model/preprocessing_check.hpp"

#include <cmath>

#include "base/error.hpp"

namespace moellava {

namespace {

constexpr int64_t kBicubic = 3;  // Pillow's number of the filter
constexpr int64_t kLongest = 8192;

void require(bool holds, const JsonObject& json, const std::string& key, const std::string& expected) {
  if (holds) return;
  throw bad_data(json.where() + ": " + key, "not supported",
                 {.found = printable(json.at(key).dump()), .expected = expected});
}

// `key` is a number, or {"height": n, "width": n}, or in `size` {"shortest_edge": n}.
void require_square(const JsonObject& json, const std::string& key, int64_t side) {
  if (!json.has(key)) return;
  bool square = false;
  if (!json.at(key).is_object()) {
    square = json.integer(key, 1, kLongest) == side;
  } else if (const JsonObject size = json.object(key); size.has("shortest_edge")) {
    square = size.integer("shortest_edge", 1, kLongest) == side;
  } else {
    square = size.integer("height", 1, kLongest) == side && size.integer("width", 1, kLongest) == side;
  }
  require(square, json, key, std::to_string(side) + " x " + std::to_string(side));
}

}  // namespace

void check_preprocessing(const JsonObject& json, const PreprocessConfig& config) {
  for (const char* step : {"do_resize", "do_rescale", "do_normalize"})
    require(json.boolean_or(step, true), json, step, "true");
  require(json.integer_or("resample", kBicubic, 0, 5) == kBicubic, json, "resample", "3 (bicubic)");
  require(std::abs(json.number_or("rescale_factor", 1.0 / 255) * 255 - 1) < 1e-4, json, "rescale_factor",
          "1 / 255");
  require_square(json, "size", config.size);
  if (config.center_crop) require_square(json, "crop_size", config.size);
}

}  // namespace moellava
