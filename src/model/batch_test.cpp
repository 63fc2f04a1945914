// Samples in one padded batch compute what each computes by itself, in batches of every size: the original
// spoils the dense layers of a batch of exactly three. Padding stands on the right only; there is no left
// padding anywhere.
#include "model/splice.hpp"
#include "tests/testing.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

constexpr int64_t kVocabulary = 50;
constexpr int64_t kWidth = 16;

Decoder tiny_decoder(bool sparse) {
  const DecoderConfig config{.vocab_size = kVocabulary,
                             .hidden_size = kWidth,
                             .intermediate_size = 24,
                             .layers = 4,
                             .heads = 2,
                             .kv_heads = 1};
  MoeConfig moe;
  if (sparse) {
    moe.layers = {0, 2};
    moe.experts = {4, 4};  // with 2 choices and a factor of 2 there is room for everybody
  }
  Decoder decoder(config, moe);
  uint64_t stream = 0;
  decoder.visit(
      [&](const std::string&, at::Tensor& tensor) { tensor = random_tensor(tensor.sizes(), ++stream); });
  return decoder;
}

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
  const at::Tensor all = random_tensor({2, 3, kWidth}, 70);
  return count > 0 ? all.narrow(0, first, count) : at::Tensor();
}

struct BatchCase {
  bool sparse = false;
  bool gumbel = false;
};

class BatchTest : public ::testing::TestWithParam<BatchCase> {};

TEST_P(BatchTest, EverySampleComputesWhatItComputesAlone) {
  const Decoder decoder = tiny_decoder(GetParam().sparse);
  MoeRun moe;
  if (GetParam().gumbel) moe.gumbel_seed = 3;
  for (size_t size = 1; size <= 4; ++size) {
    SCOPED_TRACE(size);
    const std::vector<SampleIds> batch = samples(size);
    const Spliced together = splice(decoder, batch, pictures(batch, 0));
    // What the lengths say matters to the routers of padding only.
    for (const bool with_lengths : {false, true}) {
      DecoderRun run{.moe = moe};
      if (with_lengths) run.lengths = together.lengths;
      const DecoderOutput output = decoder.forward(together.embeddings, run);
      for (const Routing& routing : output.routing)
        ASSERT_TRUE(routing.slot.ge(0).all().item<bool>()) << "dropped";
      int64_t first_picture = 0;
      for (size_t b = 0; b < size; ++b) {
        const std::span<const SampleIds> one(&batch[b], 1);
        const at::Tensor own = pictures(one, first_picture);
        if (own.defined()) first_picture += own.size(0);
        const at::Tensor alone =
            decoder.forward(splice(decoder, one, own).embeddings, {.moe = moe}).hidden[0];
        const at::Tensor among = output.hidden[static_cast<int64_t>(b)].narrow(0, 0, together.lengths[b]);
        EXPECT_TENSORS_CLOSE(decoder.logits(among), decoder.logits(alone));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DenseAndSparse, BatchTest,
                         ::testing::Values(BatchCase{}, BatchCase{.sparse = true},
                                           BatchCase{.sparse = true, .gumbel = true}));

}  // namespace
}  // namespace moellava
