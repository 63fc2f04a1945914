// The writing half of trace_file.hpp.
#include "base/json.hpp"
#include "files/safetensors.hpp"
#include "routing/trace_columns.hpp"
#include "routing/trace_file.hpp"

namespace moellava {

namespace {

using namespace trace_format;

// Owns the bytes of the columns until they are written.
class Columns {
 public:
  template <typename T>
  void add(const Column& column, std::vector<int64_t> shape, const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    storage_.emplace_back(bytes, bytes + values.size() * sizeof(T));
    views_.push_back({.name = column.name, .dtype = column.dtype, .shape = std::move(shape), .data = {}});
  }
  std::vector<TensorView> views() const {
    std::vector<TensorView> views = views_;
    for (size_t i = 0; i < views.size(); ++i) views[i].data = storage_[i];
    return views;
  }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<TensorView> views_;
};

// One value of every element.
template <typename T, typename Element, typename Field>
std::vector<T> column_of(const std::vector<Element>& elements, Field field) {
  std::vector<T> values;
  values.reserve(elements.size());
  for (const Element& element : elements) values.push_back(static_cast<T>(field(element)));
  return values;
}

void add_choices(Columns& columns, const RoutingTrace& trace) {
  const auto tokens = static_cast<int64_t>(trace.tokens.size());
  const auto layers = static_cast<int64_t>(trace.layers());
  const std::vector<int64_t> shape = {tokens, layers, trace.model.top_k};
  columns.add(kExperts, shape,
              column_of<int16_t>(trace.choices, [](const TracedChoice& c) { return c.expert; }));
  columns.add(kWeights, shape,
              column_of<float>(trace.choices, [](const TracedChoice& c) { return c.weight; }));
  columns.add(kDropped, shape,
              column_of<uint8_t>(trace.choices, [](const TracedChoice& c) { return c.dropped; }));
  columns.add(kProbabilities, {tokens, layers, trace.model.most_experts()}, trace.probabilities);
}

void add_tokens(Columns& columns, const RoutingTrace& trace) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(trace.tokens.size())};
  std::vector<int32_t> sample, position;
  for (size_t s = 0; s < trace.samples.size(); ++s) {
    for (uint64_t i = 0; i < trace.samples[s].tokens; ++i) {
      sample.push_back(static_cast<int32_t>(s));
      position.push_back(static_cast<int32_t>(i));
    }
  }
  columns.add(kSample, shape, sample);
  columns.add(kPosition, shape, position);
  columns.add(kId, shape, column_of<int32_t>(trace.tokens, [](const TracedToken& t) { return t.id; }));
  columns.add(kModality, shape,
              column_of<uint8_t>(trace.tokens, [](const TracedToken& t) { return t.is_image(); }));
  columns.add(kPicture, shape,
              column_of<int32_t>(trace.tokens, [](const TracedToken& t) { return t.picture; }));
  columns.add(kPatch, shape, column_of<int32_t>(trace.tokens, [](const TracedToken& t) { return t.patch; }));
  columns.add(kAnswer, shape,
              column_of<uint8_t>(trace.tokens, [](const TracedToken& t) { return t.answer; }));
}

void add_vocabulary(Columns& columns, const RoutingTrace& trace) {
  std::vector<int32_t> ids;
  std::vector<int64_t> ends;
  std::vector<char> bytes;
  for (const auto& [id, text] : trace.token_text) {
    ids.push_back(id);
    bytes.insert(bytes.end(), text.begin(), text.end());
    ends.push_back(static_cast<int64_t>(bytes.size()));
  }
  const auto words = static_cast<int64_t>(ids.size());
  columns.add(kVocabularyId, {words}, ids);
  columns.add(kVocabularyEnd, {words}, ends);
  columns.add(kVocabularyBytes, {static_cast<int64_t>(bytes.size())}, bytes);
}

Json model_json(const TracedModel& model) {
  Json json = {
      {"name", model.name}, {"layers", model.layers}, {"experts", model.experts}, {"top_k", model.top_k}};
  if (model.preprocess) {
    const PreprocessConfig& picture = *model.preprocess;
    json["picture"] = {{"size", picture.size},
                       {"pad", picture.aspect_ratio == AspectRatio::Pad},
                       {"resize_shortest_edge", picture.resize_shortest_edge},
                       {"center_crop", picture.center_crop},
                       {"mean", picture.mean}};
  }
  return json;
}

Json samples_json(const std::vector<TracedSample>& samples) {
  Json json = Json::array();
  for (const TracedSample& sample : samples) {
    json.push_back({{"id", sample.id},
                    {"source", sample.source},
                    {"category", sample.category},
                    {"text", sample.text},
                    {"images", sample.images},
                    {"cropped", sample.cropped}});
  }
  return json;
}

// Names that are no UTF-8 (a file's, say) are written with replacement characters.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

void write_trace(const std::filesystem::path& path, const RoutingTrace& trace) {
  Columns columns;
  add_choices(columns, trace);
  add_tokens(columns, trace);
  add_vocabulary(columns, trace);
  write_safetensors(path, columns.views(),
                    {{"format", std::string(kFormat)},
                     {"model", text_of(model_json(trace.model))},
                     {"samples", text_of(samples_json(trace.samples))}});
}

}  // namespace moellava
