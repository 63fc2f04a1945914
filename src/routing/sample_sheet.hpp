// One question as a picture: for every MoE layer, which expert took which patch and which word.
#pragma once

#include "draw/picture.hpp"
#include "routing/sample_view.hpp"

namespace moellava {

// A cell for each layer: the pictures under the colours of their patches' first-choice experts, and the words
// on theirs; words that the model wrote are underlined. For any number of pictures, patches and layers.
Picture sample_sheet(const RoutingTrace& trace, const SampleView& view);

}  // namespace moellava
