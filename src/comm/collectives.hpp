// What is made of the communicator's four operations: lists and texts. R ranks.
#pragma once

#include <string>
#include <type_traits>

#include "comm/communicator.hpp"

namespace moellava {

// Everybody's list, by rank; they may differ in length.
template <typename T>
std::vector<std::vector<T>> all_gather_lists(Communicator& comm, const std::vector<T>& own) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto ranks = static_cast<size_t>(comm.size());
  std::vector<size_t> bytes(ranks);
  const size_t own_bytes = own.size() * sizeof(T);
  comm.all_gather(std::as_bytes(std::span(&own_bytes, 1)), std::as_writable_bytes(std::span(bytes)),
                  std::vector<size_t>(ranks, sizeof(size_t)));
  size_t total = 0;
  for (size_t count : bytes) total += count / sizeof(T);
  std::vector<T> all(total);
  comm.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)), bytes);
  std::vector<std::vector<T>> lists;
  auto begin = all.begin();
  for (size_t count : bytes) {
    const auto end = begin + static_cast<std::ptrdiff_t>(count / sizeof(T));
    lists.emplace_back(begin, end);
    begin = end;
  }
  return lists;
}

// The text that rank 0 gives.
std::string broadcast_text(Communicator& comm, std::string text);

}  // namespace moellava
