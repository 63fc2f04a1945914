// Where a model computes.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace moellava {

bool built_with_cuda();

// "cpu"; "cuda", the GPU of this process: number `local_rank` of this machine's, around again when there are
// more processes than GPUs; "cuda:1"; "auto", as "cuda" where there is one, else "cpu". Throws Usage naming
// `where` for other names, and for GPUs that are not there or that this program was built without.
c10::Device device_by_name(const std::string& name, const std::string& where, int local_rank = 0);

}  // namespace moellava
