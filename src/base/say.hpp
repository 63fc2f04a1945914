// Lines on stderr about what goes on.
#pragma once

#include <string>

namespace moellava {

void say(const std::string& text);

// While one lives, this process says nothing and draws no progress: another one speaks for it.
class Quiet {
 public:
  explicit Quiet(bool quiet);
  ~Quiet();
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  bool before_;
};
bool is_quiet();

}  // namespace moellava
