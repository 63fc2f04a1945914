#include "nn/device.hpp"

#include <ATen/Context.h>

#include <charconv>
#include <optional>

#include "base/error.hpp"

namespace moellava {

namespace {

// "cuda:1" -> 1
std::optional<int> number_in(const std::string& name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int number = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
  return error == std::errc() && rest == end && number >= 0 ? std::optional(number) : std::nullopt;
}

}  // namespace

bool built_with_cuda() {
  return at::globalContext().hasCUDART();
}

c10::Device device_by_name(const std::string& name, const std::string& where, int local_rank) {
  const auto gpus = static_cast<int>(at::getNumGPUs());
  if (name == "cpu" || (name == "auto" && gpus == 0)) return at::kCPU;
  const std::optional<int> asked = number_in(name);
  if (name != "auto" && name != "cuda" && !asked) {
    throw usage_error(where, "unknown device",
                      {.found = "\"" + printable(name) + "\"", .expected = "auto, cpu, cuda or cuda:NUMBER"});
  }
  if (gpus == 0 || asked.value_or(0) >= gpus) {
    throw usage_error(where, "no such GPU",
                      {.found = std::to_string(gpus) + " GPUs",
                       .expected = "one for \"" + name + "\"",
                       .hint = built_with_cuda() ? "" : "this program was built without CUDA: preset cuda"});
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(asked.value_or(local_rank % gpus))};
}

}  // namespace moellava
