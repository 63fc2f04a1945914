// What training needs of a tiny model: gentle weights, a tokenizer of bytes, samples and pictures' features.
#pragma once

#include <ATen/core/grad_mode.h>

#include <memory>

#include "base/random.hpp"
#include "nn/linear.hpp"
#include "tests/tiny_model.hpp"
#include "text/tokenizer.hpp"
#include "train/dataset.hpp"
#include "train/features.hpp"

namespace moellava::testing {

// Ids 0..255 are bytes, 256 is the end of text. Trusted "<|endoftext|>" and "</s>" are one token.
class ByteTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kEnd = 256;

  ByteTokenizer() { eos_id = kEnd; }
  Encoding encode(std::span<const TextPiece> pieces) const override {
    Encoding encoding;
    for (const TextPiece& piece : pieces) {
      std::string_view rest = piece.text;
      while (!rest.empty()) {
        int32_t id = static_cast<unsigned char>(rest[0]);
        size_t length = 1;
        for (std::string_view end : {"<|endoftext|>", "</s>", "<|im_end|>"}) {
          if (piece.trusted && rest.starts_with(end)) {
            id = kEnd;
            length = end.size();
          }
        }
        encoding.ids.push_back(id);
        encoding.target.push_back(piece.target);
        rest.remove_prefix(length);
      }
    }
    return encoding;
  }
  std::string token_bytes(int32_t id) const override {
    return id == kEnd ? "<|endoftext|>" : std::string(1, static_cast<char>(id));
  }
  bool is_special(int32_t id) const override { return id == kEnd; }
  int32_t size() const override { return kEnd + 1; }
  std::optional<int32_t> id_of(std::string_view token) const override {
    if (token.size() == 1) return static_cast<unsigned char>(token[0]);
    return token == "<|endoftext|>" ? std::optional(kEnd) : std::nullopt;
  }
  void save(const std::filesystem::path&) const override {}
};

// Norm weights 1, biases 0, everything else uniform.
inline std::unique_ptr<MoeLlava> tiny_model(const ModelConfig& config, double bound = 0.3,
                                            uint64_t seed = 1) {
  const at::NoGradGuard no_grad;
  auto model = std::make_unique<MoeLlava>(config);
  uint64_t stream = 0;
  model->visit([&](const std::string& name, at::Tensor& tensor) {
    ++stream;
    if (tensor.dim() >= 2) {
      fill_uniform(tensor, bound, seed, stream);
    } else {
      tensor.fill_(name.ends_with("bias") ? 0.0 : 1.0);
    }
  });
  return model;
}

inline std::unique_ptr<MoeLlava> tiny_model(bool sparse, double bound = 0.3, uint64_t seed = 1) {
  return tiny_model(tiny_config(sparse), bound, seed);
}

// Samples in memory; their ids stand for words of no file.
struct TinyDataset : Dataset {
  std::vector<Sample> samples;
  size_t picture_count = 0;

  size_t size() const override { return samples.size(); }
  Sample sample(size_t number) const override { return samples.at(number); }
  std::vector<size_t> pictures(size_t number) const override { return samples.at(number).pictures; }
};

// `count` samples of different lengths; every third is text only. Picture p belongs to sample p.
inline TinyDataset tiny_dataset(size_t count) {
  TinyDataset dataset;
  for (size_t i = 0; i < count; ++i) {
    Sample sample{.id = "s" + std::to_string(i), .tokens = {}, .pictures = {}};
    auto add = [&](int32_t id, bool target) {
      sample.tokens.ids.push_back(id);
      sample.tokens.labels.push_back(target ? id : kIgnoreLabel);
    };
    if (i % 3 != 2) {
      add(kImageTokenId, false);
      sample.pictures.push_back(dataset.picture_count++);
    }
    const size_t words = 3 + random_bits(7, i, 0) % 9;
    for (size_t w = 0; w < words; ++w)
      add(static_cast<int32_t>(random_bits(7, i, w + 1) % 256), w >= words / 2);
    add(ByteTokenizer::kEnd, true);
    dataset.samples.push_back(std::move(sample));
  }
  return dataset;
}

struct TinyFeatures : PictureFeatures {
  at::Tensor features;  // [pictures, 4, 8]

  at::Tensor gather(const std::vector<size_t>& pictures) override {
    if (pictures.empty()) return {};
    const std::vector<int64_t> rows(pictures.begin(), pictures.end());
    return features.index_select(0, at::tensor(rows, at::kLong));
  }
};

inline TinyFeatures tiny_features(const TinyDataset& dataset) {
  TinyFeatures tiny;
  tiny.features = at::empty({static_cast<int64_t>(dataset.picture_count), 4, 8});
  fill_uniform(tiny.features, 1.0, 11, 0);
  return tiny;
}

}  // namespace moellava::testing
