// Every failure as one line and an exit code.
#pragma once

#include <string>

namespace moellava {

struct Failure {
  std::string message;
  int exit_code = 1;
};

// Of the exception that is being handled: call it in a catch block.
Failure current_failure();

}  // namespace moellava
