#include "base/say.hpp"

#include <atomic>
#include <cstdio>

namespace moellava {

namespace {

std::atomic<bool> g_quiet = false;

}  // namespace

void say(const std::string& text) {
  if (!g_quiet) std::fprintf(stderr, "%s\n", text.c_str());
}

Quiet::Quiet(bool quiet) : before_(g_quiet) {
  g_quiet = before_ || quiet;
}

Quiet::~Quiet() {
  g_quiet = before_;
}

bool is_quiet() {
  return g_quiet;
}

}  // namespace moellava
