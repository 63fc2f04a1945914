#include "model/splice.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/conversation.hpp"

namespace moellava {

namespace {

// Where the rows of the batch come from: a table of [all text tokens; all visual tokens; one row of zeros].
struct Layout {
  std::vector<int64_t> text_ids;
  std::vector<std::vector<int64_t>> rows;    // per sample; visual rows counted from 0, marked by is_image
  std::vector<std::vector<int64_t>> labels;  // per sample
  int64_t images = 0;
};

Layout lay_out(std::span<const SampleIds> samples, int64_t tokens_per_image,
               std::vector<std::vector<bool>>& is_image) {
  Layout layout;
  for (const SampleIds& sample : samples) {
    auto& rows = layout.rows.emplace_back();
    auto& labels = layout.labels.emplace_back();
    auto& image_flags = is_image.emplace_back();
    for (size_t i = 0; i < sample.ids.size(); ++i) {
      if (sample.ids[i] == kImageTokenId) {
        for (int64_t n = 0; n < tokens_per_image; ++n) rows.push_back(layout.images * tokens_per_image + n);
        labels.resize(rows.size(), kIgnoreLabel);
        image_flags.resize(rows.size(), true);
        ++layout.images;
      } else {
        rows.push_back(static_cast<int64_t>(layout.text_ids.size()));
        layout.text_ids.push_back(sample.ids[i]);
        labels.push_back(sample.labels.empty() ? kIgnoreLabel : sample.labels[i]);
        image_flags.push_back(false);
      }
    }
  }
  return layout;
}

at::Tensor to_tensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

}  // namespace

Spliced splice(const Decoder& decoder, std::span<const SampleIds> samples, const at::Tensor& image_tokens,
               PaddingSide padding) {
  const bool has_images = image_tokens.defined() && image_tokens.size(0) > 0;
  Spliced spliced;
  spliced.padding = padding;
  const Layout layout = lay_out(samples, has_images ? image_tokens.size(1) : 0, spliced.is_image);
  const int64_t given = has_images ? image_tokens.size(0) : 0;
  if (layout.images != given) {
    throw bad_data("batch", "image markers and images differ",
                   {.found = std::to_string(layout.images) + " markers", .expected = std::to_string(given)});
  }

  const at::Tensor text = decoder.embed(to_tensor(layout.text_ids));  // [words, H]
  std::vector<at::Tensor> parts{text};
  if (has_images) parts.push_back(image_tokens.flatten(0, 1));
  parts.push_back(at::zeros({1, text.size(1)}, text.options()));
  const at::Tensor table = at::cat(parts, 0);

  size_t longest = 0;
  for (const auto& rows : layout.rows) longest = std::max(longest, rows.size());
  const auto first_visual = static_cast<int64_t>(layout.text_ids.size());
  std::vector<int64_t> index;
  std::vector<int64_t> labels;
  for (size_t b = 0; b < layout.rows.size(); ++b) {
    const auto& rows = layout.rows[b];
    const size_t before = padding == PaddingSide::Left ? longest - rows.size() : 0;
    index.resize(b * longest + before, table.size(0) - 1);
    labels.resize(b * longest + before, kIgnoreLabel);
    for (size_t t = 0; t < rows.size(); ++t)
      index.push_back(rows[t] + (spliced.is_image[b][t] ? first_visual : 0));
    labels.insert(labels.end(), layout.labels[b].begin(), layout.labels[b].end());
    index.resize((b + 1) * longest, table.size(0) - 1);
    labels.resize((b + 1) * longest, kIgnoreLabel);
    spliced.lengths.push_back(static_cast<int64_t>(rows.size()));
  }
  const auto batch = static_cast<int64_t>(samples.size());
  const auto width = static_cast<int64_t>(longest);
  spliced.embeddings =
      table.index_select(0, to_tensor(index).to(table.device())).view({batch, width, text.size(1)});
  spliced.labels = to_tensor(labels).view({batch, width});
  return spliced;
}

}  // namespace moellava
