#include "routing/pathways.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "routing/trace_testing.hpp"

namespace moellava {
namespace {

using ::testing::ElementsAre;

RoutingTrace trace_of(const std::vector<std::vector<int16_t>>& paths, int64_t experts) {
  RoutingTrace trace = testing::empty_trace(paths[0].size(), experts, 1);
  testing::add_sample(trace, "", "", "");
  for (const auto& path : paths) testing::add_token(trace, {.id = 1}, path);
  return trace;
}

Pathways pathways_of_text(const RoutingTrace& trace) {
  return pathways_of(trace, by_modality(trace))[0];
}

// Against NumPy's SVD of the same matrix, the tokens' means over the layers taken off, which is what
// scikit-learn's PCA computes for the original.
TEST(Pathways, ComponentsAreThoseOfNumpy) {
  const Pathways found = pathways_of_text(trace_of({{0, 1, 2, 3, 0},
                                                    {1, 1, 2, 0, 0},
                                                    {3, 3, 2, 1, 0},
                                                    {0, 0, 1, 2, 3},
                                                    {2, 1, 2, 3, 3},
                                                    {0, 3, 0, 3, 1},
                                                    {1, 1, 1, 2, 1}},
                                                   4));
  const std::vector<std::vector<double>> scores = {{-2.153359, -1.502045, -0.886344, 2.326043, 2.215705},
                                                   {1.101218, -1.857202, 0.612298, -1.757705, 1.901391},
                                                   {-0.287326, -1.05455, 1.688152, 0.551325, -0.897601},
                                                   {0.683963, -0.4273, -0.435463, 0.442763, -0.263962}};
  const std::vector<double> explained = {0.499959, 0.326156, 0.14317, 0.030715};
  ASSERT_EQ(found.components.size(), scores.size());  // one less than layers: the mean is taken off
  for (size_t c = 0; c < scores.size(); ++c) {
    EXPECT_NEAR(found.explained[c], explained[c], 1e-5);
    for (size_t l = 0; l < 5; ++l) EXPECT_NEAR(found.components[c][l], scores[c][l], 2e-6) << c << " " << l;
  }
  EXPECT_THAT(expert_ranks(found.components[0], 4), ElementsAre(1, 1, 2, 4, 4));
  EXPECT_THAT(expert_ranks(found.components[1], 4), ElementsAre(4, 1, 3, 1, 4));
  EXPECT_THAT(expert_ranks(found.components[2], 4), ElementsAre(2, 1, 4, 3, 1));
}

TEST(Pathways, MostTravelledPathsAndFlows) {
  const Pathways found = pathways_of_text(trace_of({{0, 1}, {1, 1}, {0, 1}, {0, 0}, {1, 0}, {0, 1}}, 2));
  ASSERT_EQ(found.most_travelled.size(), 4U);
  EXPECT_EQ(found.tokens, 6);
  EXPECT_THAT(found.most_travelled[0].experts, ElementsAre(0, 1));
  EXPECT_EQ(found.most_travelled[0].tokens, 3);
  EXPECT_THAT(found.most_travelled[1].experts, ElementsAre(0, 0));  // the lowest of equals
  EXPECT_EQ(found.most_travelled[3].tokens, 1);
  ASSERT_EQ(found.flows.size(), 1U);
  const std::vector<double> expected = {1.0 / 6, 3.0 / 6, 1.0 / 6, 1.0 / 6};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(found.flows[0][i], expected[i], 1e-12);
}

TEST(Pathways, AtMostTenPathsAndTwelveComponents) {
  const RoutingTrace trace = testing::random_trace(20, 4, 2, 30);
  const Pathways found = pathways_of_text(trace);
  EXPECT_EQ(found.most_travelled.size(), 10U);
  EXPECT_EQ(found.components.size(), 12U);
  for (size_t c = 1; c < 12; ++c) EXPECT_LE(found.explained[c], found.explained[c - 1]);
}

TEST(Pathways, OfNothingAndOfOneLayer) {
  const RoutingTrace one = trace_of({{0}, {1}}, 2);
  EXPECT_TRUE(pathways_of_text(one).components.empty());
  EXPECT_TRUE(pathways_of_text(one).flows.empty());
  const Pathways images = pathways_of(one, by_modality(one))[1];
  EXPECT_EQ(images.tokens, 0);
  EXPECT_TRUE(images.most_travelled.empty());
  // All tokens alike in every layer: nothing varies.
  EXPECT_TRUE(pathways_of_text(trace_of({{1, 1, 1}, {1, 1, 1}}, 2)).components.empty());
  EXPECT_THAT(expert_ranks({2, 2}, 4), ElementsAre(3, 3));
}

TEST(SymmetricEigen, PairsSatisfyTheirDefinition) {
  constexpr size_t kSize = 17;
  std::vector<std::vector<double>> matrix(kSize, std::vector<double>(kSize));
  for (size_t i = 0; i < kSize; ++i) {
    for (size_t j = 0; j <= i; ++j) matrix[i][j] = matrix[j][i] = random_unit(5, i, j) - 0.5;
  }
  const std::vector<Eigen> pairs = symmetric_eigen(matrix);
  ASSERT_EQ(pairs.size(), kSize);
  for (size_t p = 0; p < kSize; ++p) {
    if (p > 0) {
      EXPECT_LE(pairs[p].value, pairs[p - 1].value);
    }
    for (size_t i = 0; i < kSize; ++i) {
      double product = 0;
      for (size_t j = 0; j < kSize; ++j) product += matrix[i][j] * pairs[p].vector[j];
      EXPECT_NEAR(product, pairs[p].value * pairs[p].vector[i], 1e-10);
    }
    for (size_t q = 0; q <= p; ++q) {
      double product = 0;
      for (size_t i = 0; i < kSize; ++i) product += pairs[p].vector[i] * pairs[q].vector[i];
      EXPECT_NEAR(product, p == q ? 1 : 0, 1e-10);
    }
  }
}

}  // namespace
}  // namespace moellava
