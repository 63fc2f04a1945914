#!/usr/bin/env bash
# Runs clang-tidy (checks in .clang-tidy) over the folders that do not include libtorch, whose headers take too long.
# Usage: tools/run_tidy.sh [FOLDER...]     (default: base kernels files text image draw routing); needs build/release configured
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || set -- base kernels files text image draw routing
[ -e build/release/compile_commands.json ] ||
  { echo "run_tidy.sh: build/release/compile_commands.json: not found (run cmake --preset release)" >&2; exit 1; }
# The build is configured for g++, some of whose warning options clang does not know.
find "${@/#/src/}" -name '*.cpp' ! -name '*_test.cpp' ! -name '*_fuzz.cpp' -print0 |
  xargs -0 --no-run-if-empty --max-procs="$(nproc)" --max-args=1 \
    clang-tidy-14 --quiet --extra-arg=-Wno-unknown-warning-option -p build/release \
    2> >(grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? generated' >&2)
