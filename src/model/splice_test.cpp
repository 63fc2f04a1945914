#include "model/splice.hpp"

#include "base/error.hpp"
#include "tests/tiny_model.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

constexpr int64_t kWidth = 16;

Decoder tiny_decoder() {
  return testing::random_decoder(testing::tiny_decoder_config(/*vocab_size=*/11));
}

TEST(Splice, PutsPicturesWhereTheirMarkersStandAndPadsOnTheRight) {
  const Decoder decoder = tiny_decoder();
  const at::Tensor images = random_tensor({3, 2, kWidth}, 50);
  const std::vector<SampleIds> samples = {
      {.ids = {1, kImageTokenId, 2}, .labels = {kIgnoreLabel, kIgnoreLabel, 2}},
      {.ids = {5}, .labels = {5}},
      {.ids = {kImageTokenId, kImageTokenId, 7, 8}, .labels = {kIgnoreLabel, kIgnoreLabel, 7, kIgnoreLabel}},
  };
  const Spliced spliced = splice(decoder, samples, images);
  ASSERT_EQ(spliced.embeddings.sizes(), (std::vector<int64_t>{3, 6, kWidth}));
  auto word = [&](int64_t id) { return decoder.embed(at::tensor({id})); };
  const at::Tensor pad = at::zeros({1, kWidth});
  EXPECT_TRUE(spliced.embeddings[0].equal(at::cat({word(1), images[0], word(2), pad, pad}, 0)));
  EXPECT_TRUE(spliced.embeddings[1].equal(at::cat({word(5), pad, pad, pad, pad, pad}, 0)));
  EXPECT_TRUE(spliced.embeddings[2].equal(at::cat({images[1], images[2], word(7), word(8)}, 0)));
  EXPECT_EQ(spliced.lengths, (std::vector<int64_t>{4, 1, 6}));
  const int64_t ignore = kIgnoreLabel;
  const at::Tensor labels = at::tensor({ignore, ignore, ignore, 2l, ignore, ignore,  //
                                        5l, ignore, ignore, ignore, ignore, ignore,  //
                                        ignore, ignore, ignore, ignore, 7l, ignore});
  EXPECT_TRUE(spliced.labels.flatten().equal(labels));
  EXPECT_EQ(spliced.is_image[0], (std::vector<bool>{false, true, true, false}));
}

TEST(Splice, PadsOnTheLeftWhenAsked) {
  const Decoder decoder = tiny_decoder();
  const at::Tensor images = random_tensor({1, 2, kWidth}, 50);
  const std::vector<SampleIds> samples = {
      {.ids = {5}, .labels = {5}}, {.ids = {1, kImageTokenId, 2}, .labels = {kIgnoreLabel, kIgnoreLabel, 2}}};
  const Spliced spliced = splice(decoder, samples, images, PaddingSide::Left);
  EXPECT_EQ(spliced.padding, PaddingSide::Left);
  EXPECT_EQ(spliced.lengths, (std::vector<int64_t>{1, 4}));
  auto word = [&](int64_t id) { return decoder.embed(at::tensor({id})); };
  EXPECT_TRUE(spliced.embeddings[0].equal(at::cat({at::zeros({3, kWidth}), word(5)}, 0)));
  EXPECT_TRUE(spliced.embeddings[1].equal(at::cat({word(1), images[0], word(2)}, 0)));
  const int64_t ignore = kIgnoreLabel;
  EXPECT_TRUE(
      spliced.labels.flatten().equal(at::tensor({ignore, ignore, ignore, 5l, ignore, ignore, ignore, 2l})));
  EXPECT_EQ(spliced.is_image[1], (std::vector<bool>{false, true, true, false}));
}

TEST(Splice, GradientsReachWordsAndPictures) {
  Decoder decoder = tiny_decoder();
  at::Tensor words;
  decoder.visit([&](const std::string& name, at::Tensor& tensor) {
    if (name == "model.embed_tokens.weight") words = tensor.requires_grad_(true);
  });
  at::Tensor images = random_tensor({1, 2, kWidth}, 50).requires_grad_(true);
  const std::vector<SampleIds> samples = {{.ids = {3, kImageTokenId, 3}, .labels = {}}};
  const auto gradients =
      torch::autograd::grad({splice(decoder, samples, images).embeddings.sum()}, {words, images});
  EXPECT_EQ(gradients[0].sum().item<float>(), 2 * kWidth);
  EXPECT_EQ(gradients[0][3].sum().item<float>(), 2 * kWidth);
  EXPECT_TRUE(gradients[1].equal(at::ones({1, 2, kWidth})));
}

TEST(Splice, CountsMarkersAgainstPictures) {
  const Decoder decoder = tiny_decoder();
  const std::vector<SampleIds> samples = {{.ids = {1, kImageTokenId}, .labels = {}}};
  EXPECT_THROW(splice(decoder, samples, {}), Error);
  EXPECT_THROW(splice(decoder, samples, random_tensor({2, 2, kWidth}, 1)), Error);
}

}  // namespace
}  // namespace moellava
