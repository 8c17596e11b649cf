#!/usr/bin/env bash
# Does `tiny` learn the phantom? Trains, evaluates every checkpoint, and keeps the curve:
# tests/benches/results/learning.json, sliced Wasserstein distance against kimg.
#
#   KIMG=20  EVERY=5 (kimg between points)  THREADS=1  SEED=0  OUT=tests/benches/results  BIN=target/release
#
# 6 minutes of training and half a minute per point on one core. The phantom is one of a seed that no recipe was chosen on.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=${BIN:-target/release} KIMG=${KIMG:-20} EVERY=${EVERY:-5} THREADS=${THREADS:-1} SEED=${SEED:-0}
OUT=${OUT:-tests/benches/results}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT"
"$BIN/prepare" phantom --seed 11 --output "$work/real.ome.zarr" -q >/dev/null
points=$(seq 0 "$EVERY" "$KIMG")
for kimg in $points; do
  # A run that goes on has the same bytes as one that was never stopped.
  "$BIN/train" --data "$work/real.ome.zarr" --output "$work/run" --preset tiny --kimg "$kimg" --seed "$SEED" \
    --threads "$THREADS" --resume -q >/dev/null
  "$BIN/generate" --checkpoint "$work/run" --output "$work/$kimg.ome.zarr" --count 384 --label-route none \
    --threads "$THREADS" -q >/dev/null
  "$BIN/evaluate" --real "$work/real.ome.zarr" --synthetic "$work/$kimg.ome.zarr" --untrained "$work/0.ome.zarr" \
    --output "$work/evaluation-$kimg" --threads "$THREADS" -q >/dev/null
done
python3 tests/benches/learning.py "$work" "$OUT/learning.json" $points
