// LoRA adapters of a model's decoder: where they stand, how they begin, and how they become part of the
// weights.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/moe_llava.hpp"

namespace moellava {

// The original's defaults.
struct AdapterSettings {
  int64_t rank = 128;
  double alpha = 256;
  double dropout = 0.05;         // of the adapters' inputs, in training
  bool rank_stabilised = false;  // the scale is alpha / sqrt(rank) instead of alpha / rank
};

// What the product of an adapter's matrices is multiplied with.
double adapter_scale(double alpha, int64_t rank, bool rank_stabilised);

// Gives every linear layer of the decoder that is `wanted`, by canonical name, an adapter that adds nothing
// yet: A as PEFT draws it, the same for all experts of a layer, as if they were copies of one; B zero. Where
// a family's files hold q, k and v as one, they share one A. Returns the dropout of all of them. Adapters of
// before are replaced.
std::shared_ptr<Dropout> add_adapters(MoeLlava& model, const AdapterSettings& settings,
                                      const std::function<bool(const std::string& name)>& wanted,
                                      uint64_t seed);

// Adds the adapters to their layers' weights, which become float32, and removes them.
void merge_adapters(MoeLlava& model);

// The stream of the dropout in front of the adapter of this linear layer.
uint64_t dropout_stream(const std::string& linear);

// What an adapter's folder holds: the adapters, and the projector and the routers, which the original trains
// themselves beside adapters.
bool is_saved_with_adapters(const std::string& name);

// Whether the linear layer of this canonical name belongs to a feed-forward, dense or an expert's.
bool is_feed_forward_linear(const std::string& name);

}  // namespace moellava
