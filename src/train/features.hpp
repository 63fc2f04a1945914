// The frozen tower's view of every picture, computed once before training.
// P pictures, N visual tokens a picture, M the tower's width.
#pragma once

#include "model/moe_llava.hpp"
#include "train/dataset.hpp"

namespace moellava {

class PictureFeatures {
 public:
  PictureFeatures() = default;
  // `rows[p]`: the row of picture p in `features` [rows, N, M], or -1 when it was left out.
  PictureFeatures(at::Tensor features, std::vector<int64_t> rows);

  // Features of the pictures in order, [pictures, N, M]; undefined when there is none.
  at::Tensor gather(const std::vector<size_t>& pictures) const;

 private:
  at::Tensor features_;
  std::vector<int64_t> rows_;
};

// Runs the tower over the pictures with `needed[p]`, in groups of 8 in the dataset's order: the groups, and
// with them every bit of the result, depend on the data alone. Throws BadData naming the record of a picture
// that cannot be decoded, and Limit when the features would not fit into memory.
PictureFeatures compute_features(const MoeLlava& model, const Dataset& dataset,
                                 const std::vector<bool>& needed, const PreprocessConfig& preprocess);

}  // namespace moellava
