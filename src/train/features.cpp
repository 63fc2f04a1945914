#include "train/features.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/bulk_hash.hpp"
#include "base/error.hpp"
#include "base/progress.hpp"
#include "base/say.hpp"
#include "base/string_printf.hpp"
#include "model/weights.hpp"
#include "nn/exact_products.hpp"

namespace moellava {

namespace {

constexpr size_t kBlock = 64;  // pictures between two looks at the progress

std::string gigabytes(uint64_t bytes) {
  return string_printf("%.2f GB", static_cast<double>(bytes) / 1e9);
}

uint64_t hash_of(std::string_view text, uint64_t seed) {
  return bulk_hash(std::as_bytes(std::span(text)), seed);
}

// The tower's weights and everything that decides how pictures come to it and what is taken from it.
uint64_t tower_key(MoeLlava& model, const PreprocessConfig& preprocess) {
  const VisionConfig& vision = model.config().vision.value();
  uint64_t hash = hash_of(write_preprocess_config(preprocess).dump(), 0);
  hash = hash_of(preprocess.aspect_ratio == AspectRatio::Pad ? "pad" : "square", hash);
  hash =
      hash_of(string_printf("%d %lld %lld %lld %lld %.17g %d %lld %d", static_cast<int>(vision.kind),
                            static_cast<long long>(vision.heads), static_cast<long long>(vision.image_size),
                            static_cast<long long>(vision.patch_size), static_cast<long long>(vision.layers),
                            vision.norm_eps, static_cast<int>(vision.activation),
                            static_cast<long long>(vision.select_layer), vision.select_class_token),
              hash);
  model.visit([&](const std::string& name, at::Tensor& parameter) {
    if (!is_tower_parameter(name)) return;
    const at::Tensor values = parameter.cpu().contiguous();
    hash = hash_of(name, hash);
    hash = bulk_hash({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()}, hash);
  });
  return hash;
}

// Calls work(i) for 0..count-1 in several threads, each of which sees itself alone: what libtorch computes in
// there runs in one thread.
void for_each_alone(size_t count, const std::function<void(size_t)>& work) {
  // A range of one would be run outside of any parallel region.
  const auto range = static_cast<int64_t>(std::max<size_t>(count, 2));
  at::parallel_for(0, range, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      if (i < count) work(i);
    }
  });
}

}  // namespace

TowerFeatures::TowerFeatures(MoeLlava& model, const IndexedDataset& dataset,
                             const PreprocessConfig& preprocess, const FeatureOptions& options)
    : model_(model),
      dataset_(dataset),
      preprocess_(preprocess),
      check_pictures_(options.check_pictures),
      loader_(
          [this](size_t picture) {
            try {
              return load_pixels(dataset_, picture, "", preprocess_);
            } catch (const Error&) {
              return load_pixels(dataset_, picture, dataset_.picture_where(picture), preprocess_);
            }
          },
          static_cast<size_t>(at::get_num_threads())) {
  if (options.cache_folder.empty() || !model.sees()) return;
  const VisionConfig& vision = model.config().vision.value();
  cache_.emplace(options.cache_folder, tower_key(model, preprocess),
                 static_cast<size_t>(vision.tokens() * vision.hidden_size));
}

void TowerFeatures::require_decodable(size_t picture, const std::string& where) const {
  load_pixels(dataset_, picture, where, preprocess_);
}

// A picture is known by its place, size and time: reading all of them only to see that they are known would
// take longer than many a run.
uint64_t TowerFeatures::key(size_t picture) const {
  const PictureFile file = dataset_.picture(picture, dataset_.picture_name(picture));
  const uint64_t stamp[] = {file.bytes, static_cast<uint64_t>(file.modified)};
  return hash_of(file.path.string(), bulk_hash(std::as_bytes(std::span(stamp))));
}

std::vector<size_t> TowerFeatures::missing(const std::vector<bool>& needed) const {
  std::vector<size_t> pictures;
  for (size_t p = 0; p < needed.size(); ++p) {
    if (needed[p] && !(cache_ && cache_->has(key(p)))) pictures.push_back(p);
  }
  return pictures;
}

