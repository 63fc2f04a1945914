// Our half of bench/train_step.py: the MoE layer, or a whole step of stage 3. Every line on stdin asks for
// one repetition, which a line of JSON on stdout tells of.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sys/resource.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "base/json.hpp"
#include "nn/precision.hpp"
#include "text/conversation.hpp"
#include "train/feature_cache.hpp"
#include "train/freed_memory.hpp"
#include "train/stages.hpp"
#include "train/trainer.hpp"

namespace moellava {
namespace {

// SmolLM2-135M, the demo's language model.
DecoderConfig decoder_config() {
  return {.vocab_size = 49152,
          .hidden_size = 576,
          .intermediate_size = 1536,
          .layers = 30,
          .heads = 9,
          .kv_heads = 3,
          .rope_theta = 100000,
          .tie_embeddings = true};
}
constexpr int64_t kExperts = 4;
constexpr double kCapacityFactor = 1.5, kBalance = 0.01, kLearningRate = 2e-4;
// A sample of the demo: a picture, its questions and answers.
constexpr int64_t kWords = 80, kTrainedWords = 24;

// Uniform in [-bound, bound): a hash of the place and of `stream`. train_step.py makes the same numbers, so
// that both sides start from the same weights.
at::Tensor hashed(at::IntArrayRef shape, double bound, int64_t stream) {
  constexpr int64_t kMask = 0xffffffff, kFactor = 0x45d9f3b;
  at::Tensor x = at::arange(c10::multiply_integers(shape), at::kLong).add_(stream * 0x9e3779b9);
  x.bitwise_and_(kMask);
  for (int round = 0; round < 2; ++round) {
    x.bitwise_xor_(x.bitwise_right_shift(16));
    x.mul_(kFactor).bitwise_and_(kMask);
  }
  x.bitwise_xor_(x.bitwise_right_shift(16));
  const at::Tensor unit = x.bitwise_right_shift(8).to(at::kFloat).mul_(1.0 / (1 << 24));  // 24 bits are exact
  return unit.mul_(2 * bound).sub_(bound).view(shape);
}

// Matrices of a size that keeps sums as large as what they are made of; norms 1, biases 0.
class Filler {
 public:
  void operator()(const std::string& name, at::Tensor& tensor) {
    const at::NoGradGuard no_grad;
    if (tensor.dim() < 2) {
      tensor.fill_(name.ends_with("bias") ? 0 : 1);
    } else {
      const auto inputs = static_cast<double>(tensor[0].numel());
      tensor.copy_(hashed(tensor.sizes(), 1 / std::sqrt(inputs), stream_));
    }
    ++stream_;
  }

 private:
  int64_t stream_ = 10;
};

class Work {
 public:
  virtual ~Work() = default;
  virtual void run() = 0;
  // Of the last run; train_step.py must find the same.
  virtual double result() const = 0;
};

class LayerWork : public Work {
 public:
  LayerWork(int64_t tokens, bool gated)
      : layer_({.experts = kExperts, .top_k = 2, .capacity_factor = kCapacityFactor},
               {.width = decoder_config().hidden_size,
                .inner = decoder_config().intermediate_size,
                .gated = gated,
                .bias = !gated,
                .activation = gated ? Activation::Silu : Activation::GeluTanh}),
        x_(hashed({tokens, decoder_config().hidden_size}, 1, 1).requires_grad_(true)),
        gradient_(hashed(x_.sizes(), 1, 2)) {
    Filler fill;
    layer_.visit("", [&](const std::string& name, at::Tensor& tensor) {
      fill(name, tensor);
      parameters_.push_back(tensor.requires_grad_(true));
    });
  }

  void run() override {
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    x_.mutable_grad().reset();
    const MoeOutput output = layer_(x_, {.training = true}, {});
    torch::autograd::backward({output.hidden, output.balance_loss}, {gradient_, at::full({}, kBalance)});
  }
  double result() const override { return x_.grad().abs().sum().item<double>(); }

 private:
  MoeLayer layer_;
  std::vector<at::Tensor> parameters_;
  at::Tensor x_, gradient_;
};

// One batch: every sample a picture, then words, the last of which are trained.
class OneBatch : public Dataset {
 public:
  explicit OneBatch(size_t samples) : samples_(samples) {}
  size_t size() const override { return samples_; }
  Sample sample(size_t number) const override {
    Sample sample{.id = std::to_string(number), .tokens = {}, .pictures = pictures(number)};
    sample.tokens.ids.push_back(kImageTokenId);
    sample.tokens.labels.push_back(kIgnoreLabel);
    for (int64_t word = 0; word < kWords; ++word) {
      const auto id = static_cast<int32_t>((static_cast<int64_t>(number) * kWords + word) * 61 % 49000);
      sample.tokens.ids.push_back(id);
      sample.tokens.labels.push_back(word < kWords - kTrainedWords ? kIgnoreLabel : id);
    }
    return sample;
  }
  std::vector<size_t> pictures(size_t number) const override { return {number}; }

