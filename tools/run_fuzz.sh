#!/usr/bin/env bash
# Runs one libFuzzer target for FUZZ_SECONDS (default 5) from a copy of its committed corpus.
# Usage: tools/run_fuzz.sh TARGET CORPUS_DIR
set -euo pipefail
target=$1 corpus=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
[ -d "$corpus" ] && cp -r "$corpus/." "$work/corpus/"
cd "$work"
"$target" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=2 -rss_limit_mb=512 -malloc_limit_mb=128 \
  -print_final_stats=1 -verbosity=0 "$work/corpus"
