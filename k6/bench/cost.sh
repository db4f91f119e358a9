#!/usr/bin/env bash
# CPU time of k6 for each request: k6 alone, with the module but without its log, and with it.
#
#   k6/bench/cost.sh http://127.0.0.1:8080 [rounds]
#
# The target must be your own, and faster than k6; each round takes 15 seconds. K6 names the binary.
set -euo pipefail

target=${1:?usage: cost.sh BASE_URL [rounds]}
rounds=${2:-5}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
TIMEFORMAT='%U %S'

one() {
  (
    time "${K6:-k6}" run --no-usage-report --quiet --log-format raw --console-output "$scratch/events" \
      -e MODE="$1" -e BASE_URL="$target" "$here/cost.js" >"$scratch/count" 2>"$scratch/errors" ||
      { cat "$scratch/errors" >&3; exit 1; }
  ) 3>&2 2>"$scratch/time"
  rm -f "$scratch/events"
  awk -v requests="$(tail -n 1 "$scratch/count")" '{ print ($1 + $2) / requests * 1e6 }' "$scratch/time"
}

for _ in $(seq "$rounds"); do
  for mode in bare silent log; do one "$mode" >>"$scratch/$mode"; done
done

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
bare=$(median "$scratch/bare")
for mode in bare silent log; do
  printf '%-7s %6.1f us of CPU a request, %.2f of k6 alone\n' "$mode" "$(median "$scratch/$mode")" \
    "$(awk -v a="$(median "$scratch/$mode")" -v b="$bare" 'BEGIN { print a / b }')"
done
