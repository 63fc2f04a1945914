// Activations of feed-forwards and their gradients, each in one pass over memory. The widest vectors that the
// processor has are chosen at run time (Highway). All arrays have N values, float32; which of them a value is
// changes no bit of its result.
#pragma once

#include <cstdint>

namespace moellava {

// SwiGLU (Shazeer 2020, arXiv 2002.05202): out = silu(gate) * up, with silu(x) = x sigmoid(x).
void gated_silu(const float* gate, const float* up, int64_t count, float* out);
// From `gradient`, that of `out`, those of `gate` and of `up`.
void gated_silu_backward(const float* gradient, const float* gate, const float* up, int64_t count,
                         float* gate_gradient, float* up_gradient);

// GELU by its approximation (Hendrycks and Gimpel 2016, arXiv 1606.08415), "gelu_new":
// out = x (1 + tanh(u)) / 2 = x sigmoid(2 u), with u = sqrt(2 / pi) (x + 0.044715 x^3).
void gelu_tanh(const float* x, int64_t count, float* out);
void gelu_tanh_backward(const float* gradient, const float* x, int64_t count, float* x_gradient);

}  // namespace moellava
