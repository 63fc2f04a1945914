#include "train/adamw.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace moellava {

namespace {

constexpr int64_t kGrain = 1 << 15;  // values a thread takes at least

// The step's constants, rounded to float32 once.
struct Update {
  float beta1, beta2, eps;
  float rest1, rest2;  // 1 - beta
  float decay;         // 1 - lr * weight_decay
  float step_size;     // lr / (1 - beta1^t)
  float second_scale;  // 1 / sqrt(1 - beta2^t)
};

// Plain arrays and no branches, so that the compiler vectorises it.
void update_range(const Update& u, int64_t count, float* __restrict parameter,
                  const float* __restrict gradient, float* __restrict first, float* __restrict second) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    const float m = u.beta1 * first[i] + u.rest1 * g;
    const float v = u.beta2 * second[i] + u.rest2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = u.decay * parameter[i] - u.step_size * m / (std::sqrt(v) * u.second_scale + u.eps);
  }
}

// The same for tensors that are not in the processor's memory.
void update_elsewhere(const Update& u, at::Tensor parameter, const at::Tensor& gradient, at::Tensor& first,
                      at::Tensor& second) {
  first.mul_(u.beta1).add_(gradient, u.rest1);
  second.mul_(u.beta2).addcmul_(gradient, gradient, u.rest2);
  parameter.mul_(u.decay).addcdiv_(first, second.sqrt().mul_(u.second_scale).add_(u.eps), -u.step_size);
}

}  // namespace

AdamW::AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const NamedParameter& parameter : parameters_) {
    first_.push_back(at::zeros_like(parameter.tensor.detach()));
    second_.push_back(at::zeros_like(parameter.tensor.detach()));
  }
}

void AdamW::step(double learning_rate) {
  ++updates_;
  const auto t = static_cast<double>(updates_);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const at::Tensor& tensor = parameters_[p].tensor;
    const double own_rate = learning_rate * parameters_[p].rate;
    const double weight_decay = tensor.dim() >= 2 ? options_.weight_decay : 0;
    const Update update = {
        .beta1 = static_cast<float>(options_.beta1),
        .beta2 = static_cast<float>(options_.beta2),
        .eps = static_cast<float>(options_.eps),
        .rest1 = static_cast<float>(1 - options_.beta1),
        .rest2 = static_cast<float>(1 - options_.beta2),
        .decay = static_cast<float>(1 - own_rate * weight_decay),
        .step_size = static_cast<float>(own_rate / (1 - std::pow(options_.beta1, t))),
        .second_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t)))};
    const at::Tensor gradient =
        tensor.grad().defined() ? tensor.grad().contiguous() : at::zeros_like(first_[p]);
    if (!tensor.is_cpu()) {
      update_elsewhere(update, tensor.detach(), gradient, first_[p], second_[p]);
      continue;
    }
    auto* values = static_cast<float*>(tensor.data_ptr());
    const auto* gradients = static_cast<const float*>(gradient.const_data_ptr());
    auto* first = static_cast<float*>(first_[p].data_ptr());
    auto* second = static_cast<float*>(second_[p].data_ptr());
    at::parallel_for(0, tensor.numel(), kGrain, [&](int64_t begin, int64_t end) {
      update_range(update, end - begin, values + begin, gradients + begin, first + begin, second + begin);
    });
  }
}

void AdamW::clear_gradients() {
  for (NamedParameter& parameter : parameters_) parameter.tensor.mutable_grad().reset();
}

std::vector<double> gradient_norms(const std::vector<NamedParameter>& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<double> norms;
  for (const NamedParameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.tensor.grad();
    norms.push_back(gradient.defined() ? at::linalg_vector_norm(gradient, 2).item<double>() : 0);
  }
  return norms;
}

GradientNorm join_norms(const std::vector<std::string>& names, const std::vector<double>& norms) {
  GradientNorm result;
  double sum = 0;
  for (size_t p = 0; p < names.size(); ++p) {
    if (!std::isfinite(norms[p]) && result.not_finite.empty()) result.not_finite = names[p];
    sum += norms[p] * norms[p];
  }
  result.norm = std::sqrt(sum);
  return result;
}

void clip_gradients(const std::vector<NamedParameter>& parameters, double norm, double max_norm) {
  const double scale = max_norm / (norm + 1e-6);
  if (scale >= 1) return;
  const at::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().mul_(scale);
  }
}

}  // namespace moellava
