#include "comm/collectives.hpp"

#include <algorithm>
#include <numeric>

namespace moellava {

namespace {

void add_to(std::span<float> sum, std::span<const float> other) {
  float* __restrict to = sum.data();
  const float* __restrict from = other.data();
  for (size_t i = 0; i < sum.size(); ++i) to[i] += from[i];
}

std::vector<size_t> in_bytes(std::span<const size_t> counts) {
  std::vector<size_t> bytes;
  for (size_t count : counts) bytes.push_back(count * sizeof(float));
  return bytes;
}

}  // namespace

void sum_in_tree(std::span<const std::span<float>> parts) {
  for (size_t step = 1; step < parts.size(); step *= 2) {
    for (size_t i = 0; i + step < parts.size(); i += 2 * step) add_to(parts[i], parts[i + step]);
  }
}

void reduce_scatter(Communicator& comm, std::span<const float> values, std::span<const size_t> counts,
                    std::span<float> own) {
  const auto ranks = static_cast<size_t>(comm.size());
  std::vector<float> received(own.size() * ranks);
  comm.all_to_all(std::as_bytes(values), in_bytes(counts), std::as_writable_bytes(std::span(received)),
                  std::vector<size_t>(ranks, own.size_bytes()));
  std::vector<std::span<float>> parts;
  for (size_t r = 0; r < ranks; ++r) parts.push_back(std::span(received).subspan(r * own.size(), own.size()));
  sum_in_tree(parts);
  std::copy(parts[0].begin(), parts[0].end(), own.begin());
}

void all_reduce(Communicator& comm, std::span<float> values) {
  const auto ranks = static_cast<size_t>(comm.size());
  const auto rank = static_cast<size_t>(comm.rank());
  std::vector<size_t> counts(ranks, values.size() / ranks);
  for (size_t r = 0; r < values.size() % ranks; ++r) ++counts[r];
  const auto at =
      std::accumulate(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(rank), size_t{0});
  std::vector<float> own(counts[rank]);
  reduce_scatter(comm, values, counts, own);
  std::copy(own.begin(), own.end(), values.begin() + static_cast<std::ptrdiff_t>(at));
  comm.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(values), in_bytes(counts));
}

std::string broadcast_text(Communicator& comm, std::string text) {
  size_t length = text.size();
  comm.broadcast(std::as_writable_bytes(std::span(&length, 1)), 0);
  text.resize(length);
  comm.broadcast(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  return text;
}

}  // namespace moellava
