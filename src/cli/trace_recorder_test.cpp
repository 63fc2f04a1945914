#include "cli/trace_recorder.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

class TraceRecorderTest : public ::testing::Test {
 protected:
  TraceRecorderTest() : model_(testing::tiny_config(true)), tokenizer_(testing::tiny_tokenizer()) {
    testing::fill_random(model_);
  }

  TraceRecorder recorder(std::optional<int64_t> top_k = {}) const {
    return {model_, *tokenizer_, "runs/tiny/", top_k};
  }

  MoeLlava model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TraceRecorderTest, RecordsWhatTheRoutersSaid) {
  const std::vector<int32_t> ids = {5, kImageTokenId, 6, kImageTokenId};
  const at::Tensor features = testing::random_tensor({2, 4, 8}, 70);
  MoeRun run;
  run.capacity_factor = 0.5;  // some are dropped
  const ForwardResult pass = forward_prompt(model_, ids, features, run);
  TraceRecorder recorder = this->recorder();
  recorder.begin({.id = "q", .source = "s", .category = "", .text = "", .images = {"a.png", "b.png"}});
  recorder.add(ids, pass.routing);
  const std::vector<int32_t> answer = {7};
  const ForwardResult behind = forward_prompt(model_, answer, {});
  recorder.add(answer, behind.routing);

  const RoutingTrace& trace = recorder.trace();
  EXPECT_EQ(trace.model.name, "tiny");
  EXPECT_EQ(trace.model.layers, (std::vector<int64_t>{0, 2}));
  ASSERT_EQ(trace.tokens.size(), 11U);
  EXPECT_EQ(trace.samples[0].tokens, 11U);
  EXPECT_EQ(trace.tokens[0].id, 5);
  EXPECT_EQ(trace.tokens[0].picture, -1);
  EXPECT_EQ(trace.tokens[4].id, kImageTokenId);
  EXPECT_EQ(trace.tokens[4].patch, 3);
  EXPECT_EQ(trace.tokens[6].picture, 1);
  EXPECT_EQ(trace.tokens[6].patch, 0);
  EXPECT_EQ(trace.text_of(trace.tokens[0]), tokenizer_->token_bytes(5));
  EXPECT_EQ(trace.text_of(trace.tokens[1]), "");
  EXPECT_FALSE(trace.tokens[9].answer);
  EXPECT_TRUE(trace.tokens[10].answer);
  bool dropped = false;
  for (size_t t = 0; t < 11; ++t) {
    for (size_t l = 0; l < 2; ++l) {
      const Routing& routing = t < 10 ? pass.routing[l] : behind.routing[l];
      const auto row = static_cast<int64_t>(t < 10 ? t : 0);
      const at::Tensor gates = routing.logits[row].softmax(0);
      for (int64_t e = 0; e < 4; ++e) EXPECT_NEAR(trace.probability(t, l)[e], gates[e].item<float>(), 1e-6);
      for (int64_t k = 0; k < 2; ++k) {
        const TracedChoice& choice = trace.choice(t, l, static_cast<size_t>(k));
        EXPECT_EQ(choice.expert, routing.expert[row][k].item<int64_t>());
        EXPECT_EQ(choice.weight, routing.weight[row][k].item<float>());
        EXPECT_EQ(choice.dropped, routing.slot[row][k].item<int64_t>() < 0);
        dropped = dropped || choice.dropped;
      }
    }
  }
  EXPECT_TRUE(dropped);  // else the test would not see drops
}

TEST_F(TraceRecorderTest, MaskedExpertsHaveNoProbability) {
  const std::vector<int32_t> ids = {5, 6, 7};
  MoeRun run;
  run.edits = {{.masked = {1}, .swapped = {}}, {}};
  TraceRecorder recorder = this->recorder();
  recorder.begin({});
  recorder.add(ids, forward_prompt(model_, ids, {}, run).routing);
  for (size_t t = 0; t < 3; ++t) {
    EXPECT_EQ(recorder.trace().probability(t, 0)[1], 0.0F);
    EXPECT_GT(recorder.trace().probability(t, 1)[1], 0.0F);
  }
}

TEST_F(TraceRecorderTest, RefusesWhatIsNotOfTheModel) {
  const std::vector<int32_t> ids = {5, 6};
  const std::vector<Routing> routing = forward_prompt(model_, ids, {}).routing;
  TraceRecorder recorder = this->recorder();
  EXPECT_THROW(recorder.add(ids, routing), Error);  // no sample
  recorder.begin({});
  EXPECT_THROW(recorder.add(ids, std::span(routing).first(1)), Error);
  EXPECT_THROW(recorder.add(std::span(ids).first(1), routing), Error);
  TraceRecorder one_choice = this->recorder(1);
  one_choice.begin({});
  EXPECT_THROW(one_choice.add(ids, routing), Error);
  const MoeLlava dense(testing::tiny_config(false));
  try {
    TraceRecorder(dense, *tokenizer_, "dense", {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "dense: a dense model, it has no routers");
  }
}

TEST(TracedSample, IdsAreIntegersOrStrings) {
  Question question{.id = 7, .image = "a.png", .text = "", .category = "c", .answer = "", .where = ""};
  EXPECT_EQ(traced_sample(question, "s").id, "7");
  EXPECT_THAT(traced_sample(question, "s").images, ::testing::ElementsAre("a.png"));
  question.id = "seven";
  question.image = "";
  EXPECT_EQ(traced_sample(question, "s").id, "seven");
  EXPECT_TRUE(traced_sample(question, "s").images.empty());
}

}  // namespace
}  // namespace moellava
