// What a training step did, micro-batch by micro-batch and as a whole. L MoE layers, E experts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "train/routing_counts.hpp"

namespace moellava {

// Why a step was not taken.
struct BadStep {
  std::string what;                  // "the loss is not finite"
  std::string tensor;                // the first one that is not, by name
  std::vector<std::string> samples;  // ids
};

struct StepReport {
  int64_t step = 0;  // counted from 1
  double loss = 0;   // cross entropy + aux_loss_coef * aux_loss + z_loss_coef * z_loss
  double aux_loss = 0;
  double z_loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;  // before clipping
  int64_t tokens = 0;    // positions that are not padding
  // Choices of the router per layer and expert before dropping, padding included; and how many were dropped.
  std::vector<std::vector<int64_t>> expert_choices;  // [L][E]
  std::vector<int64_t> dropped;                      // [L]
  std::vector<LayerLoads> loads;                     // [L] the same by text and image, without padding
  // Set: parameters and optimiser are as before, and the numbers above mean nothing.
  std::optional<BadStep> bad;
};

// The reports of all micro-batches of a step in their order, from those of this rank; ranks have them in
// their order. Of a report travels what a forward pass tells: losses, tokens, choices, and what is bad.
std::vector<StepReport> gather_reports(Communicator& comm, const std::vector<StepReport>& own);

// Means of the losses, sums of the counts, added up in order; the first bad one.
StepReport join_reports(const std::vector<StepReport>& parts);

}  // namespace moellava
