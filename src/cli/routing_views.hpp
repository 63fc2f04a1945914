// The questions of a trace that are shown, with their pictures.
#pragma once

#include <string>
#include <vector>

#include "routing/sample_view.hpp"

namespace moellava {

// At most `count` questions, evenly from the whole trace, as their model's tower saw them. Pictures are
// looked for under their own name when it is absolute, else in each of `folders`; without folders they stay
// away. Throws BadData naming every picture that is not there.
std::vector<SampleView> load_views(const RoutingTrace& trace, size_t count,
                                   const std::vector<std::string>& folders);

}  // namespace moellava