 private:
  size_t samples_;
};

// From the cache on disk, as in a run.
class CachedFeatures : public PictureFeatures {
 public:
  CachedFeatures(const VisionConfig& vision, size_t pictures)
      : shape_{vision.tokens(), vision.hidden_size},
        cache_(std::filesystem::temp_directory_path() / ("train_step." + std::to_string(::getpid())), 0,
               values()) {
    for (size_t picture = 0; picture < pictures; ++picture) {
      const at::Tensor features = hashed(shape_, 1, static_cast<int64_t>(1'000'000 + picture));
      cache_.write(picture, {features.const_data_ptr<float>(), values()});
    }
  }
  ~CachedFeatures() override { std::filesystem::remove_all(cache_.folder()); }
  CachedFeatures(const CachedFeatures&) = delete;
  CachedFeatures& operator=(const CachedFeatures&) = delete;

  at::Tensor gather(const std::vector<size_t>& pictures) override {
    at::Tensor features = at::empty({static_cast<int64_t>(pictures.size()), shape_[0], shape_[1]});
    for (size_t i = 0; i < pictures.size(); ++i)
      cache_.read(pictures[i], {features.data_ptr<float>() + i * values(), values()});
    return features;
  }

 private:
  size_t values() const { return static_cast<size_t>(shape_[0] * shape_[1]); }

  std::vector<int64_t> shape_;  // of one picture
  FeatureCache cache_;
};

ModelConfig model_config(const VisionConfig& vision) {
  ModelConfig config;
  config.family = "llama";
  config.decoder = decoder_config();
  config.moe.layers = moe_layers_of_mode("sparse", config.decoder.layers);
  config.moe.experts.assign(config.moe.layers.size(), kExperts);
  config.moe.capacity_factor = kCapacityFactor;
  config.vision = vision;
  return config;
}

class StepWork : public Work {
 public:
  StepWork(size_t samples, const VisionConfig& vision)
      : model_(model_config(vision)), batch_(samples), features_(vision, samples) {
    Filler fill;
    model_.visit([&](const std::string& name, at::Tensor& tensor) {
      if (name.find(".image_tower.") == std::string::npos) fill(name, tensor);
    });
    const int64_t positions = kWords + vision.tokens();
    trainer_ = std::make_unique<Trainer>(
        model_, batch_, features_,
        BatchPlan(42, std::vector<int64_t>(samples, positions), static_cast<int64_t>(samples),
                  /*accumulation=*/1),
        select_trainable(model_, default_settings(3)),
        TrainerOptions{
            .schedule = {.kind = ScheduleKind::Constant, .peak = kLearningRate, .total_steps = 1000},
            .aux_loss_coef = kBalance});
  }

  void run() override { loss_ = trainer_->step().loss; }
  double result() const override { return loss_; }

 private:
  MoeLlava model_;
  OneBatch batch_;
  CachedFeatures features_;
  std::unique_ptr<Trainer> trainer_;
  double loss_ = 0;
};

double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

// The rows of train_step.py; nullptr for none of them.
std::unique_ptr<Work> work_of(const std::string& kind, int64_t size) {
  if (kind == "plain-layer" || kind == "gated-layer")
    return std::make_unique<LayerWork>(size, /*gated=*/kind == "gated-layer");
  const auto samples = static_cast<size_t>(size);
  if (kind == "step" || kind == "bf16-step")
    return std::make_unique<StepWork>(samples, efficientnet_lite0_config());
  if (kind == "clip-step")  // CLIP-Large of 336 pixels is what a tower is by default
    return std::make_unique<StepWork>(samples, VisionConfig());
  return nullptr;
}

int serve(Work& work) {
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = std::chrono::steady_clock::now();
    work.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << Json{{"seconds", seconds}, {"result", work.result()}, {"peak", peak_bytes()}} << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace moellava

int main(int argc, char** argv) {
  std::unique_ptr<moellava::Work> work;
  if (argc == 4) {
    at::set_num_threads(std::stoi(argv[1]));
    moellava::keep_freed_memory();
    work = moellava::work_of(argv[2], std::stoll(argv[3]));
  }
  if (work != nullptr) {
    const moellava::Bfloat16Products products(std::string(argv[2]) == "bf16-step");
    return moellava::serve(*work);
  }
  std::fprintf(stderr, "usage: train_step THREADS KIND SIZE (see bench/train_step.py)\n");
  return 2;
}
