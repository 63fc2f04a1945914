#include "generate/engine.hpp"

#include <set>

#include "base/error.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

constexpr int64_t kVocabulary = 264;  // a few rows more than the tokenizer has

ModelConfig small_context(bool sparse) {
  ModelConfig config = testing::tiny_config(sparse);
  config.conversation = "chatml";
  config.decoder.vocab_size = kVocabulary;
  config.decoder.max_positions = 64;
  config.decoder.layers = 3;  // whose answers are long and differ from seed to seed
  return config;
}

class EngineTest : public ::testing::TestWithParam<bool> {
 protected:
  EngineTest() : model_(small_context(GetParam())), tokenizer_(testing::tiny_tokenizer()) {
    testing::fill_random(model_);
  }

  GenerateRequest request(std::vector<int32_t> ids, int64_t count = 8) const {
    GenerateRequest r;
    r.ids = std::move(ids);
    r.max_new_tokens = count;
    if (std::count(r.ids.begin(), r.ids.end(), kImageTokenId) > 0) r.features = random_tensor({1, 4, 8}, 70);
    return r;
  }

  // The plain version: the whole sequence again for every token, no cache.
  std::vector<int32_t> naive_greedy(const GenerateRequest& r) const {
    std::vector<int32_t> ids = r.ids;
    std::vector<int32_t> out;
    while (static_cast<int64_t>(out.size()) < r.max_new_tokens) {
      const at::Tensor logits = forward_prompt(model_, ids, r.features, r.moe).logits;
      const auto id =
          static_cast<int32_t>(logits[-1].narrow(0, 0, tokenizer_->size()).argmax().item<int64_t>());
      if (id == tokenizer_->eos_id) break;
      out.push_back(id);
      ids.push_back(id);
    }
    return out;
  }

