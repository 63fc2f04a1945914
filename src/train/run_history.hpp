// What a run of training wrote down about its steps.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "draw/picture.hpp"

namespace moellava {

// The columns of one log_history, as points (step, value). L MoE layers, E experts.
struct RunHistory {
  std::string name;  // tells it from others in pictures; up to the caller
  std::vector<Point> loss;
  std::vector<Point> learning_rate;
  std::vector<Point> balance_loss;
  std::vector<Point> dropped;                         // share of all choices
  std::vector<std::vector<std::vector<Point>>> load;  // [L][E] share of the layer's choices
};

// `run` is the folder of a run (finished, or under way: its newest checkpoint), a checkpoint's folder, or a
// trainer_state.json; Hugging Face's have the same fields for losses and rates. Throws BadData for other
// files, Io when there is none.
RunHistory read_history(const std::filesystem::path& run);

}  // namespace moellava
