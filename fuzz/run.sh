#!/bin/bash
# fuzz/run.sh PROGRAMS SECONDS: every x_fuzz in the directory PROGRAMS over its seeds fuzz/corpus/x for SECONDS each. What it
# learns is kept in build/fuzz/corpus/x; an input that breaks a target is left in build/fuzz/found/. Within 512 MiB and 10 s an input.
set -euo pipefail
programs=$(readlink -f "$1")
seconds=$2
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
case "$seconds" in '' | *[!0-9]* | 0) echo "fuzz: SECONDS must be a positive number, not '$seconds'" >&2; exit 64 ;; esac

found=build/fuzz/found
mkdir -p "$found"
shopt -s nullglob
targets=("$programs"/*_fuzz)
if [ "${#targets[@]}" = 0 ]; then
  echo "fuzz: no targets in $programs"
  exit 0
fi
failed=()
for target in "${targets[@]}"; do
  name=$(basename "$target" _fuzz)
  learned=build/fuzz/corpus/$name
  mkdir -p "$learned"
  seeds=()
  [ ! -d "fuzz/corpus/$name" ] || seeds=("fuzz/corpus/$name")
  log=$found/$name.log
  if ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
      "$target" -max_total_time="$seconds" -rss_limit_mb=512 -timeout=10 -max_len=65536 -use_value_profile=0 \
      -print_final_stats=1 -artifact_prefix="$found/$name-" "$learned" ${seeds[@]+"${seeds[@]}"} >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    echo "fuzz: $name: $runs inputs in $seconds s, peak $memory MB, nothing found"
  else
    failed+=("$name")
    echo "fuzz: $name: FAILED" >&2
    tail -n 60 "$log" >&2
  fi
done
echo "fuzz: ${#targets[@]} targets, ${#failed[@]} failed"
[ "${#failed[@]}" = 0 ]
