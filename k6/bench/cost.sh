#!/usr/bin/env bash
# CPU time for each request: of k6 alone with the four labels as headers, with the module but without
# its log, with it, and, where LOADGEN names the program, of all of `--engine k6`.
#
#   [LOADGEN=target/release/loadgen] [K6_CPU=1] k6/bench/cost.sh http://127.0.0.1:8080 [rounds]
#
# The target must be your own, faster than k6, and not on the core that K6_CPU names. The ways take
# turns, each 10 s of a round with 50 VUs. K6 names the binary.
set -euo pipefail

target=${1:?usage: cost.sh BASE_URL [rounds]}
rounds=${2:-5}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
TIMEFORMAT='%U %S'
k6=$(command -v "${K6:-k6}")
pin=()
[[ -z ${K6_CPU:-} ]] || pin=(taskset -c "$K6_CPU")
ways=(bare silent log)
[[ -z ${LOADGEN:-} ]] || ways+=(engine)

k6_alone() {
  "${pin[@]}" "$k6" run --no-usage-report --quiet --address "" --log-format raw \
    --console-output "$scratch/events" -e BASE_URL="$target" "$@"
}

# Requests are the first number of a line of their own, or what the summary of a run calls so.
run() {
  case $1 in
    bare) k6_alone "$here/bare.js" ;;
    silent | log) k6_alone -e MODE="$1" "$here/cost.js" ;;
    engine)
      K6_BIN=$k6 "${pin[@]}" "$LOADGEN" run "$here/closed.yaml" --engine k6 --base-url "$target" \
        --no-preflight --no-client-spans --no-extract --quiet --json --out "$scratch/run"
      ;;
  esac
}

one() {
  rm -rf "$scratch/events" "$scratch/run"
  { time run "$1" >"$scratch/out" 2>"$scratch/errors" || { cat "$scratch/errors" >&3; exit 1; }; } 3>&2 2>"$scratch/time"
  local requests
  requests=$(sed -nE 's/^([0-9]+)$/\1/p; s/^ *"requests": ([0-9]+),$/\1/p' "$scratch/out" | head -n 1)
  awk -v requests="$requests" '{ print ($1 + $2) / requests * 1e6 }' "$scratch/time"
}

for round in $(seq "$rounds"); do
  for way in "${ways[@]}"; do one "$way" | tee -a "$scratch/$way.us" | sed "s/^/round $round, $way: /" >&2; done
done

median() { sort -n "$scratch/$1.us" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# Of each round the throughput beside k6 alone in the same round.
ratios() { paste "$scratch/bare.us" "$scratch/$1.us" | awk '{ print $1 / $2 }' | sort -n; }
for way in "${ways[@]}"; do
  printf '%-7s %6.1f us of CPU a request; of the throughput of k6 alone: median %.2f, worst %.2f\n' "$way" \
    "$(median "$way")" \
    "$(ratios "$way" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }')" \
    "$(ratios "$way" | head -n 1)"
done
