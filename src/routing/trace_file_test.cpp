#include "routing/trace_file.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "base/file_io.hpp"
#include "files/safetensors.hpp"
#include "files/testing.hpp"
#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using testing::random_trace;

RoutingTrace two_layers() {
  RoutingTrace trace = random_trace(2, 3, 2, 2);
  trace.model.preprocess = PreprocessConfig{.aspect_ratio = AspectRatio::Square, .size = 224};
  trace.samples[1].text = "What\nis it?";
  trace.samples[1].cropped = true;
  trace.token_text[3] = std::string("\xff\0\"", 3);  // a piece of a character, a zero byte
  return trace;
}

std::string written(const RoutingTrace& trace) {
  const test::TempFolder folder;
  write_trace(folder / "t.safetensors", trace);
  return read_file(folder / "t.safetensors", 1 << 20);
}

void expect_equal(const RoutingTrace& found, const RoutingTrace& expected) {
  EXPECT_EQ(found.model, expected.model);
  EXPECT_EQ(found.model.name, expected.model.name);
  ASSERT_EQ(found.samples.size(), expected.samples.size());
  for (size_t s = 0; s < found.samples.size(); ++s) {
    const TracedSample &a = found.samples[s], &b = expected.samples[s];
    EXPECT_EQ(std::tie(a.id, a.source, a.category, a.text, a.images, a.cropped, a.tokens),
              std::tie(b.id, b.source, b.category, b.text, b.images, b.cropped, b.tokens));
  }
  ASSERT_EQ(found.tokens.size(), expected.tokens.size());
  for (size_t t = 0; t < found.tokens.size(); ++t) {
    const TracedToken &a = found.tokens[t], &b = expected.tokens[t];
    EXPECT_EQ(std::tie(a.id, a.picture, a.patch, a.answer), std::tie(b.id, b.picture, b.patch, b.answer));
  }
  ASSERT_EQ(found.choices.size(), expected.choices.size());
  for (size_t i = 0; i < found.choices.size(); ++i) {
    const TracedChoice &a = found.choices[i], &b = expected.choices[i];
    EXPECT_EQ(std::tie(a.expert, a.weight, a.dropped), std::tie(b.expert, b.weight, b.dropped));
  }
  EXPECT_EQ(found.probabilities, expected.probabilities);
  EXPECT_EQ(found.token_text, expected.token_text);
}

TEST(TraceFile, ComesBackAsItWasWritten) {
  const RoutingTrace trace = two_layers();
  const RoutingTrace read = parse_trace(test::bytes_of(written(trace)), "t");
  expect_equal(read, trace);
  ASSERT_TRUE(read.model.preprocess);
  EXPECT_EQ(read.model.preprocess->size, 224);
  EXPECT_EQ(read.model.preprocess->aspect_ratio, AspectRatio::Square);
  EXPECT_EQ(read.model.preprocess->mean, trace.model.preprocess->mean);
}

TEST(TraceFile, LayersOfDifferentSizeAndNoTokens) {
  RoutingTrace trace = testing::empty_trace(2, 2, 2);
  trace.model.experts = {2, 5};
  expect_equal(parse_trace(test::bytes_of(written(trace)), "t"), trace);
  testing::add_sample(trace, "a", "", "");
  testing::add_token(trace, {.id = 4}, {1, 4});
  trace.token_text[4] = "four";
  expect_equal(parse_trace(test::bytes_of(written(trace)), "t"), trace);
}

TEST(TraceFile, TracesOfOneModelAreJoined) {
  RoutingTrace trace = two_layers();
  const size_t tokens = trace.tokens.size();
  trace.append(random_trace(2, 3, 2, 3), "b");
  EXPECT_EQ(trace.samples.size(), 5U);
  EXPECT_GT(trace.tokens.size(), tokens);
  EXPECT_EQ(trace.sample_begins().back(), trace.tokens.size());
  expect_equal(parse_trace(test::bytes_of(written(trace)), "t"), trace);
  try {
    trace.append(random_trace(2, 4, 2), "b");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "b: the trace of another model: found 2 layers of 4 4 experts, 2 a token, expected 2 layers of "
        "3 3 experts, 2 a token");
  }
}

// The file with one tensor replaced, or dropped when the new one has no name.
std::string with_tensor(const std::string& file, const std::string& name, const TensorView& replacement) {
  const TensorFile parsed = parse_safetensors(test::bytes_of(file), "t");
  std::vector<TensorView> tensors;
  for (const TensorView& tensor : parsed.tensors) {
    if (tensor.name != name) tensors.push_back(tensor);
  }
  if (!replacement.name.empty()) tensors.push_back(replacement);
  const test::TempFolder folder;
  write_safetensors(folder / "t", tensors, parsed.metadata);
  return read_file(folder / "t", 1 << 20);
}

std::string with_metadata(const std::string& file, const std::string& key, const std::string& value) {
  const TensorFile parsed = parse_safetensors(test::bytes_of(file), "t");
  std::map<std::string, std::string> metadata = parsed.metadata;
  metadata[key] = value;
  const test::TempFolder folder;
  write_safetensors(folder / "t", parsed.tensors, metadata);
  return read_file(folder / "t", 1 << 20);
}

// The file with one value of a tensor changed.
template <typename T>
std::string with_value(std::string file, const std::string& name, size_t index, T value) {
  const TensorFile parsed = parse_safetensors(test::bytes_of(file), "t");
  const auto offset =
      static_cast<size_t>(parsed.find(name)->data.data() - reinterpret_cast<const std::byte*>(file.data()));
  file.replace(offset + index * sizeof(T), sizeof(T), test::le(value));
  return file;
}

const char* const kModel = R"({"name":"m","layers":[0,2],"experts":[3,3],"top_k":2)";

