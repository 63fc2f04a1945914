#include "train/features.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/progress.hpp"

namespace moellava {

namespace {

constexpr size_t kGroup = 8;

void require_memory(uint64_t pictures, const VisionConfig& vision) {
  const auto per_picture = static_cast<uint64_t>(vision.tokens() * vision.hidden_size) * sizeof(float);
  const auto memory =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  if (pictures > memory / 10 * 8 / per_picture) {
    throw limit_error(
        "data", "the features of all pictures do not fit into memory",
        {.found = std::to_string(pictures) + " pictures of " + std::to_string(per_picture) + " bytes",
         .expected = "at most 80 % of " + std::to_string(memory) + " bytes"});
  }
}

// [group, 3, S, S]
at::Tensor load_group(const Dataset& dataset, std::span<const size_t> pictures,
                      const PreprocessConfig& preprocess_config) {
  const int64_t size = preprocess_config.size;
  at::Tensor pixels = at::empty({static_cast<int64_t>(pictures.size()), 3, size, size});
  auto* out = pixels.data_ptr<float>();
  const int64_t each = 3 * size * size;
  at::parallel_for(0, static_cast<int64_t>(pictures.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Picture& picture = dataset.pictures[pictures[static_cast<size_t>(i)]];
      const MappedFile file(picture.path);
      const Image image = decode_image(file.bytes(), picture.where + ": " + printable(picture.path.string()));
      const std::vector<float> values = preprocess(image, preprocess_config);
      std::copy(values.begin(), values.end(), out + i * each);
    }
  });
  return pixels;
}

}  // namespace

PictureFeatures::PictureFeatures(at::Tensor features, std::vector<int64_t> rows)
    : features_(std::move(features)), rows_(std::move(rows)) {}

at::Tensor PictureFeatures::gather(const std::vector<size_t>& pictures) const {
  if (pictures.empty()) return {};
  std::vector<int64_t> index;
  for (size_t picture : pictures) index.push_back(rows_.at(picture));
  return features_.index_select(0, at::tensor(index, at::kLong));
}

PictureFeatures compute_features(const MoeLlava& model, const Dataset& dataset,
                                 const std::vector<bool>& needed, const PreprocessConfig& preprocess) {
  std::vector<size_t> pictures;
  std::vector<int64_t> rows(dataset.pictures.size(), -1);
  for (size_t p = 0; p < rows.size(); ++p) {
    if (!needed[p]) continue;
    rows[p] = static_cast<int64_t>(pictures.size());
    pictures.push_back(p);
  }
  if (pictures.empty()) return {};
  const VisionConfig& vision = model.config().vision.value();
  require_memory(pictures.size(), vision);

  const at::NoGradGuard no_grad;
  at::Tensor features =
      at::empty({static_cast<int64_t>(pictures.size()), vision.tokens(), vision.hidden_size});
  Progress progress("picture features", static_cast<int64_t>(pictures.size()));
  for (size_t begin = 0; begin < pictures.size(); begin += kGroup) {
    const auto group = std::span(pictures).subspan(begin, std::min(kGroup, pictures.size() - begin));
    const at::Tensor pixels = load_group(dataset, group, preprocess);
    features.narrow(0, static_cast<int64_t>(begin), pixels.size(0)).copy_(model.encode_images(pixels));
    progress.update(static_cast<int64_t>(begin + group.size()));
  }
  return {std::move(features), std::move(rows)};
}

}  // namespace moellava
