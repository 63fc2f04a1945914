// Products in float32, whatever was allowed.
#pragma once

namespace moellava {

// While it lives, matrix products do not round their factors to bfloat16, even where Bfloat16Products allows
// it. For one thread at a time.
class ExactProducts {
 public:
  ExactProducts();
  ~ExactProducts();
  ExactProducts(const ExactProducts&) = delete;
  ExactProducts& operator=(const ExactProducts&) = delete;

 private:
  bool before_;
};

}  // namespace moellava
