# shellcheck shell=bash disable=SC2154
# Sourced by test.sh and demo.sh: named steps with their times, and how this machine builds.
# Wants `repository` (the checkout's root) and `steps_total` to be set.

export CCACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/moe-llava/ccache
export CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=1  # so that a second clone finds the objects of the first

step_names=() step_seconds=()

# step NAME COMMAND...: runs the command; if it fails, shows the times so far and ends the script.
step() {
  local name=$1 start=$SECONDS status=0
  shift
  echo
  echo "== [$((${#step_names[@]} + 1))/$steps_total] $name"
  # `set -e` does not work inside a condition, so a command must be one program or a function of && chains.
  "$@" || status=$?
  step_names+=("$name") step_seconds+=($((SECONDS - start)))
  if [ "$status" -ne 0 ]; then
    show_times
    echo "FAILED: $name (exit status $status)" >&2
    exit 1
  fi
}

show_times() {
  local i
  echo
  echo "Times (minutes:seconds)"
  for i in "${!step_names[@]}"; do
    printf '  %3d:%02d  %s\n' $((step_seconds[i] / 60)) $((step_seconds[i] % 60)) "${step_names[i]}"
  done
  printf '  %3d:%02d  in all\n' $((SECONDS / 60)) $((SECONDS % 60))
}

# Compilers at once: one a core, but only as many as fit into memory (a file that includes libtorch takes 1.5 GB).
build_jobs() {
  local cores fitting
  cores=$(nproc)
  fitting=$(awk '/MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
  [ "$fitting" -ge 1 ] || fitting=1
  echo $((cores < fitting ? cores : fitting))
}
