// One question of a trace as it is shown: its words and its pictures with their patches.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/image.hpp"
#include "routing/patch_grid.hpp"
#include "routing/trace.hpp"

namespace moellava {

struct SamplePicture {
  std::string name;
  PatchGrid grid;
  std::optional<Image> image = {};  // as the tower sees it; none where its file is not at hand
};

struct SampleView {
  size_t sample = 0;
  size_t first_token = 0;  // in the trace
  size_t tokens = 0;
  std::vector<SamplePicture> pictures;
};

// Without images. `sample` is a number of the trace's.
SampleView sample_view(const RoutingTrace& trace, size_t sample);

// Bytes of a token as text that can be shown: what is no UTF-8 or a control character as "\xe2".
std::string shown_text(std::string_view bytes);

// "pope 17: Is there a dog?": source, id and the beginning of what the user said.
std::string sample_title(const TracedSample& sample);

}  // namespace moellava
