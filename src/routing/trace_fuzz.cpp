// Any bytes as a trace: one whose parts fit each other, or an Error.
#include <cstdlib>

#include "base/error.hpp"
#include "routing/trace_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  try {
    const RoutingTrace trace = parse_trace(std::as_bytes(std::span(data, size)), "input");
    if (trace.sample_begins().back() != trace.tokens.size()) std::abort();
    if (trace.choices.size() != trace.tokens.size() * trace.layers() * trace.top_k()) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
