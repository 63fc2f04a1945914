#include "cli/failure.hpp"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>

#include "base/error.hpp"

namespace moellava {

namespace {

Failure failure(const std::string& message, ErrorKind kind) {
  return {.message = message, .exit_code = static_cast<int>(kind)};
}

// libtorch's message without its stack trace. A full memory, too, is a c10::Error.
Failure torch_failure(const c10::Error& error) {
  const std::string message = error.what_without_backtrace();
  const std::string line = message.substr(0, message.find('\n'));
  if (line.find("can't allocate memory") != std::string::npos)
    return failure("out of memory: " + line, ErrorKind::Limit);
  return failure("internal: " + line, ErrorKind::Internal);
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return failure(error.what(), error.kind());
  } catch (const std::bad_alloc&) {
    return failure("out of memory", ErrorKind::Limit);
  } catch (const c10::Error& error) {
    return torch_failure(error);
  } catch (const std::filesystem::filesystem_error& error) {
    return failure(printable(error.path1().string()) + ": " + error.code().message(), ErrorKind::Io);
  } catch (const std::exception& error) {
    return failure(std::string("internal: ") + error.what(), ErrorKind::Internal);
  }
}

}  // namespace moellava
