// What happens to memory between two steps.
#pragma once

namespace moellava {

// Every step frees what the next one asks for again. Given back to the kernel in between, that memory would
// be mapped and cleared anew each time: a tenth of a step. Holds from the call on, for the whole process;
// only with glibc.
void keep_freed_memory();

}  // namespace moellava
