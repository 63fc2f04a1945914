// The reading half of trace_file.hpp.
#include <algorithm>
#include <functional>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"
#include "files/bytes.hpp"
#include "files/naming.hpp"
#include "files/safetensors.hpp"
#include "routing/trace_columns.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

using namespace trace_format;

constexpr int64_t kMostLayers = 1 << 16;
constexpr int64_t kMostExperts = INT16_MAX;
constexpr int64_t kMostPixels = 1 << 14;  // a side
constexpr int32_t kPatchId = -200;        // kImageTokenId of text/conversation.hpp

const std::string& metadata_at(const TensorFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    throw bad_data(file.path + ": __metadata__: " + key, "missing",
                   {.hint = "not a trace of moe-llava's routing"});
  }
  return found->second;
}

PreprocessConfig parse_picture(const JsonObject& json) {
  PreprocessConfig picture;
  picture.size = static_cast<int>(json.integer("size", 1, kMostPixels));
  picture.aspect_ratio = json.boolean_or("pad", true) ? AspectRatio::Pad : AspectRatio::Square;
  picture.resize_shortest_edge = json.boolean_or("resize_shortest_edge", true);
  picture.center_crop = json.boolean_or("center_crop", true);
  const Json& mean = json.at("mean");
  const bool three = mean.is_array() && mean.size() == picture.mean.size() &&
                     std::all_of(mean.begin(), mean.end(), [](const Json& value) {
                       return value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1;
                     });
  if (!three)
    throw bad_data(json.where() + ": mean", "wrong type", {.expected = "three numbers from 0 to 1"});
  for (size_t c = 0; c < picture.mean.size(); ++c) picture.mean[c] = mean[c].get<float>();
  return picture;
}

TracedModel parse_model(const TensorFile& file) {
  const std::string where = file.path + ": __metadata__: model";
  const Json json = parse_json(metadata_at(file, "model"), where);
  const JsonObject object(json, where);
  TracedModel model;
  model.name = object.string("name");
  model.layers = object.integers("layers", 0, kMostLayers);
  model.experts = object.integers("experts", 1, kMostExperts);
  if (std::adjacent_find(model.layers.begin(), model.layers.end(), std::greater_equal<>()) !=
      model.layers.end())
    throw bad_data(where + ": layers", "not ascending");
  if (model.experts.size() != model.layers.size() || model.layers.empty()) {
    throw bad_data(where + ": experts", "not one number a layer",
                   {.found = std::to_string(model.experts.size()),
                    .expected = std::to_string(std::max<size_t>(model.layers.size(), 1))});
  }
  model.top_k = object.integer("top_k", 1, *std::min_element(model.experts.begin(), model.experts.end()));
  if (object.has("picture")) model.preprocess = parse_picture(object.object("picture"));
  return model;
}

