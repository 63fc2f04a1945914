#include "nn/parameter.hpp"

namespace moellava {

namespace {

thread_local bool shapes_only = false;

at::TensorOptions parameter_options() {
  return at::TensorOptions(at::kFloat).device(shapes_only ? at::kMeta : at::kCPU);
}

}  // namespace

ShapesOnly::ShapesOnly() : before_(shapes_only) {
  shapes_only = true;
}

ShapesOnly::~ShapesOnly() {
  shapes_only = before_;
}

at::Tensor new_parameter(at::IntArrayRef shape) {
  return at::empty(shape, parameter_options());
}

at::Tensor new_parameter(at::IntArrayRef shape, double value) {
  return at::full(shape, value, parameter_options());
}

}  // namespace moellava
