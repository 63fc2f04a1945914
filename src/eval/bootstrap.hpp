// How sure a figure is that is no plain share: by drawing the benchmark's pictures again and again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "eval/task.hpp"

namespace moellava {

// A figure of a benchmark whose answer i counts times[i] times.
using Statistic = double (*)(std::span<const Graded> graded, std::span<const int32_t> times);

// The mean score in percent of the mean reference; 0 of nothing.
double mean_percent(std::span<const Graded> graded, std::span<const int32_t> times);

// The 95 % percentile interval over 1000 draws (Efron). As many pictures are drawn as there are, with
// replacement, each with all answers about it; an answer without a picture is drawn by itself. The same
// answers have the same interval. (0, 0) of nothing.
std::pair<double, double> bootstrap_interval(std::span<const Graded> graded, Statistic statistic);

// The figure of all answers, each once, with that interval.
Published bootstrapped(std::string name, std::span<const Graded> graded, Statistic statistic);

}  // namespace moellava