std::vector<TracedSample> parse_samples(const TensorFile& file) {
  const std::string where = file.path + ": __metadata__: samples";
  const Json list = parse_json(metadata_at(file, "samples"), where, {.bytes = 64ull << 20, .depth = 8});
  if (!list.is_array()) throw bad_data(where, "wrong type", {.found = list.type_name(), .expected = "array"});
  std::vector<TracedSample> samples;
  for (const Json& entry : list) {
    const JsonObject object(entry, where + "[" + std::to_string(samples.size()) + "]");
    TracedSample& sample = samples.emplace_back();
    sample.id = object.string("id");
    sample.source = object.string("source");
    sample.category = object.string("category");
    sample.text = object.string_or("text", "");
    sample.cropped = object.boolean_or("cropped", false);
    const Json& images = object.at("images");
    for (const Json& image : images.is_array() ? images : Json::array({nullptr})) {
      if (!image.is_string())
        throw bad_data(object.where() + ": images", "wrong type", {.expected = "an array of strings"});
      sample.images.push_back(image.get<std::string>());
    }
  }
  return samples;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// A column whose dtype has been checked. Its values lie in the file as they are.
class Values {
 public:
  Values(const TensorFile& file, const Column& column) : where_(tensor_at(file.path, column.name)) {
    tensor_ = file.find(column.name);
    if (tensor_ == nullptr) throw bad_data(where_, "missing");
    if (tensor_->dtype != column.dtype) {
      throw bad_data(where_, "wrong dtype",
                     {.found = dtype_name(tensor_->dtype), .expected = dtype_name(column.dtype)});
    }
  }
  Values(const TensorFile& file, const Column& column, const std::vector<int64_t>& shape)
      : Values(file, column) {
    if (tensor_->shape != shape) {
      throw bad_data(where_, "wrong shape",
                     {.found = shape_text(tensor_->shape), .expected = shape_text(shape)});
    }
  }
  // The length of a column of one dimension.
  int64_t length() const {
    if (tensor_->shape.size() != 1) {
      throw bad_data(where_, "wrong shape",
                     {.found = shape_text(tensor_->shape), .expected = "one dimension"});
    }
    return tensor_->shape[0];
  }
  template <typename T>
  T at(size_t i) const {
    return load<T>(tensor_->data.data() + i * sizeof(T));
  }
  // For integers.
  template <typename T>
  T at(size_t i, int64_t low, int64_t high) const {
    const T value = at<T>(i);
    if (value < low || value > high) {
      throw wrong_value(i, std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
    }
    return value;
  }
  float share_at(size_t i) const {
    const float value = at<float>(i);
    if (!(value >= 0 && value <= 1.001F)) throw wrong_value(i, std::to_string(value), "0 to 1");
    return value;
  }
  std::string_view text() const { return as_text(tensor_->data); }

 private:
  Error wrong_value(size_t i, const std::string& found, const std::string& expected) const {
    return bad_data(where_, "wrong value",
                    {.found = found, .expected = expected, .at = "value " + std::to_string(i)});
  }

  const TensorView* tensor_ = nullptr;
  std::string where_;
};

void parse_choices(const TensorFile& file, RoutingTrace& trace) {
  const auto tokens = static_cast<int64_t>(trace.tokens.size());
  const auto layers = static_cast<int64_t>(trace.layers());
  const std::vector<int64_t> shape = {tokens, layers, trace.model.top_k};
  const Values experts(file, kExperts, shape), weights(file, kWeights, shape), dropped(file, kDropped, shape);
  const Values probabilities(file, kProbabilities, {tokens, layers, trace.model.most_experts()});
  const auto count = static_cast<size_t>(tokens * layers * trace.model.top_k);
  trace.choices.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t layer = i / trace.top_k() % trace.layers();
    trace.choices[i] = {.expert = experts.at<int16_t>(i, 0, trace.model.experts[layer] - 1),
                        .weight = weights.share_at(i),
                        .dropped = dropped.at<uint8_t>(i, 0, 1) == 1};
  }
  trace.probabilities.resize(static_cast<size_t>(tokens * layers * trace.model.most_experts()));
  for (size_t i = 0; i < trace.probabilities.size(); ++i) trace.probabilities[i] = probabilities.share_at(i);
}

// Also how many tokens each sample has.
void parse_tokens(const TensorFile& file, RoutingTrace& trace) {
  const int64_t count = Values(file, kSample).length();
  const std::vector<int64_t> shape = {count};
  const Values sample(file, kSample, shape), position(file, kPosition, shape), id(file, kId, shape),
      modality(file, kModality, shape), picture(file, kPicture, shape), patch(file, kPatch, shape),
      answer(file, kAnswer, shape);
  const auto last_sample = static_cast<int64_t>(trace.samples.size()) - 1;
  int64_t current = 0;
  for (size_t t = 0; t < static_cast<size_t>(count); ++t) {
    const int64_t s = sample.at<int32_t>(t, current, last_sample);
    TracedSample& of = trace.samples[static_cast<size_t>(s)];
    current = s;
    position.at<int32_t>(t, static_cast<int64_t>(of.tokens), static_cast<int64_t>(of.tokens));
    ++of.tokens;
    const bool image = modality.at<uint8_t>(t, 0, 1) == 1;
    const auto last_picture = static_cast<int64_t>(of.images.size()) - 1;
    trace.tokens.push_back(
        {.id = id.at<int32_t>(t, image ? kPatchId : 0, image ? kPatchId : INT32_MAX),
         .picture = picture.at<int32_t>(t, image ? 0 : -1, image ? last_picture : -1),
         .patch = patch.at<int32_t>(t, image ? 0 : -1, image ? kMostPixels * kMostPixels : -1),
         .answer = answer.at<uint8_t>(t, 0, 1) == 1});
  }
}

void parse_vocabulary(const TensorFile& file, RoutingTrace& trace) {
  const int64_t words = Values(file, kVocabularyId).length();
  const Values ids(file, kVocabularyId, {words}), ends(file, kVocabularyEnd, {words});
  const Values bytes(file, kVocabularyBytes);
  const int64_t size = bytes.length();
  int64_t begin = 0;
  int64_t lowest = 0;
  for (size_t i = 0; i < static_cast<size_t>(words); ++i) {
    const auto id = ids.at<int32_t>(i, lowest, INT32_MAX);
    const auto end = ends.at<int64_t>(i, begin, size);
    trace.token_text[id] = bytes.text().substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    begin = end;
    lowest = int64_t{id} + 1;
  }
}

RoutingTrace parse(const TensorFile& file) {
  const std::string& format = metadata_at(file, "format");
  if (format != kFormat) {
    throw bad_data(file.path + ": __metadata__: format", "another format",
                   {.found = in_quotes(format), .expected = in_quotes(kFormat)});
  }
  RoutingTrace trace;
  trace.model = parse_model(file);
  trace.samples = parse_samples(file);
  parse_tokens(file, trace);
  parse_choices(file, trace);
  parse_vocabulary(file, trace);
  return trace;
}

}  // namespace

RoutingTrace parse_trace(std::span<const std::byte> bytes, const std::string& where) {
  return parse(parse_safetensors(bytes, where));
}

RoutingTrace read_trace(const std::filesystem::path& path) {
  return parse(open_safetensors(path));
}

}  // namespace moellava