bool TowerFeatures::has_room(size_t pictures) {
  if (!cache_ || !storing_) return false;
  const uint64_t wanted = pictures * cache_->entry_bytes();
  const uint64_t free = cache_->free_bytes();
  if (wanted <= free / 2) return true;
  say("picture features: " + gigabytes(wanted) + " would be more than half of the " + gigabytes(free) +
      " free at " + cache_->folder().string() + ": computed for each batch instead");
  storing_ = false;
  return false;
}

std::vector<bool> TowerFeatures::prepare(const std::vector<bool>& needed) {
  std::vector<bool> bad(needed.size(), false);
  const std::vector<size_t> pictures = missing(needed);
  if (pictures.empty()) return bad;
  const bool compute = has_room(pictures.size());
  if (!compute && !check_pictures_) return bad;
  if (compute) {
    say("picture features: " + std::to_string(pictures.size()) + " to compute, " +
        gigabytes(pictures.size() * cache_->entry_bytes()) + " for " + cache_->folder().string());
  }
  Progress progress(compute ? "picture features" : "pictures", static_cast<int64_t>(pictures.size()));
  for (size_t begin = 0; begin < pictures.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, pictures.size() - begin);
    std::vector<char> failed(count);  // not bool: written by several threads
    for_each_alone(count, [&](size_t i) {
      const size_t picture = pictures[begin + i];
      std::vector<float> loaded;
      try {
        loaded = load_pixels(dataset_, picture, "", preprocess_);
      } catch (const Error&) {
        failed[i] = true;
        return;
      }
      if (compute && storing_) keep(picture, encode(std::move(loaded)));
    });
    for (size_t i = 0; i < count; ++i) bad[pictures[begin + i]] = failed[i];
    progress.update(static_cast<int64_t>(begin + count));
  }
  return bad;
}

at::Tensor TowerFeatures::encode(std::vector<float> pixels) const {
  const int64_t size = preprocess_.size;
  const at::Tensor picture = at::from_blob(pixels.data(), {1, 3, size, size}, at::kFloat);
  return model_.encode_images(picture)[0].cpu().contiguous();
}

void TowerFeatures::keep(size_t picture, const at::Tensor& features) {
  if (!cache_ || !storing_) return;
  try {
    cache_->write(key(picture), {static_cast<const float*>(features.const_data_ptr()),
                                 static_cast<size_t>(features.numel())});
  } catch (const Error& error) {
    if (storing_.exchange(false)) say(std::string("picture features are kept no more: ") + error.what());
  }
}

at::Tensor TowerFeatures::gather(const std::vector<size_t>& pictures) {
  if (pictures.empty()) return {};
  const VisionConfig& vision = model_.config().vision.value();
  at::Tensor features =
      at::empty({static_cast<int64_t>(pictures.size()), vision.tokens(), vision.hidden_size});
  const auto values = static_cast<size_t>(vision.tokens() * vision.hidden_size);

  // 1. What is in the cache.
  std::vector<size_t> rows;  // of the others
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (!cache_ || loader_.asked_for(pictures[i])) {
      rows.push_back(i);
      continue;
    }
    const uint64_t entry = key(pictures[i]);
    const auto found = cache_->read(entry, {features.data_ptr<float>() + i * values, values});
    if (found == FeatureCache::Found::Whole) continue;
    if (found == FeatureCache::Found::Damaged)
      say(cache_->path(entry).string() + ": damaged: computed again");
    rows.push_back(i);
  }
  if (rows.empty()) return features;

  // 2. What is not: decoded in the background, if it was expected, while the step before was at work.
  std::vector<size_t> absent;
  for (size_t row : rows) absent.push_back(pictures[row]);
  loader_.request(absent);
  std::vector<std::vector<float>> loaded;
  for (size_t picture : absent) loaded.push_back(loader_.take(picture));
  const ExactProducts exact;
  for_each_alone(rows.size(), [&](size_t i) {
    const at::Tensor encoded = encode(std::move(loaded[i]));
    features[static_cast<int64_t>(rows[i])].copy_(encoded);
    keep(absent[i], encoded);
  });
  return features;
}

void TowerFeatures::expect(const std::vector<size_t>& pictures) {
  std::vector<size_t> absent;
  for (size_t picture : pictures) {
    if (!cache_ || !cache_->has(key(picture))) absent.push_back(picture);
  }
  loader_.request(absent);
}

}  // namespace moellava
