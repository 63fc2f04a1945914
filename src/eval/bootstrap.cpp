#include "eval/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"

namespace moellava {

namespace {

constexpr uint64_t kSeed = 0;
constexpr size_t kDraws = 1000;

// The answers about each picture.
std::vector<std::vector<size_t>> by_picture(std::span<const Graded> graded) {
  std::vector<std::vector<size_t>> groups;
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < graded.size(); ++i) {
    size_t place = groups.size();
    if (!graded[i].picture.empty()) place = places.try_emplace(graded[i].picture, place).first->second;
    if (place == groups.size()) groups.emplace_back();
    groups[place].push_back(i);
  }
  return groups;
}

}  // namespace

double mean_percent(std::span<const Graded> graded, std::span<const int32_t> times) {
  double sum = 0, reference = 0;
  for (size_t i = 0; i < graded.size(); ++i) {
    sum += times[i] * graded[i].score;
    reference += times[i] * graded[i].reference;
  }
  return reference > 0 ? 100 * sum / reference : 0;
}

std::pair<double, double> bootstrap_interval(std::span<const Graded> graded, Statistic statistic) {
  if (graded.empty()) return {0, 0};
  const std::vector<std::vector<size_t>> pictures = by_picture(graded);
  std::vector<double> values;
  std::vector<int32_t> times(graded.size());
  for (size_t draw = 0; draw < kDraws; ++draw) {
    std::fill(times.begin(), times.end(), 0);
    for (size_t i = 0; i < pictures.size(); ++i) {
      for (const size_t answer : pictures[random_bits(kSeed, draw, i) % pictures.size()]) ++times[answer];
    }
    values.push_back(statistic(graded, times));
  }
  std::sort(values.begin(), values.end());
  return {values[kDraws / 40], values[kDraws - 1 - kDraws / 40]};
}

Published bootstrapped(std::string name, std::span<const Graded> graded, Statistic statistic) {
  const std::vector<int32_t> once(graded.size(), 1);
  const auto [low, high] = bootstrap_interval(graded, statistic);
  return {.name = std::move(name),
          .value = statistic(graded, once),
          .low = low,
          .high = high,
          .method = "bootstrap"};
}

}  // namespace moellava
