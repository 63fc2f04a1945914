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
  --full       four times the data (at most 3 hours on 2 cores; its scores stand in docs/evaluation.md);
               the default takes about 40 minutes
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

steps_total=10
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

# What differs between the sizes, apart from the data: how often stage 1 sees it, and how many questions are asked.
caption_epochs=3 limit=(--limit 600)
case ${size[*]-} in
  --quick) caption_epochs=1 limit=(--limit 24) ;;
  --full) caption_epochs=2 limit=() ;;
esac

# The recipe stands in configs/demo-stage{1,2,3}.json.
train() {  # train STAGE NAME MODEL DATA [FLAG...]
  local stage=$1 name=$2 model=$3 json=$4
  shift 4
  "$program" train --config "configs/demo-stage$stage.json" --model_name_or_path "$model" \
    --data_path "$data/$json" --image_folder "$data/images" --output_dir "$out/$name" \
    --overwrite_output_dir True "$@"
}

# Stage 1: the projector alone learns to speak to the language model, from captions. Asked for in ChatML, the words
# that this language model was tuned on, captions are learned in a fraction of the steps.
train_stage1() {
  train 1 stage1 "$llm" stage1.json --vision_tower "$tower" --num_train_epochs "$caption_epochs"
}

# Stage 2: projector and language model learn to follow instructions about pictures.
train_stage2() {
  train 2 stage2 "$out/stage1" stage2.json
}

# Stage 3: every other feed-forward is copied into four experts, two of which work on each token.
train_stage3() {
  train 3 stage3 "$out/stage2" stage3.json
}

# For comparison: the dense model with the same data and steps.
train_dense() {
  train 3 dense "$out/stage2" stage3.json --moe_enable False
}

# Questions about stamps that no training picture showed.
evaluate() {  # evaluate MODEL RESULT [FLAG...]
  local model=$1 result=$2
  shift 2
  "$program" eval --model "$out/$model" --questions "$data/test.jsonl" --image-folder "$data/test_images" \
    "${limit[@]}" --result "$out/report/$result.json" --answers "$out/report/$result.jsonl" "$@" > /dev/null
}

report() {
  mkdir -p "$out/report"
  rm -f "$out"/report/*.jsonl  # answers of an earlier run, to which eval would add
  evaluate stage3 moe && evaluate stage3 blank --blank-images && evaluate dense dense &&
    "$program" compare "$out/report/"{moe,blank,dense}.json --labels "MoE" "MoE, picture blanked" "dense" |
    tee "$out/report/table.md"
}

routing() {
  "$program" routing --model "$out/stage3" --data "$data/test.jsonl" --image-folder "$data/test_images" \
    --limit 100 --out "$out/report"
}

chat() {
  local name picture question
  name=$(grep -m 1 "What kind of thing is it?" "$data/test.jsonl" | sed 's/.*"image": "\([^"]*\)".*/\1/') || return
  picture=$data/test_images/$name
  echo "$picture"
  for question in "What kind of thing is it?" "Is there an animal?" "How many objects are there?"; do
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
step "Stage 3 without experts" train_dense
step "Held-out questions" report
step "Expert load" routing
step "Questions about a picture it never saw" chat
show_times
echo
echo "Scores: $out/report/table.md   Where the experts work: $out/report/routing.html"
echo "Ask about your own picture:  $program chat --model $out/stage3 --image FILE"
