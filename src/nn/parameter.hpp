// How a module shows its tensors: it visits (name, tensor) pairs in a fixed order. Loading, saving, freezing
// and optimising all go through this one door.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>

namespace moellava {

using ParameterVisitor = std::function<void(const std::string& name, at::Tensor& tensor)>;

}  // namespace moellava
