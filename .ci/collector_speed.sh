#!/usr/bin/env bash
# Spans a second of `collect` and of the real Collector with the file exporter, in turn.
#
#   [REAL_COLLECTOR=/tmp/otelcol] .ci/collector_speed.sh [rounds] [requests]
#
# Each takes the same requests of 512 spans from four gRPC connections, with the attribute mapping and
# without. What counts is the receiver's own processor time, so the figures hold for one core. Without
# REAL_COLLECTOR (crates/collector/tests/otelcol/README.md builds it) only `collect` is measured.
set -euo pipefail

rounds=${1:-3}
requests=${2:-1000}
cd "$(dirname "$0")/.."
examples=${CARGO_TARGET_DIR:-target}/release/examples
scratch=$(mktemp -d)
receiver=
trap '[[ -z $receiver ]] || kill "$receiver" 2>/dev/null || true; rm -rf "$scratch"' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts the receiver of the words $1 (ours, real) and $2 (mapped, raw).
start() {
  export OUTPUT=$scratch/output GRPC_PORT HTTP_PORT
  GRPC_PORT=$(free_port) HTTP_PORT=$(free_port)
  rm -rf "$OUTPUT" && mkdir "$OUTPUT"
  if [[ $1 == real ]]; then
    "$REAL_COLLECTOR" --config "crates/collector/tests/otelcol/$2.yaml" >"$scratch/log" 2>&1 &
  else
    local raw=()
    [[ $2 == mapped ]] || raw=(--raw)
    "$examples/collect" --output "$OUTPUT" --grpc "127.0.0.1:$GRPC_PORT" --http "127.0.0.1:$HTTP_PORT" \
      "${raw[@]}" >"$scratch/log" 2>&1 &
  fi
  receiver=$!
  for _ in $(seq 300); do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$GRPC_PORT") 2>/dev/null || return 0
    sleep 0.1
  done
  cat "$scratch/log" >&2
  return 1
}

receivers=(ours)
[[ -z ${REAL_COLLECTOR:-} ]] || receivers+=(real)
for round in $(seq "$rounds"); do
  for mapping in mapped raw; do
    for of in "${receivers[@]}"; do
      start "$of" "$mapping"
      "$examples/throughput" "127.0.0.1:$GRPC_PORT" "$receiver" "$requests" >"$scratch/said"
      kill "$receiver" && wait "$receiver" || true
      receiver=
      echo "round $round, $of, $mapping: $(cat "$scratch/said")"
      sed -E 's/.* = ([0-9]+) spans .*/\1/' "$scratch/said" >>"$scratch/$of.$mapping"
    done
  done
done
for of in "${receivers[@]}"; do
  for mapping in mapped raw; do
    sort -n "$scratch/$of.$mapping" | awk -v what="$of, $mapping" '{ v[NR] = $1 } END {
      median = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
      printf "%s: median %d, worst %d spans for each second of processor time\n", what, median, v[1] }'
  done
done
