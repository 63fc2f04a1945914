// What the variations of the decoder do, each against the same decoder without it.
#include "model/decoder.hpp"

#include "nn/dropout.hpp"
#include "tests/tiny_model.hpp"

namespace moellava {
namespace {

using testing::random_decoder;
using testing::tiny_decoder_config;

constexpr int64_t kVocabulary = 20;

at::Tensor logits_of(const Decoder& decoder, const at::Tensor& ids) {
  return decoder.logits(decoder.forward(decoder.embed(ids), {}).hidden);
}

// [B, T, V] with a cache, `first` positions at once and then one by one.
at::Tensor cached_logits(const Decoder& decoder, const at::Tensor& ids, int64_t first) {
  KvCache cache = decoder.make_cache(1, ids.size(1));
  std::vector<at::Tensor> parts;
  for (int64_t done = 0; done < ids.size(1);) {
    const int64_t count = done == 0 ? first : 1;
    const at::Tensor x = decoder.embed(ids.narrow(1, done, count));
    parts.push_back(decoder.logits(decoder.forward(x, {.cache = &cache}).hidden));
    done += count;
  }
  return at::cat(parts, 1);
}

TEST(Decoder, ScalesAreThoseOfTheWeights) {
  MoeConfig moe;
  moe.layers = {1};
  moe.experts = {2};
  for (Residual residual : {Residual::Sequential, Residual::Parallel}) {
    DecoderConfig config = tiny_decoder_config(kVocabulary);
    config.residual = residual;
    Decoder plain = random_decoder(config, moe);
    config.embedding_scale = 3;
    config.residual_scale = 0.5;
    config.logit_scale = 0.25;
    const Decoder scaled = random_decoder(config, moe);
    plain.visit([](const std::string& name, at::Tensor& tensor) {
      if (name.find("embed_tokens") != name.npos) tensor = tensor * 3;
      if (name.find("o_proj") != name.npos || name.find("down_proj") != name.npos) tensor = tensor * 0.5;
      if (name.find("lm_head") != name.npos) tensor = tensor * 0.25;
    });
    const at::Tensor ids = at::arange(9).view({1, 9});
    EXPECT_TENSORS_CLOSE(logits_of(scaled, ids), logits_of(plain, ids));
  }
}

TEST(Decoder, TrainingDropsOfTheEmbeddingsAndOfEachBranch) {
  constexpr int64_t kCount = 9;
  for (const char* family : {"phi", "llama"}) {
    DecoderConfig config = testing::tiny_decoder_config_of(family, kVocabulary);
    const Decoder plain = random_decoder(config);
    config.embedding_dropout = 0.2;
    config.residual_dropout = 0.4;
    Decoder decoder = random_decoder(config);
    const at::Tensor ids = at::arange(kCount).view({1, kCount}), embeddings = decoder.embed(ids);
    EXPECT_TRUE(logits_of(decoder, ids).equal(logits_of(plain, ids)));

    std::vector<at::Tensor> hidden;  // [1] is behind the first layer
    decoder.forward(embeddings, {.moe = {.training = true}, .hidden = &hidden, .dropout_key = 7});
    const DecoderLayer& layer = decoder.layers()[0];
    const RotaryTable turning = rotary_table(decoder.rotary_config(0), at::arange(kCount));
    const at::Tensor x = drop_values(embeddings, {0.2, 7}, 0), normed = layer.input_layernorm(x);
    const at::Tensor attended = layer.self_attn.causal(normed, turning, nullptr, 0, {});
    const at::Tensor sum = x + drop_values(attended, {0.4, 7}, 1);
    const bool parallel = config.residual == Residual::Parallel;
    const at::Tensor added = layer.mlp(parallel ? normed : layer.post_attention_layernorm(sum));
    EXPECT_TRUE(hidden[0].equal(x));
    EXPECT_TENSORS_CLOSE(hidden[1], sum + drop_values(added, {0.4, 7}, 2));
  }
}

TEST(Decoder, AWindowHoldsWithACacheAndWithPadding) {
  DecoderConfig config = tiny_decoder_config(kVocabulary);
  const at::Tensor ids = at::arange(12).view({1, 12});
  const at::Tensor unlimited = logits_of(random_decoder(config), ids);
  config.attention_window = 4;
  const Decoder decoder = random_decoder(config);
  const at::Tensor whole = logits_of(decoder, ids);
  EXPECT_TENSORS_CLOSE(whole.narrow(1, 0, 4), unlimited.narrow(1, 0, 4));
  EXPECT_GT(testing::relative_difference(whole, unlimited), 1e-2);
  for (int64_t first : {2, 7}) EXPECT_TENSORS_CLOSE(cached_logits(decoder, ids, first), whole);
  const at::Tensor padded = decoder.embed(at::constant_pad_nd(ids, {0, 3}));
  DecoderRun run;
  run.lengths = {12};
  const at::Tensor hidden = decoder.forward(padded, run).hidden.narrow(1, 0, 12);
  EXPECT_TENSORS_CLOSE(decoder.logits(hidden), whole);
}

TEST(Decoder, ALongPromptTurnsSlowerAndItsAnswerWithIt) {
  DecoderConfig config = tiny_decoder_config(kVocabulary);
  const at::Tensor ids = at::arange(12).view({1, 12});
  DecoderConfig slow = config;
  slow.rope_theta *= std::pow(7, 8.0 / 6);  // 12 of 4: 2^(ceil(log2 3) + 1) - 1, in heads of 8
  config.dynamic_ntk_length = 4;
  const Decoder decoder = random_decoder(config);
  const at::Tensor expected = logits_of(random_decoder(slow), ids);
  EXPECT_TENSORS_CLOSE(logits_of(decoder, ids), expected);
  // A prompt of 9 has the same factor, and keeps it for what follows; one of 3 has none, and keeps that.
  EXPECT_TENSORS_CLOSE(cached_logits(decoder, ids, 9), expected);
  config.dynamic_ntk_length = 0;
  EXPECT_TENSORS_CLOSE(cached_logits(decoder, ids, 3), logits_of(random_decoder(config), ids));
  DecoderRun training;
  training.moe.training = true;
  EXPECT_TENSORS_CLOSE(decoder.logits(decoder.forward(decoder.embed(ids), training).hidden),
                       logits_of(random_decoder(config), ids));
}

TEST(Decoder, LognGivesTheSameAnswersWithACache) {
  DecoderConfig config = tiny_decoder_config(kVocabulary);
  const at::Tensor ids = at::arange(12).view({1, 12});
  const at::Tensor plain = logits_of(random_decoder(config), ids);
  config.logn_length = 4;
  const Decoder decoder = random_decoder(config);
  const at::Tensor whole = logits_of(decoder, ids);
  EXPECT_TENSORS_CLOSE(whole.narrow(1, 0, 4), plain.narrow(1, 0, 4));
  EXPECT_GT(testing::relative_difference(whole, plain), 1e-3);
  EXPECT_TENSORS_CLOSE(cached_logits(decoder, ids, 3), whole);
}

}  // namespace
}  // namespace moellava
