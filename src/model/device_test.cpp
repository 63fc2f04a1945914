// The model computes wherever its weights are.
#include <ATen/core/grad_mode.h>

#include "model/splice.hpp"
#include "tests/pretend_device.hpp"
#include "tests/tiny_model.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

using testing::kPretendDevice;
using testing::random_tensor;

TEST(PretendDevice, ComputesAndRefusesToMix) {
  const at::Tensor x = random_tensor({3, 4}, 1), y = random_tensor({4, 3}, 2);
  const at::Tensor there = x.to(kPretendDevice);
  EXPECT_TENSORS_CLOSE(there.matmul(y.to(kPretendDevice)).cpu(), x.matmul(y));
  EXPECT_THROW(there.matmul(y), c10::Error);
  EXPECT_DEATH(static_cast<volatile float*>(there.data_ptr())[0] = 1, "");
}

TEST(PretendDevice, Gradients) {
  const at::Tensor x = random_tensor({3, 4}, 1);
  const at::Tensor here = x.clone().requires_grad_(true), there = x.to(kPretendDevice).requires_grad_(true);
  const auto run = [](const at::Tensor& v) {
    (v.narrow(1, 0, 2).softmax(1) * v.sum()).square().sum().backward();
  };
  run(here);
  run(there);
  EXPECT_TENSORS_CLOSE(there.grad().cpu(), here.grad());
}

// Losses of a batch with a picture and padding, and the gradient of every parameter.
std::vector<at::Tensor> loss_and_gradients(MoeLlava& model, at::Device device) {
  model.to(device);
  std::vector<at::Tensor> parameters, results;
  const at::Tensor features = model.encode_images(random_tensor({1, 3, 16, 16}, 1));
  model.visit(
      [&](const std::string&, at::Tensor& tensor) { parameters.push_back(tensor.requires_grad_(true)); });
  const at::Tensor pictures = model.project(features);
  const std::vector<SampleIds> samples = {{.ids = {1, 2, 3, 4, 5, 6, 7}, .labels = {}},
                                          {.ids = {8, kImageTokenId, 9}, .labels = {}}};
  const Spliced spliced = splice(model.decoder(), samples, pictures, PaddingSide::Right);
  DecoderRun run;
  run.moe.training = true;
  run.moe.gumbel_seed = 3;
  run.lengths = spliced.lengths;
  const DecoderOutput output = model.decoder().forward(spliced.embeddings, run);
  const at::Tensor logits = model.decoder().logits(output.hidden);
  results = {logits.detach(), output.balance_loss.detach(), output.z_loss.detach()};
  const auto gradients = torch::autograd::grad({logits.square().mean() + output.balance_loss + output.z_loss},
                                               parameters, {}, std::nullopt, false, /*allow_unused=*/true);
  for (const at::Tensor& gradient : gradients) {
    if (gradient.defined()) results.push_back(gradient);
  }
  return results;
}

TEST(Device, TrainsThereWithTheSameNumbers) {
  for (const char* family : {"llama", "phi", "stablelm", "qwen", "qwen2", "mistral", "minicpm"}) {
    SCOPED_TRACE(family);
    ModelConfig config = testing::tiny_config(/*sparse=*/true);
    config.decoder = testing::tiny_decoder_config_of(family);
    MoeLlava model(config);
    testing::fill_random(model);
    const std::vector<at::Tensor> here = loss_and_gradients(model, at::kCPU);
    const std::vector<at::Tensor> there = loss_and_gradients(model, kPretendDevice);
    ASSERT_EQ(there.size(), here.size());
    for (size_t i = 0; i < here.size(); ++i) {
      EXPECT_EQ(there[i].device(), kPretendDevice);
      EXPECT_TENSORS_CLOSE(there[i].cpu(), here[i]);
    }
  }
}

// Prompts that are padded on the left, then tokens behind a cache.
at::Tensor written_logits(const Decoder& decoder) {
  const at::NoGradGuard no_grad;
  const std::vector<SampleIds> samples = {{.ids = {1, 2, 3, 4, 5, 6, 7}, .labels = {}},
                                          {.ids = {8, 9}, .labels = {}}};
  const Spliced spliced = splice(decoder, samples, {}, PaddingSide::Left);
  KvCache cache = decoder.make_cache(2, 9);
  DecoderRun run;
  run.cache = &cache;
  run.lengths = spliced.lengths;
  run.padding = PaddingSide::Left;
  decoder.forward(spliced.embeddings, run);
  run.lengths.clear();
  at::Tensor hidden;
  for (int64_t id : {10, 11})
    hidden = decoder.forward(decoder.embed(at::full({2, 1}, id, at::kLong)), run).hidden;
  return decoder.logits(hidden).cpu();
}

TEST(Device, WritesThereWithTheSameNumbers) {
  for (const char* family : {"llama", "phi", "qwen", "mistral"}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      ModelConfig config = testing::tiny_config(/*sparse=*/true);
      config.decoder = testing::tiny_decoder_config_of(family);
      MoeLlava model(config);
      testing::fill_random(model);
      const at::Tensor here = written_logits(model.decoder());
      if (type == at::kBFloat16) {
        model.decoder().visit_linears(
            [&](const std::string&, Linear& linear) { linear.weight = linear.weight.to(type); });
      }
      model.to(kPretendDevice);
      const at::Tensor there = written_logits(model.decoder());
      EXPECT_LE(testing::relative_difference(there, here), type == at::kFloat ? 1e-4 : 0.1);
    }
  }
}

TEST(Device, SeesThereTheSame) {
  VisionConfig siglip = testing::tiny_vision_config();
  siglip.kind = TowerKind::Siglip;
  for (const VisionConfig& vision : {testing::tiny_vision_config(), siglip, efficientnet_lite0_config()}) {
    ModelConfig config = testing::tiny_config(/*sparse=*/false);
    config.vision = vision;
    MoeLlava model(config);
    testing::fill_random(model);
    model.visit(
        [](const std::string&, at::Tensor& tensor) { tensor = tensor.abs().mul(0.1); });  // variances, too
    const at::Tensor pixels = random_tensor({1, 3, vision.image_size, vision.image_size}, 1);
    const at::Tensor here = model.encode_images(pixels);
    model.to(kPretendDevice);
    EXPECT_TENSORS_CLOSE(model.encode_images(pixels).cpu(), here);
  }
}

}  // namespace
}  // namespace moellava
