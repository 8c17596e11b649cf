#!/usr/bin/env bash
# Everything worth doing on a machine with a GPU, in one call. Build first; the binaries may be copied here:
#
#   cargo test --release --bench iteration --no-run
#   mkdir -p .gpu && cp target/release/{prepare,train,generate,evaluate,segment-benchmark} .gpu/
#   cp "$(ls -t target/release/deps/iteration-* | grep -v '\.d$' | head -1)" .gpu/iteration
#   BIN=.gpu OUT=results bash tests/benches/gpu.sh
#
# Needs a CUDA libtorch 2.11.0 on the library path; by default that of the Python there:
#   LD_LIBRARY_PATH=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__) + "/lib")')
# Writes to OUT: agreement.txt (GPU against CPU), cuda-*.json (speed), phantom-*.{png,json,safetensors} (a real training).
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=$(realpath "${BIN:-target/release}")
OUT=$(realpath -m "${OUT:-tests/benches/results}")
MINUTES=${MINUTES:-6} # of training
export BIN OUT
if [ -z "${LD_LIBRARY_PATH:-}" ]; then
  LD_LIBRARY_PATH=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__) + "/lib")')
  export LD_LIBRARY_PATH
fi
mkdir -p "$OUT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== GPU and CPU agree"
"$BIN/prepare" phantom --output "$work/phantom.ome.zarr" -q >/dev/null
"$BIN/train" --data "$work/phantom.ome.zarr" --output "$work/untrained" --kimg 0 --device cuda -q >/dev/null
for device in cpu cuda; do
  "$BIN/generate" --checkpoint "$work/untrained" --output "$work/$device.ome.zarr" --count 64 --device "$device" -q >/dev/null
done
"$BIN/evaluate" --real "$work/phantom.ome.zarr" --synthetic "$work/cpu.ome.zarr" --untrained "$work/cuda.ome.zarr" \
  --output "$work/agreement" -q | tee "$OUT/agreement.txt"

echo "== Speed"
for precision in float32 bfloat16; do
  DEVICE=cuda PRECISION=$precision NAME=cuda-$precision SIZES="${SIZES:-64 128 256}" KIMG="${KIMG:-2}" COUNT=1024 \
    python3 tests/benches/bench.py
done

if [ -x "$BIN/iteration" ]; then
  for size in 64 256; do
    "$BIN/iteration" --device cuda --size "$size" --batch 16 --json "$OUT/iteration-cuda-$size.json"
  done
fi

echo "== A real training"
status=0
"$BIN/train" --data "$work/phantom.ome.zarr" --output "$work/run" --kimg "${TRAIN_KIMG:-2000}" --device cuda \
  --set training.tick_kimg=20 --time-budget "$MINUTES" >/dev/null || status=$?
[ "$status" = 0 ] || [ "$status" = 140 ] || exit "$status"
kimg=$(sed -n '$s/.*"kimg":\([0-9.]*\).*/\1/p' "$work/run/stats.jsonl")
"$BIN/train" --data "$work/phantom.ome.zarr" --output "$work/run" --kimg "$kimg" --device cuda --resume \
  --export "$OUT/phantom-tiny.safetensors" -q >/dev/null
"$BIN/generate" --checkpoint "$work/run" --output "$work/synthetic.ome.zarr" --count 220 --device cuda -q >/dev/null
"$BIN/evaluate" --real "$work/phantom.ome.zarr" --synthetic "$work/synthetic.ome.zarr" \
  --untrained "$work/cuda.ome.zarr" --output "$work/evaluation" -q | tee "$OUT/phantom-evaluation.json"
cp "$work/synthetic.ome.zarr/contact_sheet.png" "$OUT/phantom-contact-sheet.png"
cp "$work/run/stats.jsonl" "$OUT/phantom-stats.jsonl"
