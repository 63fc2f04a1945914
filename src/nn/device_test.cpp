#include "nn/device.hpp"

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace moellava {
namespace {

using ::testing::HasSubstr;

std::string error_for(const std::string& name) {
  try {
    device_by_name(name, "--device");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(DeviceByName, KnowsTheProcessor) {
  EXPECT_EQ(device_by_name("cpu", "--device"), at::Device(at::kCPU));
  for (const char* name : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999"})
    EXPECT_THAT(error_for(name), HasSubstr("--device: unknown device")) << name;
}

TEST(DeviceByName, WithoutAGpu) {
  if (at::getNumGPUs() > 0) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_EQ(device_by_name("auto", "--device"), at::Device(at::kCPU));
  for (const char* name : {"cuda", "cuda:0"})
    EXPECT_THAT(error_for(name), HasSubstr("no such GPU: found 0 GPUs"));
  EXPECT_EQ(error_for("cuda").find("preset cuda") != std::string::npos, !built_with_cuda());
}

TEST(DeviceByName, WithGpus) {
  const auto gpus = static_cast<int>(at::getNumGPUs());
  if (gpus == 0)
    GTEST_SKIP() << (built_with_cuda() ? "this machine has no GPU" : "this program was built without CUDA");
  EXPECT_EQ(device_by_name("auto", "--device"), at::Device(at::kCUDA, 0));
  EXPECT_EQ(device_by_name("cuda", "--device", gpus), at::Device(at::kCUDA, 0));
  EXPECT_EQ(device_by_name("cuda:0", "--device"), at::Device(at::kCUDA, 0));
  EXPECT_THAT(error_for("cuda:" + std::to_string(gpus)), HasSubstr("no such GPU"));
}

}  // namespace
}  // namespace moellava
