#include "nn/precision.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/rounding.hpp"
#include "nn/exact_products.hpp"

namespace moellava {

namespace {

bool rounding_wanted = false;

void set_rounding(bool wanted) {
  rounding_wanted = wanted;
  const bool on = wanted && has_bfloat16_products();
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                          on ? at::Float32Precision::BF16 : at::Float32Precision::NONE);
}

struct ExactLinear : torch::autograd::Function<ExactLinear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    const ExactProducts exact;
    return at::linear(x, weight);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const ExactProducts exact;
    torch::autograd::variable_list result(2);
    if (context->needs_input_grad(0)) result[0] = at::mm(gradients[0], saved[1]);
    if (context->needs_input_grad(1)) result[1] = at::mm(gradients[0].t(), saved[0]);
    return result;
  }
};

struct RoundedLinear : torch::autograd::Function<RoundedLinear> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return at::linear(rounded_to_bfloat16(x), rounded_to_bfloat16(weight));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor gradient = rounded_to_bfloat16(gradients[0]);
    torch::autograd::variable_list result(2);
    if (context->needs_input_grad(0)) result[0] = at::mm(gradient, rounded_to_bfloat16(saved[1]));
    if (context->needs_input_grad(1)) result[1] = at::mm(gradient.t(), rounded_to_bfloat16(saved[0]));
    return result;
  }
};

}  // namespace

bool has_bfloat16_products() {
#ifdef __x86_64__
  constexpr unsigned kAmxBf16 = 1U << 22;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAmxBf16) != 0;
#else
  return false;
#endif
}

ExactProducts::ExactProducts() : before_(rounding_wanted) {
  set_rounding(false);
}

ExactProducts::~ExactProducts() {
  set_rounding(before_);
}

Bfloat16Products::Bfloat16Products(bool wanted) {
  set_rounding(wanted);
}

Bfloat16Products::~Bfloat16Products() {
  set_rounding(false);
}

bool bfloat16_products_wanted() {
  return rounding_wanted;
}

bool factors_are_rounded(const at::Tensor& weight) {
  return at::GradMode::is_enabled() && bfloat16_products_wanted() && weight.scalar_type() == at::kFloat &&
         !(weight.is_cpu() && has_bfloat16_products());
}

at::Tensor rounded_to_bfloat16(const at::Tensor& tensor) {
  if (!tensor.is_cpu()) return tensor.to(at::kBFloat16).to(at::kFloat).contiguous();
  const at::Tensor from = tensor.contiguous();
  at::Tensor rounded = at::empty(from.sizes(), from.options().requires_grad(false));
  constexpr int64_t kGrain = 1 << 15;
  const float* values = from.const_data_ptr<float>();
  float* room = rounded.data_ptr<float>();
  at::parallel_for(0, from.numel(), kGrain, [&](int64_t begin, int64_t end) {
    round_to_bfloat16(values + begin, end - begin, room + begin);
  });
  return rounded;
}

at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return RoundedLinear::apply(x.reshape({-1, weight.size(1)}), weight).view(shape);
}

at::Tensor exact_linear(const at::Tensor& x, const at::Tensor& weight) {
  return ExactLinear::apply(x, weight);
}

}  // namespace moellava
