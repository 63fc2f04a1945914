#include "comm/launch.hpp"

#include <unistd.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace moellava {

namespace {

using Environment = std::function<const char*(const char*)>;

// How a launcher spells the four numbers; nullptr where it does not tell.
struct Spelling {
  Launcher by;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
// SLURM_STEP_NUM_TASKS is set by srun alone; SLURM_NTASKS also in a batch script, where there is one process.
constexpr Spelling kSpellings[] = {
    {Launcher::Mpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {Launcher::Slurm, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr},
    {Launcher::Torchrun, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
};

std::optional<int> number(const Environment& environment, const char* name) {
  const char* text = name != nullptr ? environment(name) : nullptr;
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, value);
  if (failure != std::errc() || stop != end || value < 0 || value > 1'000'000) {
    throw usage_error(name, "not allowed",
                      {.found = "\"" + printable(text) + "\"", .expected = "a number from 0 to 1000000"});
  }
  return value;
}

}  // namespace

Launch detect_launch(const Environment& environment) {
  for (const Spelling& spelling : kSpellings) {
    const std::optional<int> rank = number(environment, spelling.rank);
    const std::optional<int> size = number(environment, spelling.size);
    if (!rank || !size || *size <= 1) continue;
    if (*rank >= *size) {
      throw usage_error(
          spelling.rank, "no such rank",
          {.found = std::to_string(*rank),
           .expected = "less than " + std::string(spelling.size) + " " + std::to_string(*size)});
    }
    return {.by = spelling.by,
            .rank = *rank,
            .size = *size,
            .local_rank = number(environment, spelling.local_rank).value_or(0),
            .local_size = number(environment, spelling.local_size).value_or(1)};
  }
  return {};
}

std::string rank_text(int rank, int size) {
  char host[256] = "unknown";
  ::gethostname(host, sizeof host - 1);
  return "rank " + std::to_string(rank) + " of " + std::to_string(size) + " on host " + printable(host);
}

}  // namespace moellava
