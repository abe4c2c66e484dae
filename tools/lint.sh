#!/bin/bash
# Formatting, layering, heavy headers, clang-tidy. Called by ./dev lint, which installs the tools.
#   --fix         format in place first
#   --quick       leave clang-tidy out
#   FILE...       clang-tidy on these only
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
fix= quick=
files=()
for argument in "$@"; do
  case "$argument" in
    --fix) fix=1 ;;
    --quick) quick=1 ;;
    -*) echo "lint: unknown option $argument" >&2; exit 64 ;;
    *) files+=("$argument") ;;
  esac
done
status=0
mapfile -t sources < <(find src fuzz bench \( -name '*.cpp' -o -name '*.hpp' \) 2>/dev/null | sort)

[ -z "$fix" ] || clang-format-19 -i "${sources[@]}"
if clang-format-19 --dry-run -Werror "${sources[@]}"; then
  echo "clang-format: ${#sources[@]} files formatted"
else
  status=1
fi

python3 tools/check_includes.py || status=1
for script in dev .ci/run tools/*.sh fuzz/*.sh; do
  bash -n "$script" || status=1
done

if [ -z "$quick" ]; then
  mkdir -p build
  cmake --preset tidy >build/configure-tidy.log || { cat build/configure-tidy.log >&2; exit 1; }
  tools/tidy.py build/tidy ${files[@]+"${files[@]}"} || status=1
fi
[ "$status" = 0 ] && echo "lint: clean" || echo "lint: faults found" >&2
exit "$status"
