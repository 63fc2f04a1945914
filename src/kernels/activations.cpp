// Compiled once for each instruction set: foreach_target.h includes this file again and again, and
// HWY_DYNAMIC_DISPATCH picks at run time.
#include "kernels/activations.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activations.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace moellava {
namespace HWY_NAMESPACE {

// Beyond 88 it is 0 or 1 to the last bit that counts, and Exp cannot be asked; 0 for NaN.
HWY_INLINE FloatVector sigmoid(FloatVector x) {
  const Floats floats;
  const FloatVector one = hn::Set(floats, 1.0f);
  const auto near = hn::Lt(hn::Abs(x), hn::Set(floats, 88.0f));
  const FloatVector power = hn::Exp(floats, hn::IfThenElseZero(near, hn::Neg(x)));
  const FloatVector far = hn::IfThenElseZero(hn::Gt(x, hn::Zero(floats)), one);
  return hn::IfThenElse(near, hn::Div(one, hn::Add(one, power)), far);
}

// gradient of x s(x), given s and the gradient of what the sigmoid is of: s + x s (1 - s) inner
HWY_INLINE FloatVector slope(FloatVector x, FloatVector s, FloatVector inner) {
  const FloatVector product = hn::Mul(x, s);
  return hn::MulAdd(hn::NegMulAdd(product, s, product), inner, s);
}

void gated_silu_any(const float* gate, const float* up, int64_t count, float* out) {
  for_each_vector<2, 1>({gate, up}, {out}, static_cast<size_t>(count),
                        [](const FloatVector(&in)[2], FloatVector(&result)[1])
                            HWY_ATTR { result[0] = hn::Mul(hn::Mul(in[0], sigmoid(in[0])), in[1]); });
}

void gated_silu_backward_any(const float* gradient, const float* gate, const float* up, int64_t count,
                             float* gate_gradient, float* up_gradient) {
  for_each_vector<3, 2>({gradient, gate, up}, {gate_gradient, up_gradient}, static_cast<size_t>(count),
                        [](const FloatVector(&in)[3], FloatVector(&result)[2]) HWY_ATTR {
                          const FloatVector s = sigmoid(in[1]), one = hn::Set(Floats(), 1.0f);
                          result[0] = hn::Mul(hn::Mul(in[0], in[2]), slope(in[1], s, one));
                          result[1] = hn::Mul(in[0], hn::Mul(in[1], s));
                        });
}

// 2 u = x (kLinear + kCubic x^2)
constexpr float kLinear = 1.5957691216057308f, kCubic = 0.044715f * kLinear;

HWY_INLINE FloatVector gelu_sigmoid(FloatVector x, FloatVector squared) {
  const Floats floats;
  const FloatVector factor = hn::MulAdd(hn::Set(floats, kCubic), squared, hn::Set(floats, kLinear));
  return sigmoid(hn::Mul(x, factor));
}

void gelu_tanh_any(const float* x, int64_t count, float* out) {
  for_each_vector<1, 1>({x}, {out}, static_cast<size_t>(count),
                        [](const FloatVector(&in)[1], FloatVector(&result)[1]) HWY_ATTR {
                          result[0] = hn::Mul(in[0], gelu_sigmoid(in[0], hn::Mul(in[0], in[0])));
                        });
}

void gelu_tanh_backward_any(const float* gradient, const float* x, int64_t count, float* x_gradient) {
  for_each_vector<2, 1>({gradient, x}, {x_gradient}, static_cast<size_t>(count),
                        [](const FloatVector(&in)[2], FloatVector(&result)[1]) HWY_ATTR {
                          const Floats floats;
                          const FloatVector squared = hn::Mul(in[1], in[1]);
                          const FloatVector inner =
                              hn::MulAdd(hn::Set(floats, 3 * kCubic), squared, hn::Set(floats, kLinear));
                          const FloatVector s = gelu_sigmoid(in[1], squared);
                          // The sigmoid is 0 or 1 there, and the square may be infinite.
                          const auto flat = hn::Gt(hn::Abs(in[1]), hn::Set(floats, 9.0f));
                          result[0] = hn::Mul(in[0], hn::IfThenElse(flat, s, slope(in[1], s, inner)));
                        });
}

}  // namespace HWY_NAMESPACE
}  // namespace moellava
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moellava {

HWY_EXPORT(gated_silu_any);
HWY_EXPORT(gated_silu_backward_any);
HWY_EXPORT(gelu_tanh_any);
HWY_EXPORT(gelu_tanh_backward_any);

void gated_silu(const float* gate, const float* up, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(gated_silu_any)(gate, up, count, out);
}

void gated_silu_backward(const float* gradient, const float* gate, const float* up, int64_t count,
                         float* gate_gradient, float* up_gradient) {
  HWY_DYNAMIC_DISPATCH(gated_silu_backward_any)(gradient, gate, up, count, gate_gradient, up_gradient);
}

void gelu_tanh(const float* x, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_any)(x, count, out);
}

void gelu_tanh_backward(const float* gradient, const float* x, int64_t count, float* x_gradient) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_backward_any)(gradient, x, count, x_gradient);
}

}  // namespace moellava
#endif
