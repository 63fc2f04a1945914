// How tokens travel through the layers, by their first choices. L MoE layers, C components.
#pragma once

#include <vector>

#include "routing/groups.hpp"
#include "routing/trace.hpp"

namespace moellava {

struct TokenPath {
  std::vector<int16_t> experts;  // [L]
  int64_t tokens = 0;
};

struct Pathways {
  int64_t tokens = 0;
  // The paper's pathways: principal components of the matrix [L, tokens] of expert numbers, with the layers
  // as the samples; min(12, L - 1) at most. A component's sign, arbitrary by nature, is such that its value
  // farthest from 0 is positive.
  std::vector<std::vector<double>> components;  // [C][L]
  std::vector<double> explained;                // [C] share of the variance
  // Whole paths of most tokens, at most 10, the first by number among equals.
  std::vector<TokenPath> most_travelled;
  // [L - 1][E * E]: share of the tokens that go from expert a in a layer to expert b in the next, at a * E +
  // b.
  std::vector<std::vector<double>> flows;
};

// [G]
std::vector<Pathways> pathways_of(const RoutingTrace& trace, const TokenGroups& groups);

// A component as the paper draws it: scaled to its own range and cut into `experts` equal steps, from 1.
std::vector<int> expert_ranks(const std::vector<double>& component, int64_t experts);

// Eigenvalues of a symmetric matrix [N][N], the largest first, each with its vector of length 1 (Jacobi's
// rotations; for small N).
struct Eigen {
  double value = 0;
  std::vector<double> vector;
};
std::vector<Eigen> symmetric_eigen(std::vector<std::vector<double>> matrix);

}  // namespace moellava
