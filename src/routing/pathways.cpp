#include "routing/pathways.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace moellava {

namespace {

constexpr size_t kMostComponents = 12;  // as the original
constexpr size_t kMostPaths = 10;

using Matrix = std::vector<std::vector<double>>;

// The layers' inner products over tokens, each token's mean over the layers taken off: [L][L]. Its
// eigenvectors are the principal components' scores, up to their lengths.
Matrix gram_matrix(const RoutingTrace& trace, const std::vector<size_t>& tokens) {
  const size_t layers = trace.layers();
  Matrix gram(layers, std::vector<double>(layers));
  std::vector<double> path(layers);
  for (const size_t t : tokens) {
    double mean = 0;
    for (size_t l = 0; l < layers; ++l) mean += path[l] = trace.choice(t, l).expert;
    mean /= static_cast<double>(layers);
    for (double& value : path) value -= mean;
    for (size_t a = 0; a < layers; ++a) {
      for (size_t b = 0; b < layers; ++b) gram[a][b] += path[a] * path[b];
    }
  }
  return gram;
}

void add_components(Pathways& pathways, const Matrix& gram) {
  double variance = 0;
  for (size_t l = 0; l < gram.size(); ++l) variance += gram[l][l];
  std::vector<Eigen> eigen = symmetric_eigen(gram);
  const size_t count = std::min(kMostComponents, gram.empty() ? 0 : gram.size() - 1);
  for (size_t c = 0; c < count && variance > 0; ++c) {
    std::vector<double>& scores = eigen[c].vector;
    const auto farthest = std::max_element(scores.begin(), scores.end(),
                                           [](double a, double b) { return std::abs(a) < std::abs(b); });
    const double length = std::sqrt(std::max(eigen[c].value, 0.0)) * (*farthest < 0 ? -1 : 1);
    for (double& score : scores) score *= length;
    pathways.components.push_back(std::move(scores));
    pathways.explained.push_back(std::max(eigen[c].value, 0.0) / variance);
  }
}

std::vector<TokenPath> most_travelled(const RoutingTrace& trace, const std::vector<size_t>& tokens) {
  std::unordered_map<std::string, int64_t> counts;  // by the bytes of the path
  std::vector<int16_t> path(trace.layers());
  for (const size_t t : tokens) {
    for (size_t l = 0; l < path.size(); ++l) path[l] = trace.choice(t, l).expert;
    ++counts[std::string(reinterpret_cast<const char*>(path.data()), path.size() * sizeof(int16_t))];
  }
  std::vector<TokenPath> paths;
  for (const auto& [bytes, count] : counts) {
    TokenPath& one = paths.emplace_back(TokenPath{.experts = path, .tokens = count});
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(one.experts.data()));
  }
  const size_t kept = std::min(kMostPaths, paths.size());
  std::partial_sort(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(kept), paths.end(),
                    [](const TokenPath& a, const TokenPath& b) {
                      return a.tokens != b.tokens ? a.tokens > b.tokens : a.experts < b.experts;
                    });
  paths.resize(kept);
  return paths;
}

Matrix flows_of(const RoutingTrace& trace, const std::vector<size_t>& tokens) {
  const auto experts = static_cast<size_t>(trace.model.most_experts());
  Matrix flows(trace.layers() > 0 ? trace.layers() - 1 : 0, std::vector<double>(experts * experts));
  for (size_t l = 0; l < flows.size(); ++l) {
    for (const size_t t : tokens) {
      const auto from = static_cast<size_t>(trace.choice(t, l).expert);
      const auto to = static_cast<size_t>(trace.choice(t, l + 1).expert);
      flows[l][from * experts + to] += 1.0 / static_cast<double>(tokens.size());
    }
  }
  return flows;
}

// Turns the plane of rows and columns p and q so that [p][q] becomes 0 (Golub & Van Loan, "Matrix
// Computations", 8.5); the columns of `vectors` turn along.
void rotate(Matrix& a, Matrix& vectors, size_t p, size_t q) {
  if (a[p][q] == 0) return;
  const double tau = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const double t = (tau >= 0 ? 1.0 : -1.0) / (std::abs(tau) + std::hypot(1.0, tau));
  const double c = 1 / std::hypot(1.0, t);
  const double s = t * c;
  const auto turn = [c, s](double& x, double& y) {
    const double old = x;
    x = c * old - s * y;
    y = s * old + c * y;
  };
  for (size_t i = 0; i < a.size(); ++i) turn(a[i][p], a[i][q]);
  for (size_t i = 0; i < a.size(); ++i) turn(a[p][i], a[q][i]);
  for (size_t i = 0; i < a.size(); ++i) turn(vectors[i][p], vectors[i][q]);
}

}  // namespace

std::vector<Eigen> symmetric_eigen(Matrix a) {
  constexpr int kSweeps = 60;  // quadratic convergence: few are needed
  const size_t n = a.size();
  Matrix vectors(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i) vectors[i][i] = 1;
  double scale = 0;
  for (const auto& row : a) {
    for (const double value : row) scale += value * value;
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double outside = 0;
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) outside += a[p][q] * a[p][q];
    }
    if (outside <= 1e-30 * scale) break;
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) rotate(a, vectors, p, q);
    }
  }
  std::vector<Eigen> pairs(n);
  for (size_t i = 0; i < n; ++i) {
    pairs[i].value = a[i][i];
    for (size_t row = 0; row < n; ++row) pairs[i].vector.push_back(vectors[row][i]);
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Eigen& x, const Eigen& y) { return x.value > y.value; });
  return pairs;
}

std::vector<Pathways> pathways_of(const RoutingTrace& trace, const TokenGroups& groups) {
  std::vector<std::vector<size_t>> tokens(groups.names.size());
  for (size_t t = 0; t < groups.of.size(); ++t) tokens[groups.of[t]].push_back(t);
  std::vector<Pathways> all;
  for (const std::vector<size_t>& own : tokens) {
    Pathways& pathways = all.emplace_back();
    pathways.tokens = static_cast<int64_t>(own.size());
    add_components(pathways, gram_matrix(trace, own));
    pathways.most_travelled = most_travelled(trace, own);
    pathways.flows = flows_of(trace, own);
  }
  return all;
}

std::vector<int> expert_ranks(const std::vector<double>& component, int64_t experts) {
  const auto [low, high] = std::minmax_element(component.begin(), component.end());
  std::vector<int> ranks;
  for (const double value : component) {
    const double share = *high > *low ? (value - *low) / (*high - *low) : 0.5;
    ranks.push_back(static_cast<int>(std::clamp(share, 0.01, 0.99) * static_cast<double>(experts)) + 1);
  }
  return ranks;
}

}  // namespace moellava
