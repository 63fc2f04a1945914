// Any bytes as JSON: a document or an Error; what was accepted survives a round trip.
#include <cstdlib>

#include "base/error.hpp"
#include "base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moellava;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json json = parse_json(text, "input");
    if (parse_json(json.dump(), "again") != json) std::abort();
    if (!json.is_object()) return 0;
    const JsonObject object(json, "input");
    object.integer_or("hidden_size", 1, 1, 1 << 20);
    object.number_or("rope_theta", 1);
    if (object.has("list")) object.integers("list", INT64_MIN, INT64_MAX);
  } catch (const Error&) {
  }
  return 0;
}
