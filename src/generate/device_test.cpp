// Answers are written wherever the weights are.
#include "generate/batch.hpp"
#include "generate/engine.hpp"
#include "tests/pretend_device.hpp"
#include "tests/tiny_model.hpp"
#include "tests/tiny_tokenizer.hpp"
#include "text/conversation.hpp"

namespace moellava {
namespace {

using testing::random_tensor;

TEST(Device, AnswersThereAreTheSame) {
  ModelConfig config = testing::tiny_config(/*sparse=*/true);
  config.conversation = "chatml";
  config.decoder.max_positions = 64;
  MoeLlava model(config);
  testing::fill_random(model);
  const std::unique_ptr<Tokenizer> tokenizer = testing::tiny_tokenizer();
  std::vector<GenerateRequest> requests(3);
  requests[0].ids = {9, kImageTokenId, 10, 11};
  requests[1].ids = {5, 6, 7};
  requests[2].ids = {9, kImageTokenId, 12};
  const at::Tensor pixels = random_tensor({1, 3, 16, 16}, 70);
  const auto answers = [&] {
    std::vector<std::vector<int32_t>> ids;
    for (GenerateRequest& request : requests) {
      request.max_new_tokens = 8;
      if (std::count(request.ids.begin(), request.ids.end(), kImageTokenId) > 0)
        request.features = model.encode_images(pixels);
    }
    Engine engine(model, *tokenizer);
    for (const GenerateRequest& request : requests) {
      ids.push_back(engine.generate(request).ids);
      EXPECT_EQ(engine.generate(request).ids, ids.back());  // behind the cache
    }
    for (const GenerateResult& result : generate_batch(model, *tokenizer, requests))
      ids.push_back(result.ids);
    return ids;
  };
  const auto here = answers();
  model.to(testing::kPretendDevice);
  EXPECT_EQ(answers(), here);
}

}  // namespace
}  // namespace moellava
