// Samples in one padded batch compute what each computes by itself, in batches of every size and padded on
// either side: the original spoils the dense layers of a batch of exactly three.
#include "model/splice.hpp"
#include "tests/tiny_model.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

constexpr int64_t kVocabulary = 50;
constexpr int64_t kWritten = 3;  // tokens behind a prompt

// Of different lengths; the second and the last have a picture.
std::vector<SampleIds> samples(size_t count) {
  std::vector<SampleIds> all = {{.ids = {1, 2, 3, 4, 5, 6, 7}, .labels = {}},
                                {.ids = {8, kImageTokenId, 9}, .labels = {}},
                                {.ids = {10, 11}, .labels = {}},
                                {.ids = {12, 13, kImageTokenId, 14, 15}, .labels = {}}};
  all.resize(count);
  return all;
}

at::Tensor pictures(std::span<const SampleIds> batch, int64_t first) {
  int64_t count = 0;
  for (const SampleIds& sample : batch)
    count += std::count(sample.ids.begin(), sample.ids.end(), kImageTokenId);
  const at::Tensor all = random_tensor({2, 3, testing::tiny_decoder_config().hidden_size}, 70);
  return count > 0 ? all.narrow(0, first, count) : at::Tensor();
}

struct Answers {
  std::vector<at::Tensor> logits;  // [length + kWritten, V] of each sample
  bool dropped = false;
};

// The prompts in one pass, then token after token behind a cache.
Answers answer(const Decoder& decoder, std::span<const SampleIds> batch, const at::Tensor& images,
               const MoeRun& moe, PaddingSide side) {
  const Spliced prompt = splice(decoder, batch, images, side);
  const int64_t size = prompt.embeddings.size(0), count = prompt.embeddings.size(1);
  KvCache cache = decoder.make_cache(size, count + kWritten);
  DecoderRun run;
  run.moe = moe;
  run.lengths = prompt.lengths;
  run.padding = side;
  const DecoderOutput uncached = decoder.forward(prompt.embeddings, run);
  run.cache = &cache;
  const DecoderOutput cached = decoder.forward(prompt.embeddings, run);
  Answers answers;
  for (int64_t b = 0; b < size; ++b) {
    const int64_t length = prompt.lengths[static_cast<size_t>(b)];
    const int64_t first = side == PaddingSide::Left ? count - length : 0;
    const auto own = [&](const DecoderOutput& output) {
      return decoder.logits(output.hidden[b].narrow(0, first, length));
    };
    EXPECT_LE(testing::relative_difference(own(cached), own(uncached)), 1e-4);
    answers.logits.push_back(own(cached));
    for (const Routing& routing : cached.routing) {
      const at::Tensor slots = routing.slot.narrow(0, b * count + first, length);
      answers.dropped = answers.dropped || slots.lt(0).any().item<bool>();
    }
  }
  run.lengths.clear();
  for (int64_t step = 1; step <= kWritten; ++step) {
    std::vector<int64_t> ids;
    for (const SampleIds& sample : batch) ids.push_back(sample.ids.back() + step);
    const at::Tensor hidden = decoder.forward(decoder.embed(at::tensor(ids).unsqueeze(1)), run).hidden;
    for (size_t b = 0; b < batch.size(); ++b)
      answers.logits[b] = at::cat({answers.logits[b], decoder.logits(hidden[static_cast<int64_t>(b)])}, 0);
  }
  return answers;
}

void expect_batches_agree(const Decoder& decoder, const MoeRun& moe, bool drops) {
  for (size_t size = 1; size <= 4; ++size) {
    const std::vector<SampleIds> batch = samples(size);
    for (const PaddingSide side : {PaddingSide::Right, PaddingSide::Left}) {
      SCOPED_TRACE(std::to_string(size) + (side == PaddingSide::Left ? " left" : " right"));
      const Answers together = answer(decoder, batch, pictures(batch, 0), moe, side);
      EXPECT_EQ(together.dropped, drops);
      int64_t first_picture = 0;
      for (size_t b = 0; b < size; ++b) {
        const std::span<const SampleIds> one(&batch[b], 1);
        const at::Tensor own = pictures(one, first_picture);
        if (own.defined()) first_picture += own.size(0);
        EXPECT_TENSORS_CLOSE(together.logits[b], answer(decoder, one, own, moe, side).logits[0]);
      }
    }
  }
}

class BatchTest : public ::testing::TestWithParam<std::string> {
 protected:
  static Decoder decoder(const MoeConfig& moe = {}) {
    return testing::random_decoder(testing::tiny_decoder_config_of(GetParam(), kVocabulary), moe);
  }
};

TEST_P(BatchTest, DenseSamplesComputeWhatEachComputesAlone) {
  expect_batches_agree(decoder(), {}, /*drops=*/false);
}

TEST_P(BatchTest, SparseSamplesToo) {
  expect_batches_agree(decoder(testing::tiny_moe_config()), {}, /*drops=*/false);
}

TEST_P(BatchTest, SecondExpertsAreDrawnAsForEachAlone) {
  MoeRun moe;
  moe.gumbel_seed = 3;
  expect_batches_agree(decoder(testing::tiny_moe_config()), moe, /*drops=*/false);
}

// Nobody takes a neighbour's place at an expert.
TEST_P(BatchTest, TokensAreDroppedAsForEachAlone) {
  MoeRun moe;
  moe.capacity_factor = 0.5;
  expect_batches_agree(decoder(testing::tiny_moe_config()), moe, /*drops=*/true);
}

// What-ifs about experts, too, with drawn seconds.
TEST_P(BatchTest, MaskedAndSwappedExpertsAreSoForEachAlone) {
  MoeRun moe;
  moe.gumbel_seed = 3;
  moe.edits = {{.masked = {1}, .swapped = {{0, 3}}}, {.masked = {0, 2}, .swapped = {}}};
  expect_batches_agree(decoder(testing::tiny_moe_config()), moe, /*drops=*/false);
}

INSTANTIATE_TEST_SUITE_P(Families, BatchTest,
                         ::testing::Values("phi", "stablelm", "qwen", "llama", "mistral", "qwen2", "minicpm"),
                         [](const auto& tested) { return tested.param; });

// In training all rows compete, padding too, as in the original.
TEST(Batch, InTrainingTheRowsOfABatchCompete) {
  const Decoder decoder =
      testing::random_decoder(testing::tiny_decoder_config(kVocabulary), testing::tiny_moe_config());
  const std::vector<SampleIds> batch = samples(4);
  const Spliced spliced = splice(decoder, batch, pictures(batch, 0));
  DecoderRun run;
  run.lengths = spliced.lengths;
  run.moe.training = true;
  const int64_t rows = spliced.embeddings.size(0) * spliced.embeddings.size(1);
  for (const Routing& routing : decoder.forward(spliced.embeddings, run).routing) {
    EXPECT_EQ(routing.capacity, expert_capacity(rows, 4, {.top_k = 2, .capacity_factor = 1.5}));
    const int64_t padding = 2 * spliced.embeddings.size(1) + spliced.lengths[2];  // behind the third sample
    EXPECT_TRUE(routing.slot[padding].ge(0).any().item<bool>());
  }
}

}  // namespace
}  // namespace moellava
