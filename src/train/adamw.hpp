// AdamW (Loshchilov and Hutter 2019) with the semantics of torch.optim.AdamW, in one pass over each tensor.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace moellava {

struct NamedParameter {
  std::string name;
  at::Tensor tensor;  // contiguous float32; shares its memory with the model's
  double rate = 1;    // its learning rate, as a multiple of the step's
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;  // added outside the square root
  double weight_decay = 0;
};

class AdamW {
 public:
  // Matrices decay; vectors (biases and norms) do not.
  AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options);

  // One update from the parameters' gradients; one without a gradient counts as zero, as when no token went
  // to an expert. Bit-identical for any number of threads.
  void step(double learning_rate);
  void clear_gradients();

  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  int64_t updates() const { return updates_; }

  // The state, for checkpoints: first and second moments, in the parameters' order.
  std::vector<at::Tensor>& first_moments() { return first_; }
  std::vector<at::Tensor>& second_moments() { return second_; }
  void set_updates(int64_t updates) { updates_ = updates; }

 private:
  std::vector<NamedParameter> parameters_;
  AdamWOptions options_;
  std::vector<at::Tensor> first_, second_;
  int64_t updates_ = 0;
};

// [parameters] the Euclidean norm of each one's gradient, 0 where there is none.
std::vector<double> gradient_norms(const std::vector<NamedParameter>& parameters);

struct GradientNorm {
  double norm = 0;         // of all gradients together
  std::string not_finite;  // the first parameter whose gradient is not finite, "" when all are
};
// From the norms of the parameters in their order, which decides every bit.
GradientNorm join_norms(const std::vector<std::string>& names, const std::vector<double>& norms);

// Scales all gradients by max_norm / norm when norm is larger (torch.nn.utils.clip_grad_norm_).
void clip_gradients(const std::vector<NamedParameter>& parameters, double norm, double max_norm);

}  // namespace moellava
