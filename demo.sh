#!/usr/bin/env bash
# The whole journey: real weights, real pictures, the three stages of MoE-Tuning, held-out scores, an answer.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
invoked_from=$PWD
cd "$repository"

usage() {
  cat <<'TEXT'
Usage: ./demo.sh [--quick | --full] [--out DIR]

Trains MoE-LLaVA from SmolLM2-135M-Instruct and EfficientNet-Lite0 on scenes composed of Debian's Tux Paint stamps,
scores it on stamps it has never seen, and lets it answer questions about a picture.

Options:
  --quick      few pictures and steps: shows that everything works (under 4 minutes after the build)
  --full       the long run whose table is in docs/ (at most 3 hours on 2 cores); the default takes 45 minutes
  --out DIR    where the data, the models and the report go (default: demo-run)
  -h, --help   this text

Environment:
  XDG_CACHE_HOME   downloads and compiled objects are kept in $XDG_CACHE_HOME/moe-llava (default: ~/.cache/moe-llava)
TEXT
}

size=() out=$repository/demo-run
while [ $# -gt 0 ]; do
  case $1 in
    --quick | --full)
      [ ${#size[@]} -eq 0 ] || { echo "demo.sh: --quick and --full exclude each other" >&2; exit 2; }
      size=("$1")
      ;;
    --out)
      [ -n "${2-}" ] || { echo "demo.sh: --out: expected a folder" >&2; exit 2; }
      case $2 in /*) out=$2 ;; *) out=$invoked_from/$2 ;; esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "demo.sh: unknown option '$1' (see ./demo.sh --help)" >&2; exit 2 ;;
  esac
  shift
done

steps_total=8
. tools/steps.sh

cache=${XDG_CACHE_HOME:-$HOME/.cache}/moe-llava
llm=$cache/weights/smollm2-135m-instruct-q4_1.gguf
tower=$cache/weights/efficientnet-lite0.pth
data=$out/data
program=$repository/build/release/moe-llava

# --- Set-up --------------------------------------------------------------------------------------

build() {
  cmake --preset release --log-level=WARNING &&
    cmake --build --preset release --parallel "$(build_jobs)" --target moe-llava
}

build_dataset() {
  mkdir -p "$out" &&
    "$cache/python/bin/python" tools/build_stamps_dataset.py --stamps "$cache/stamps" --out "$data" "${size[@]}"
}

# --- The program ---------------------------------------------------------------------------------

# Stage 1: the projector alone learns to speak to the language model, from captions.
train_stage1() {
  "$program" train --stage 1 --model_name_or_path "$llm" --vision_tower "$tower" \
    --data_path "$data/stage1.json" --image_folder "$data/images" --output_dir "$out/stage1"
}

# Stage 2: projector and language model learn to follow instructions about pictures.
train_stage2() {
  "$program" train --stage 2 --model_name_or_path "$out/stage1" \
    --data_path "$data/stage2.json" --image_folder "$data/images" --output_dir "$out/stage2"
}

# Stage 3: every other FFN is copied into experts; only the MoE layers train.
train_stage3() {
  "$program" train --stage 3 --model_name_or_path "$out/stage2" \
    --data_path "$data/stage3.json" --image_folder "$data/images" --output_dir "$out/stage3"
}

# Scores on stamps that no training picture showed, with the picture and with a blank one, and the expert load.
evaluate() {
  "$program" eval --model "$out/stage3" --questions "$data/test.jsonl" --image_folder "$data/test_images" \
    --output_dir "$out/eval"
}

chat() {
  local picture=$data/test_images/test-00000.jpg question
  echo "$picture"
  for question in "How many objects are there?" "What kind of thing is on the left?"; do
    echo "> $question"
    "$program" chat --model "$out/stage3" --image "$picture" --prompt "$question" || return
  done
}

step "Packages, libtorch, weights, pictures" tools/fetch.sh packages libtorch python weights stamps
step "Build" build
step "Data set" build_dataset
step "Stage 1: captions" train_stage1
step "Stage 2: instructions" train_stage2
step "Stage 3: experts" train_stage3
step "Held-out questions" evaluate
step "Questions about a picture it never saw" chat
show_times
echo
echo "Ask about your own picture:  $program chat --model $out/stage3 --image FILE"
