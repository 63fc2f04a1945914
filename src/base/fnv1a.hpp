// The 64-bit FNV-1a hash (Fowler, Noll, Vo): to tell things apart, not to protect them.
#pragma once

#include <cstdint>
#include <string_view>

namespace moellava {

class Fnv1a {
 public:
  void add(std::string_view bytes) {
    for (char c : bytes) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325ull;
};

}  // namespace moellava
