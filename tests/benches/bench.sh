#!/usr/bin/env bash
# Speed and memory of training and generation on this machine: prints a table, writes tests/benches/results/NAME.json.
#
#   DEVICE=cpu|cuda  PRECISION=float32|bfloat16  THREADS=N  SIZES="32 64"  KIMG=0.4  COUNT=256  NAME=cpu  OUT=tests/benches/results  BIN=target/release
#
# Ratios within one run can be trusted; absolute times depend on what else the machine does.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PRECISION=${PRECISION:-float32}
export BIN=${BIN:-target/release} DEVICE=${DEVICE:-cpu} THREADS=${THREADS:-1} KIMG=${KIMG:-0.4} COUNT=${COUNT:-256}
export SIZES=${SIZES:-32 64} OUT=${OUT:-tests/benches/results}
export NAME=${NAME:-$DEVICE}
work=$(mktemp -d)
export WORK=$work
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT"
for size in $SIZES; do
  "$BIN/prepare" phantom --positions 12 --frames-per-position 12 --stride 1 --size "$size" --output "$work/$size.ome.zarr" -q >/dev/null
done
python3 tests/benches/bench.py
