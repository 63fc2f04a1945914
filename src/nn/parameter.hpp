// How a module shows its tensors: it visits (name, tensor) pairs in a fixed order. Loading, saving, freezing
// and optimising all go through this one door.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>

namespace moellava {

using ParameterVisitor = std::function<void(const std::string& name, at::Tensor& tensor)>;

// While it lives, modules that this thread makes have parameters with shapes but without memory: enough to
// visit and to count a model that is larger than the machine.
class ShapesOnly {
 public:
  ShapesOnly();
  ~ShapesOnly();
  ShapesOnly(const ShapesOnly&) = delete;
  ShapesOnly& operator=(const ShapesOnly&) = delete;

 private:
  bool before_;
};

// How modules reserve their parameters: float32, with values that do not matter or with one `value`.
at::Tensor new_parameter(at::IntArrayRef shape);
at::Tensor new_parameter(at::IntArrayRef shape, double value);

}  // namespace moellava
