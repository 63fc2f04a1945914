// The course of runs as a picture.
#pragma once

#include <vector>

#include "draw/picture.hpp"
#include "train/run_history.hpp"

namespace moellava {

// Loss, learning rate and balance loss of all runs in one chart each, and for every run and MoE layer the
// load of its experts.
Picture history_picture(const std::vector<RunHistory>& runs);

}  // namespace moellava
