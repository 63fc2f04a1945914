// A model's tensors as its family's files hold them, for writing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "files/tensor_file.hpp"
#include "model/moe_llava.hpp"

namespace moellava {

// The values of a contiguous float32 tensor where they are; libtorch throws for another type. The tensor must
// outlive the view.
TensorView view_of(std::string name, const at::Tensor& tensor);

struct FamilyTensors {
  std::vector<TensorView> views;  // in the model's order
  std::vector<at::Tensor> keep;   // what they look at
};

// The parameters that are `wanted`, by canonical name, under the family's names; q, k and v as one tensor
// where the family has them so. All of them must be float32.
FamilyTensors family_tensors(MoeLlava& model, const std::function<bool(const std::string& name)>& wanted);

}  // namespace moellava
