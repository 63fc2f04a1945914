// The frozen tower's view of every picture. N visual tokens a picture, M the tower's width.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "model/moe_llava.hpp"
#include "train/dataset.hpp"
#include "train/feature_cache.hpp"
#include "train/picture_loader.hpp"

namespace moellava {

// What training asks of pictures, by their numbers in the dataset.
class PictureFeatures {
 public:
  virtual ~PictureFeatures() = default;
  // In order, [pictures, N, M]; undefined when there is none.
  virtual at::Tensor gather(const std::vector<size_t>& pictures) = 0;
  // Says what will be asked for next.
  virtual void expect(const std::vector<size_t>& /*pictures*/) {}
};

struct FeatureOptions {
  std::filesystem::path cache_folder;  // "": computed anew for each batch
  bool check_pictures = false;         // without a cache, prepare then decodes them all
};

// Features are read from the cache, or computed: by the tower, over one picture at a time, in one thread.
// So every bit depends on the picture and the tower alone, whichever way it comes and however many threads
// there are.
class TowerFeatures : public PictureFeatures {
 public:
  // `model` and `dataset` must outlive it.
  TowerFeatures(MoeLlava& model, const IndexedDataset& dataset, const PreprocessConfig& preprocess,
                const FeatureOptions& options);

  // Computes what the cache lacks of the pictures with `needed[p]`; without room for them in the cache,
  // says so and leaves them for later. Returns which of them cannot be decoded.
  std::vector<bool> prepare(const std::vector<bool>& needed);
  // Throws BadData naming `where` when the picture cannot be decoded.
  void require_decodable(size_t picture, const std::string& where) const;

  at::Tensor gather(const std::vector<size_t>& pictures) override;
  void expect(const std::vector<size_t>& pictures) override;

 private:
  uint64_t key(size_t picture) const;
  std::vector<size_t> missing(const std::vector<bool>& needed) const;
  bool has_room(size_t pictures);
  at::Tensor encode(std::vector<float> pixels) const;  // [N, M]
  void keep(size_t picture, const at::Tensor& features);

  const MoeLlava& model_;
  const IndexedDataset& dataset_;
  PreprocessConfig preprocess_;
  bool check_pictures_;
  std::optional<FeatureCache> cache_;
  std::atomic<bool> storing_ = true;  // false once the cache has no more room
  PictureLoader loader_;
};

}  // namespace moellava
