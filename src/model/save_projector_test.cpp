#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <unistd.h>

#include "base/file_io.hpp"
#include "files/torch_file.hpp"
#include "model/moe_llava.hpp"
#include "model/projector_file.hpp"
#include "model/weights.hpp"
#include "tests/tiny_model.hpp"

namespace moellava {
namespace {

namespace fs = std::filesystem;

class SaveProjector : public ::testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("save_projector_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    ModelConfig config;
    config.family = GetParam().first;
    config.decoder = testing::tiny_decoder_config_of(config.family, /*vocab_size=*/264);
    config.vision = testing::tiny_vision_config();
    model_ = std::make_unique<MoeLlava>(config);
    testing::fill_random(*model_);
    model_->visit([&](const std::string& name, at::Tensor& tensor) {
      if (!is_projector_parameter(name)) return;
      parameters_[name] = tensor;
      // "transformer.mm_projector.image_spatial_proj.0.weight" in Qwen's files.
      file_names_[name] = GetParam().second + name.substr(std::string("model").size());
    });
    save_projector(*model_, folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::unique_ptr<MoeLlava> model_;
  std::map<std::string, at::Tensor> parameters_;   // by canonical name
  std::map<std::string, std::string> file_names_;  // of the same
};

TEST_P(SaveProjector, IsReadByUs) {
  EXPECT_EQ(parameters_.size(), 4u);
  const TensorFile as_written = open_torch_file(folder_ / "mm_projector.bin");
  const TensorFile canonical = open_projector_file(folder_ / "mm_projector.bin");
  EXPECT_EQ(as_written.tensors.size(), 4u);
  for (const auto& [name, tensor] : parameters_) {
    EXPECT_NE(as_written.find(file_names_[name]), nullptr) << file_names_[name];
    const TensorView* view = canonical.find(name);
    ASSERT_NE(view, nullptr) << name;
    EXPECT_EQ(view->shape, tensor.sizes().vec());
    EXPECT_EQ(std::memcmp(view->data.data(), tensor.const_data_ptr(), view->data.size()), 0);
  }
}

// libtorch's own reader of what torch.save writes.
TEST_P(SaveProjector, IsReadByTorch) {
  const std::string file = read_file(folder_ / "mm_projector.bin", 1 << 24);
  const c10::IValue value = torch::jit::pickle_load({file.begin(), file.end()});
  const auto dict = value.toGenericDict();
  EXPECT_EQ(dict.size(), 4u);
  for (const auto& [name, tensor] : parameters_) {
    ASSERT_TRUE(dict.contains(file_names_[name])) << file_names_[name];
    const at::Tensor read = dict.at(file_names_[name]).toTensor();
    EXPECT_TRUE(read.equal(tensor)) << name;
    EXPECT_TRUE(read.is_contiguous());
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SaveProjector,
                         ::testing::Values(std::pair{"phi", "model"}, std::pair{"qwen", "transformer"}));

}  // namespace
}  // namespace moellava
