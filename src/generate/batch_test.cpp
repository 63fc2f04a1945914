#include "generate/batch.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "generate/engine.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

struct Case {
  std::string family;
  bool sparse;
};

class GenerateBatch : public ::testing::TestWithParam<Case> {
 protected:
  GenerateBatch() : model_(config_of(GetParam())), tokenizer_(testing::tiny_tokenizer()) {
    testing::fill_random(model_);
  }
  static ModelConfig config_of(const Case& tested) {
    ModelConfig config = testing::tiny_config(tested.sparse);
    config.decoder = testing::tiny_decoder_config_of(tested.family, /*vocab_size=*/264);
    config.decoder.max_positions = 64;
    config.decoder.layers = 3;
    return config;
  }
  // Prompts of different lengths about two pictures and about none, with answers of different lengths.
  std::vector<GenerateRequest> requests(bool pictures_only) const {
    const at::Tensor cat = random_tensor({1, 4, 8}, 70), dog = random_tensor({1, 4, 8}, 71);
    std::vector<GenerateRequest> all = {
        asked({9, kImageTokenId, 10, 11, 12, 13}, cat, 9), asked({9, kImageTokenId, 14}, cat, 3),
        asked({9, kImageTokenId, 15, 16}, dog, 12),        asked({9, kImageTokenId, 17, 18, 19}, cat, 1),
        asked({9, 8, kImageTokenId, 20, 21}, dog, 7),      asked({9, kImageTokenId, 15, 16}, dog, 0)};
    if (!pictures_only) all.insert(all.begin() + 2, asked({22, 23, 24, 25}, {}, 8));
    return all;
  }
  static GenerateRequest asked(std::vector<int32_t> ids, const at::Tensor& features, int64_t most) {
    GenerateRequest request;
    request.ids = std::move(ids);
    request.features = features;
    request.max_new_tokens = most;
    return request;
  }
  GenerateResult alone(const GenerateRequest& request) const {
    return Engine(model_, *tokenizer_).generate(request);
  }
  void expect_same(const std::vector<GenerateRequest>& all) const {
    for (size_t size = 1; size <= all.size(); ++size) {
      const std::span<const GenerateRequest> asked(all.data() + (all.size() - size), size);
      const std::vector<GenerateResult> answers = generate_batch(model_, *tokenizer_, asked);
      ASSERT_EQ(answers.size(), size);
      for (size_t i = 0; i < size; ++i) {
        const GenerateResult expected = alone(asked[i]);
        EXPECT_EQ(answers[i].ids, expected.ids) << "request " << i << " of " << size;
        EXPECT_EQ(answers[i].text, expected.text);
        EXPECT_EQ(answers[i].reason, expected.reason);
        EXPECT_EQ(answers[i].end_id, expected.end_id);
        EXPECT_EQ(answers[i].prompt_positions, expected.prompt_positions);
      }
    }
  }

  MoeLlava model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(GenerateBatch, AnswersAsOneByOne) {
  expect_same(requests(/*pictures_only=*/false));
}

TEST_P(GenerateBatch, AnswersAsOneByOneWhereBeginningsAreShared) {
  const std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  expect_same(all);
  std::set<std::vector<int32_t>> different;
  for (const GenerateRequest& request : all) different.insert(alone(request).ids);
  EXPECT_GE(different.size(), 3U);  // else mixed-up rows could not be seen
}

TEST_P(GenerateBatch, DrawnExpertsAndDroppedTokensAreThoseOfEachAlone) {
  std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  for (GenerateRequest& request : all) request.moe.gumbel_seed = 5;
  expect_same(all);
  for (GenerateRequest& request : all) request.moe = {.capacity_factor = 0.5};
  expect_same(all);
}

INSTANTIATE_TEST_SUITE_P(Families, GenerateBatch,
                         ::testing::Values(Case{"phi", true}, Case{"stablelm", true}, Case{"qwen", true},
                                           Case{"llama", true}, Case{"llama", false}, Case{"mistral", true},
                                           Case{"qwen2", true}, Case{"minicpm", true}),
                         [](const auto& tested) {
                           return tested.param.family + (tested.param.sparse ? "" : "_dense");
                         });

class LlamaBatch : public GenerateBatch {};
INSTANTIATE_TEST_SUITE_P(, LlamaBatch, ::testing::Values(Case{"llama", true}));

TEST_P(LlamaBatch, RunsAPictureOnce) {
  const std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  const std::vector<GenerateResult> answers = generate_batch(model_, *tokenizer_, all);
  std::vector<int64_t> reused;
  for (const GenerateResult& answer : answers) reused.push_back(answer.reused_positions);
  EXPECT_EQ(reused, (std::vector<int64_t>{0, 5, 0, 5, 0, 5}));
}

TEST_P(LlamaBatch, GivesEachAnswerOutOnceAndEarlyOnesFirst) {
  const std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  std::vector<size_t> order;
  const auto answers = generate_batch(model_, *tokenizer_, all, [&](size_t i, const GenerateResult& answer) {
    order.push_back(i);
    EXPECT_EQ(answer.ids, alone(all[i]).ids);
  });
  ASSERT_EQ(order.size(), all.size());
  EXPECT_EQ(std::set<size_t>(order.begin(), order.end()).size(), all.size());
  // The first token of all comes at once, be it one that ends the answer.
  const auto steps = [&](size_t i) {
    return std::max<size_t>(1, answers[i].ids.size() + (answers[i].end_id ? 1 : 0));
  };
  for (size_t i = 1; i < order.size(); ++i) EXPECT_LE(steps(order[i - 1]), steps(order[i]));
}

TEST_P(LlamaBatch, StopsAtEndsOfItsOwn) {
  std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  const std::vector<int32_t> ids = alone(all[0]).ids;
  ASSERT_GE(ids.size(), 3U);
  all[0].stop_ids = {ids[2]};
  all[2].stop = {tokenizer_->decode(std::vector<int32_t>{alone(all[2]).ids[1]}, /*skip_special=*/false)};
  expect_same(all);
}

TEST_P(LlamaBatch, RefusesWhatTheEngineRefuses) {
  std::vector<GenerateRequest> all = requests(/*pictures_only=*/true);
  all[1].ids.assign(100, 7);
  EXPECT_THROW(generate_batch(model_, *tokenizer_, all), Error);
  EXPECT_TRUE(generate_batch(model_, *tokenizer_, {}).empty());
}

}  // namespace
}  // namespace moellava
