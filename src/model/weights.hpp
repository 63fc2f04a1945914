// Joining a model's parameters with a file's tensors, strictly both ways.
#pragma once

#include <functional>
#include <string>

#include "files/tensor_file.hpp"
#include "model/moe_llava.hpp"

namespace moellava {

// Where a parameter's values stand in a file.
struct WeightRef {
  std::string name;  // of the file's tensor
  int64_t part = 0;  // the rows of this part out of `parts` equal ones (fused q, k, v)
  int64_t parts = 1;
  int64_t interleaved_heads = 0;  // GGUF's q and k: rotary pairs are neighbours instead of halves, per head
};

// Float32: a copy of its own, which can be trained. AsStored: matrices of 32 or 16 bits are the mapped bytes
// of the file, so that loading takes no time and no memory; everything else is Float32. For inference.
enum class WeightMemory { Float32, AsStored };

struct WeightJoin {
  std::function<bool(const std::string& parameter)> wanted;  // which parameters are filled
  std::function<WeightRef(const std::string& parameter)> locate;
  std::function<bool(const std::string& tensor)> may_be_extra;  // file tensors that nobody needs to want
};

// Why `file` does not fit the wanted parameters: up to ten missing, unexpected, mis-shaped and integer
// tensors each; "" when it fits. Reads no values, so the model may have ShapesOnly.
std::string join_problems(MoeLlava& model, const TensorFile& file, const WeightJoin& join);

// Gives every wanted parameter its values from `file`, after join_problems found none. The model may have
// ShapesOnly before.
void fill_parameters(MoeLlava& model, const TensorFile& file, const WeightJoin& join, WeightMemory memory);

std::string shape_text(at::IntArrayRef shape);  // "[2, 3]"
bool is_integer(DType dtype);

// Parts of the model by parameter name.
bool is_tower_parameter(const std::string& name);
bool is_projector_parameter(const std::string& name);
bool is_expert_parameter(const std::string& name);  // of one of a MoE layer's experts
bool is_router_parameter(const std::string& name);  // routers, and the coefficient of a residual MoE
// ".mlp.deepspeed_moe.experts.deepspeed_experts.3.up_proj" -> ".mlp.up_proj": the FFN an expert is copied
// from.
std::string dense_name_of_expert(const std::string& name);

}  // namespace moellava