  MoeLlava model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(EngineTest, CachedGreedyEqualsRunningEverythingAgain) {
  Engine engine(model_, *tokenizer_);
  for (const auto& ids : {std::vector<int32_t>{5, 6, 7}, std::vector<int32_t>{9, kImageTokenId, 10, 11}}) {
    const GenerateRequest r = request(ids);
    const GenerateResult result = engine.generate(r);
    EXPECT_EQ(result.ids, naive_greedy(r));
    for (int32_t id : result.ids) EXPECT_LT(id, tokenizer_->size());
  }
}

TEST_P(EngineTest, ToldEveryChoiceOfEveryTokenThatIsRun) {
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({9, kImageTokenId, 10, 11});
  engine.generate(r);  // leaves a cache that must not be used
  std::vector<int32_t> ids;
  std::vector<at::Tensor> experts;  // of the first MoE layer
  r.on_routing = [&](std::span<const int32_t> more, std::span<const Routing> routing) {
    ids.insert(ids.end(), more.begin(), more.end());
    ASSERT_EQ(routing.size(), model_.config().moe.layers.size());
    if (!routing.empty()) experts.push_back(routing[0].expert);
  };
  const GenerateResult result = engine.generate(r);
  EXPECT_EQ(result.reused_positions, 0);
  std::vector<int32_t> expected = r.ids;
  expected.insert(expected.end(), result.ids.begin(), result.ids.end());
  if (result.ids.size() == 8) expected.pop_back();  // the last one written is not run
  EXPECT_EQ(ids, expected);
  if (!GetParam()) return;
  const std::vector<Routing> whole = forward_prompt(model_, expected, r.features).routing;
  EXPECT_TRUE(at::cat(experts).equal(whole[0].expert));
}

TEST_P(EngineTest, NothingIsReusedBetweenDifferentWhatIfs) {
  if (!GetParam()) return;
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({9, kImageTokenId, 10, 11, 12});
  engine.generate(r);
  r.moe.edits.resize(2);
  r.moe.edits[0].masked = {0};
  EXPECT_EQ(engine.generate(r).reused_positions, 0);
  EXPECT_GT(engine.generate(r).reused_positions, 0);
  EXPECT_EQ(engine.generate(r).ids, naive_greedy(r));
}

TEST_P(EngineTest, ReusesTheCommonBeginningAndChangesNothing) {
  Engine engine(model_, *tokenizer_);
  engine.generate(request({9, kImageTokenId, 10, 11, 12}));
  const GenerateRequest second = request({9, kImageTokenId, 10, 33, 34});
  const GenerateResult reused = engine.generate(second);
  EXPECT_EQ(reused.reused_positions, 2 + 4);  // two words and a picture of four tokens
  EXPECT_EQ(reused.ids, Engine(model_, *tokenizer_).generate(second).ids);
  // Another picture: nothing behind it can be kept.
  GenerateRequest other = second;
  other.features = random_tensor({1, 4, 8}, 71);
  EXPECT_EQ(engine.generate(other).reused_positions, 0);
  EXPECT_EQ(engine.generate(other).ids, Engine(model_, *tokenizer_).generate(other).ids);
}

TEST_P(EngineTest, KeepsNothingWhereTokensCanBeDropped) {
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({5, 6, 7, 8});
  r.moe.capacity_factor = 0.5;
  engine.generate(r);
  EXPECT_EQ(engine.generate(r).reused_positions, GetParam() ? 0 : 3);
}

TEST_P(EngineTest, NobodyInheritsACacheThatDroppingOrNoiseShaped) {
  Engine engine(model_, *tokenizer_);
  const GenerateRequest plain = request({5, 6, 7, 8, 9, 10});
  GenerateRequest shaped = plain;
  shaped.moe.capacity_factor = 0.25;
  engine.generate(shaped);
  const GenerateResult after = engine.generate(plain);
  EXPECT_EQ(after.reused_positions, GetParam() ? 0 : 5);
  EXPECT_EQ(after.ids, naive_greedy(plain));
  if (!GetParam()) return;
  shaped = plain;
  shaped.moe.router_noise = random_tensor({2, 6, 4}, 90) * 10;
  engine.generate(shaped);
  EXPECT_EQ(engine.generate(plain).reused_positions, 0);
}

// The second turn of a conversation runs what was not run before: the last word of the answer and the new
// question.
TEST_P(EngineTest, ASecondTurnRunsItsNewTokensOnly) {
  Engine engine(model_, *tokenizer_);
  const GenerateRequest first = request({9, kImageTokenId, 10, 11});
  const GenerateResult answer = engine.generate(first);
  ASSERT_EQ(answer.reason, FinishReason::Length);
  GenerateRequest second = first;
  second.ids.insert(second.ids.end(), answer.ids.begin(), answer.ids.end());
  for (int32_t id : {40, 41, 42}) second.ids.push_back(id);
  const GenerateResult reused = engine.generate(second);
  EXPECT_EQ(reused.prompt_positions - reused.reused_positions, 1 + 3);
  EXPECT_EQ(reused.ids, naive_greedy(second));
}

// A token's noise depends on its place in the conversation alone: prompt, decoding and what the cache holds
// agree with running everything again.
TEST_P(EngineTest, DrawnSecondExpertsDependOnTheSeedAlone) {
  if (!GetParam()) return;
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({9, kImageTokenId, 10, 11}, 12);
  std::set<std::vector<int32_t>> answers;
  for (uint64_t seed : {1, 2, 3, 4}) {
    r.moe.gumbel_seed = seed;
    const GenerateResult result = engine.generate(r);
    EXPECT_EQ(result.reused_positions, 0) << "of another seed";
    EXPECT_EQ(result.ids, naive_greedy(r));
    const GenerateResult again = engine.generate(r);
    EXPECT_EQ(again.reused_positions, result.prompt_positions - 1);
    EXPECT_EQ(again.ids, result.ids);
    answers.insert(result.ids);
  }
  EXPECT_GT(answers.size(), 1u);
}

TEST_P(EngineTest, TheNumberOfExpertsOfATokenCanBeChosen) {
  if (!GetParam()) return;
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({9, kImageTokenId, 10, 11}, 12);
  const std::vector<int32_t> own = engine.generate(r).ids;
  r.moe.top_k = 4;
  const GenerateResult all = engine.generate(r);
  EXPECT_EQ(all.reused_positions, 0);
  EXPECT_EQ(all.ids, naive_greedy(r));
  EXPECT_NE(all.ids, own);
  r.moe.top_k = 1;  // twice the fair share of an expert may be too small now
  engine.generate(r);
  EXPECT_EQ(engine.generate(r).reused_positions, 0);
}

TEST_P(EngineTest, ARequestThatFailsLeavesNothingBehind) {
  Engine engine(model_, *tokenizer_);
  const GenerateRequest r = request({5, 6, 7});
  engine.generate(r);
  EXPECT_THROW(engine.generate(r, [](std::string_view) { throw std::runtime_error("closed"); }),
               std::runtime_error);
  const GenerateResult after = engine.generate(r);
  EXPECT_EQ(after.reused_positions, 0);
  EXPECT_EQ(after.ids, naive_greedy(r));
}

TEST_P(EngineTest, SampledAnswersDependOnTheSeedAlone) {
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({5, 6, 7}, 12);
  r.sampling = {.temperature = 1.5, .top_p = 0.95, .top_k = 50, .seed = 4};
  const std::vector<int32_t> first = engine.generate(r).ids;
  EXPECT_EQ(engine.generate(r).ids, first);  // from the cache now
  r.sampling.seed = 5;
  EXPECT_NE(engine.generate(r).ids, first);
}

TEST_P(EngineTest, StopTextsAreHeldBackAndCutOff) {
  Engine engine(model_, *tokenizer_);
  const GenerateRequest plain = request({5, 6, 7}, 12);
  const std::string text = engine.generate(plain).text;
  // Any stretch of the answer can be its stop text.
  for (size_t at : {text.size() / 3, text.size() / 2}) {
    size_t begin = at;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    GenerateRequest r = plain;
    r.stop = {text.substr(begin, 2)};
    std::string shown;
    const GenerateResult result = engine.generate(r, [&](std::string_view part) { shown += part; });
    EXPECT_EQ(result.reason, FinishReason::Stop);
    EXPECT_EQ(result.text, text.substr(0, text.find(r.stop[0])));
    EXPECT_EQ(shown, result.text);
  }
}

TEST_P(EngineTest, StopsAtItsIdsItsLengthAndItsContext) {
  Engine engine(model_, *tokenizer_);
  GenerateRequest r = request({5, 6, 7}, 6);
  const GenerateResult whole = engine.generate(r);
  ASSERT_EQ(whole.ids.size(), 6u);
  EXPECT_EQ(whole.reason, FinishReason::Length);
  r.stop_ids = {whole.ids[2]};
  const GenerateResult stopped = engine.generate(r);
  EXPECT_EQ(stopped.reason, FinishReason::Stop);
  EXPECT_LE(stopped.ids.size(), 2u);
  EXPECT_EQ(stopped.end_id, whole.ids[2]);
  EXPECT_FALSE(whole.end_id);
  EXPECT_EQ(engine.generate(request(std::vector<int32_t>(60, 5), 100)).ids.size(), 4u);
  EXPECT_THROW(engine.generate(request(std::vector<int32_t>(64, 5))), Error);
  EXPECT_THROW(engine.generate(request({})), Error);
}

TEST_P(EngineTest, PaddedRowsOfTheVocabularyAreNeverChosen) {
  // Two opposite rows beyond the tokenizer: one of them is the largest by far.
  model_.visit([&](const std::string& name, at::Tensor& tensor) {
    if (name != "lm_head.weight") return;
    const at::Tensor huge = 1000 * random_tensor({tensor.size(1)}, 93);
    tensor[tokenizer_->size()].copy_(huge);
    tensor[tokenizer_->size() + 1].copy_(-huge);
  });
  GenerateRequest r = request({5, 6, 7}, 12);
  EXPECT_GE(forward_prompt(model_, r.ids, {}).logits[-1].argmax().item<int64_t>(), tokenizer_->size());
  for (const double temperature : {0.0, 2.0}) {
    r.sampling = {.temperature = temperature};
    for (const int32_t id : Engine(model_, *tokenizer_).generate(r).ids) EXPECT_LT(id, tokenizer_->size());
  }
}

TEST(StopTexts, SeveralIdsInARowEndAnAnswerAsTheirText) {
  const auto tokenizer = testing::tiny_tokenizer();
  ModelConfig config = small_context(false);
  EXPECT_TRUE(stop_texts(MoeLlava(config), *tokenizer).empty());  // ChatML's is one id
  std::vector<int64_t> word;
  for (const int32_t id : tokenizer->encode_text("Human:")) word.push_back(id);
  config.stop_words = {word};
  EXPECT_EQ(stop_texts(MoeLlava(config), *tokenizer), std::vector<std::string>{"Human:"});
}

INSTANTIATE_TEST_SUITE_P(DenseAndSparse, EngineTest, ::testing::Bool());

}  // namespace
}  // namespace moellava
