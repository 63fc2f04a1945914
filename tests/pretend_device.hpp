// A device that stands in for a GPU where there is none: its tensors compute on the processor, but their
// memory cannot be read or written in between, and an operation on tensors of two devices throws. What runs
// here leaves it to libtorch where it runs. Every test program of the torch folders has it.
#pragma once

#include <c10/core/Device.h>

namespace moellava::testing {

inline const c10::Device kPretendDevice(c10::DeviceType::PrivateUse1, 0);

}  // namespace moellava::testing