TEST(TraceFile, BadMetadataIsRefused) {
  const std::string good = written(two_layers());
  const std::string model = kModel;
  test::expect_refused(
      {{"no trace", test::safetensors("{}"), "t: __metadata__: format: missing"},
       {"another format", with_metadata(good, "format", "2"), "format: another format: found \"2\""},
       {"no JSON", with_metadata(good, "model", "{"), "t: __metadata__: model: not valid JSON"},
       {"no layers", with_metadata(good, "model", R"({"name":"m","layers":[],"experts":[],"top_k":1})"),
        "model: experts: not one number a layer: found 0, expected 1"},
       {"layers down",
        with_metadata(good, "model", R"({"name":"m","layers":[2,0],"experts":[3,3],"top_k":2})"),
        "model: layers: not ascending"},
       {"too many choices",
        with_metadata(good, "model", R"({"name":"m","layers":[0,2],"experts":[3,1],"top_k":2})"), "top_k"},
       {"huge experts",
        with_metadata(good, "model", R"({"name":"m","layers":[0],"experts":[99999],"top_k":1})"), "experts"},
       {"no size", with_metadata(good, "model", model + R"(,"picture":{"mean":[0,0,0]}})"), "size: missing"},
       {"huge pictures", with_metadata(good, "model", model + R"(,"picture":{"size":99999,"mean":[0,0,0]}})"),
        "size: wrong type or range"},
       {"no mean", with_metadata(good, "model", model + R"(,"picture":{"size":9,"mean":[0,0,7]}})"),
        "mean: wrong type: expected three numbers from 0 to 1"},
       {"samples no list", with_metadata(good, "samples", "{}"), "samples: wrong type: found object"},
       {"sample without id", with_metadata(good, "samples", R"([{"source":""}])"), "samples[0]: id: missing"},
       {"images no list",
        with_metadata(good, "samples", R"([{"id":"","source":"","category":"","images":7}])"),
        "samples[0]: images: wrong type"},
       {"images of numbers",
        with_metadata(good, "samples", R"([{"id":"","source":"","category":"","images":[7]}])"),
        "samples[0]: images: wrong type"},
       {"fewer samples", with_metadata(good, "samples", "[]"), "tensor \"token_sample\": wrong value"}},
      [](const std::string& bytes) { parse_trace(test::bytes_of(bytes), "t"); });
}

TEST(TraceFile, BadTensorsAreRefused) {
  const std::string good = written(two_layers());
  const std::string four(4, '\0');
  const auto view = [&](const char* name, DType dtype, std::vector<int64_t> shape) {
    return TensorView{.name = name, .dtype = dtype, .shape = std::move(shape), .data = test::bytes_of(four)};
  };
  test::expect_refused(
      {{"missing", with_tensor(good, "dropped", {}), "t: tensor \"dropped\": missing"},
       {"dtype", with_tensor(good, "token_patch", view("token_patch", DType::F32, {1})),
        "tensor \"token_patch\": wrong dtype: found F32, expected I32"},
       {"shape", with_tensor(good, "token_patch", view("token_patch", DType::I32, {1})),
        "tensor \"token_patch\": wrong shape: found [1], expected ["},
       {"dimensions", with_tensor(good, "token_sample", view("token_sample", DType::I32, {1, 1})),
        "tensor \"token_sample\": wrong shape: found [1, 1], expected one dimension"},
       {"expert", with_value<int16_t>(good, "routed_experts", 5, 3),
        "tensor \"routed_experts\": wrong value: found 3, expected 0 to 2 at value 5"},
       {"negative expert", with_value<int16_t>(good, "routed_experts", 0, -1), "found -1, expected 0 to 2"},
       {"weight", with_value<float>(good, "routed_weights", 1, NAN),
        "\"routed_weights\": wrong value: found nan"},
       {"probability", with_value<float>(good, "router_probabilities", 2, 7.0F),
        "found 7.000000, expected 0 to 1"},
       {"dropped", with_value<uint8_t>(good, "dropped", 0, 2), "tensor \"dropped\": wrong value: found 2"},
       {"sample", with_value<int32_t>(good, "token_sample", 0, 2), "token_sample\": wrong value: found 2"},
       {"sample back", with_value<int32_t>(good, "token_sample", two_layers().tokens.size() - 1, 0),
        "token_sample\": wrong value: found 0"},
       {"position", with_value<int32_t>(good, "token_position", 1, 4), "found 4, expected 1 to 1 at value 1"},
       {"word as patch", with_value<uint8_t>(good, "token_modality", 0, 1), "token_id\": wrong value"},
       {"patch as word", with_value<uint8_t>(good, "token_modality", 2, 0),
        "token_id\": wrong value: found -200"},
       {"picture", with_value<int32_t>(good, "token_picture", 2, 1), "token_picture\": wrong value: found 1"},
       {"patch", with_value<int32_t>(good, "token_patch", 2, -5), "token_patch\": wrong value: found -5"},
       {"answer", with_value<uint8_t>(good, "token_answer", 0, 9), "token_answer\": wrong value: found 9"},
       {"words down", with_value<int32_t>(good, "vocabulary_id", 1, 0),
        "vocabulary_id\": wrong value: found 0"},
       {"bytes beyond", with_value<int64_t>(good, "vocabulary_end", 0, 1000),
        "vocabulary_end\": wrong value"},
       {"bytes back", with_value<int64_t>(good, "vocabulary_end", 1, 1), "vocabulary_end\": wrong value"},
       {"truncated", good.substr(0, good.size() - 1), "run past the end of the file"}},
      [](const std::string& bytes) { parse_trace(test::bytes_of(bytes), "t"); });
}

}  // namespace
}  // namespace moellava
