#!/usr/bin/env bash
# Sets up, builds and tests everything. Usage: ./test.sh [--help]
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$repository"

usage() {
  cat <<'TEXT'
Usage: ./test.sh

Installs what is missing (as root on Debian 12), builds, and runs all tests: formatting, clang-tidy, the unit tests
and fuzz targets under AddressSanitizer and UndefinedBehaviorSanitizer, the whole test suite, and the demo in short.
Downloads, libtorch and compiled objects are kept in ${XDG_CACHE_HOME:-~/.cache}/moe-llava: a second run, also from
another clone, is quick.

Exit status: 0 when everything passed, 1 otherwise.
TEXT
}

case ${1-} in
  "") ;;
  -h | --help) usage; exit 0 ;;
  *) echo "test.sh: unknown option '$1' (see ./test.sh --help)" >&2; exit 2 ;;
esac

steps_total=8
. tools/steps.sh

check_format() {
  find src -name '*.[ch]pp' -print0 | xargs -0 clang-format-14 --dry-run -Werror
}

configure_and_build() {  # configure_and_build PRESET [TARGET...]
  local preset=$1
  shift
  cmake --preset "$preset" --log-level=WARNING &&
    cmake --build --preset "$preset" --parallel "$(build_jobs)" ${1:+--target "$@"}
}

# The parsers and everything else that touches bytes from outside; libtorch itself is not built with sanitizers.
SANITIZED_FOLDERS=(base kernels files text image)
sanitized_targets() {
  local folder
  for folder in "${SANITIZED_FOLDERS[@]}"; do
    [ -z "$(find "src/$folder" -name '*_test.cpp' -print -quit)" ] || echo "${folder}_test"
  done
  find src -name '*_fuzz.cpp' -exec basename {} .cpp \;
}

build_sanitized() {
  local targets
  mapfile -t targets < <(sanitized_targets)
  configure_and_build asan "${targets[@]}"
}

test_sanitized() {
  local labels
  labels=$(IFS='|'; echo "${SANITIZED_FOLDERS[*]}")
  ctest --preset asan --parallel "$(nproc)" --no-tests=error --label-regex "^($labels|fuzz)\$"
}

step "Debian packages, libtorch, Python environment" tools/fetch.sh packages libtorch python
step "Formatting" check_format
step "Build (release)" configure_and_build release
step "clang-tidy" tools/run_tidy.sh
step "Build (sanitizers)" build_sanitized
step "Tests under sanitizers, fuzz targets" test_sanitized
step "Tests (release)" ctest --preset release --parallel "$(nproc)" --no-tests=error
step "Demo (quick)" ./demo.sh --quick --out build/demo-quick
show_times
echo "All tests passed."
