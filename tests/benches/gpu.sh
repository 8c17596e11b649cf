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
#
# Every step has a time limit, and one that fails costs no other: steps.txt says how each ended and how long it took,
# and what there is lies in OUT: agreement.txt (GPU against CPU), iteration-*.json (times of the steps of an iteration),
# cuda-*.json (speed through the programs), NAME-* (trainings: contact sheet, figures, statistics).
# DEVICE=cuda  MINUTES=1 (of each training)  WAYS, COUNT as bench.py takes them, SMALL_CASES, LARGE_CASES its CASES
# DATA=PLATE (of a recording)
set -uo pipefail
cd "$(dirname "$0")/../.."
BIN=$(realpath "${BIN:-target/release}")
OUT=$(realpath -m "${OUT:-tests/benches/results}")
DEVICE=${DEVICE:-cuda}
MINUTES=${MINUTES:-1}
export BIN OUT DEVICE
if [ -z "${LD_LIBRARY_PATH:-}" ]; then
  LD_LIBRARY_PATH=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__) + "/lib")')
  export LD_LIBRARY_PATH
fi
mkdir -p "$OUT"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# step NAME SECONDS COMMAND...: runs a command for at most so long, and goes on whatever becomes of it.
step() {
  local name=$1 seconds=$2 start=$SECONDS status=0
  shift 2
  echo "== $name"
  timeout --kill-after=10 "$seconds" "$@" || status=$?
  printf '%-28s exit %3d %4d s\n' "$name" "$status" "$((SECONDS - start))" | tee -a "$OUT/steps.txt"
}

# agreement PLATE: untrained networks give the same sequences on both devices.
agreement() {
  "$BIN/train" --data "$1" --output "$work/untrained" --kimg 0 --device "$DEVICE" -q >/dev/null || return
  for device in cpu "$DEVICE"; do
    "$BIN/generate" --checkpoint "$work/untrained" --output "$work/on-$device.ome.zarr" --count 64 \
      --device "$device" --overwrite -q >/dev/null || return
  done
  "$BIN/evaluate" --real "$1" --synthetic "$work/on-cpu.ome.zarr" --untrained "$work/on-$DEVICE.ome.zarr" \
    --output "$work/agreement" -q >"$OUT/agreement.txt"
}

# learn NAME PLATE FLAGS...: trains for MINUTES and keeps contact sheet, figures and statistics.
learn() {
  local name=$1 plate=$2 status=0
  shift 2
  "$BIN/train" --data "$plate" --output "$work/$name" --device "$DEVICE" --set training.tick_kimg=4 \
    --time-budget "$MINUTES" "$@" >/dev/null || status=$?
  [ "$status" = 0 ] || [ "$status" = 140 ] || return "$status"
  cp "$work/$name/stats.jsonl" "$OUT/$name-stats.jsonl"
  cp "$(ls "$work/$name"/samples/*.png | tail -1)" "$OUT/$name-samples.png"
  "$BIN/generate" --checkpoint "$work/$name" --output "$work/$name.ome.zarr" --count 256 --device "$DEVICE" -q \
    >/dev/null || return
  cp "$work/$name.ome.zarr/contact_sheet.png" "$OUT/$name-contact-sheet.png"
  "$BIN/evaluate" --real "$plate" --synthetic "$work/$name.ome.zarr" --output "$work/$name-evaluation" -q \
    >"$OUT/$name-evaluation.json"
}

# same PLATE: the same seed gives the same bytes with and without graphs.
same() {
  for graphs in auto off; do
    "$BIN/train" --data "$1" --output "$work/same-$graphs" --kimg 0.2 --seed 5 --set training.graphs=$graphs \
      --device "$DEVICE" -q >/dev/null || return
    sha256sum <"$(ls "$work/same-$graphs"/checkpoints/*.safetensors | tail -1)"
  done >"$OUT/graphs-same-bytes.txt"
  [ "$(sort -u "$OUT/graphs-same-bytes.txt" | wc -l)" = 1 ]
}

# labels PLATE: sequences per second with labels by threshold, writing included.
labels() {
  "$BIN/train" --data "$1" --output "$work/labelled" --preset small --kimg 0.05 --device "$DEVICE" -q >/dev/null || return
  local start
  start=$(date +%s%N)
  "$BIN/generate" --checkpoint "$work/labelled" --output "$work/labelled.ome.zarr" --count 2048 --device "$DEVICE" -q \
    >/dev/null || return
  echo "2048 sequences of 64 px with labels: $((($(date +%s%N) - start) / 1000000)) ms" | tee "$OUT/generate-labels.txt"
}
export -f agreement learn same labels
export work MINUTES

: >"$OUT/steps.txt"
step phantom 60 "$BIN/prepare" phantom --output "$work/phantom.ome.zarr" -q
step phantom-64 60 "$BIN/prepare" phantom --size 64 --output "$work/phantom64.ome.zarr" -q
step agreement 60 bash -c 'agreement "$work/phantom.ome.zarr"'
step graphs-same-bytes 60 bash -c 'same "$work/phantom.ome.zarr"'
if [ -x "$BIN/iteration" ]; then
  for size in ${ITERATION_SIZES-32 256}; do
    for graphs in auto off; do
      step "iteration-$size-$graphs" 45 "$BIN/iteration" --device "$DEVICE" --size "$size" --batch 16 --reps 3 \
        --graphs $graphs --json "$OUT/iteration-$DEVICE-$size-graphs-$graphs.json"
    done
  done
fi
export COUNT="${COUNT:-512}" WAYS="${WAYS:-auto/on off/on auto/off}"
step speed-small 120 env PRECISION=float32 NAME="$DEVICE-float32" \
  CASES="${SMALL_CASES-tiny:32:1.6 small:64:1.6 small:128:1.6}" python3 tests/benches/bench.py
step speed-large 200 env PRECISION=bfloat16 NAME="$DEVICE-bfloat16" \
  CASES="${LARGE_CASES-paper:256:1.3 original:256:1.3}" python3 tests/benches/bench.py
step generate-labels 60 bash -c 'labels "$work/phantom64.ome.zarr"'
limit=$(awk -v minutes="$MINUTES" 'BEGIN { print int(60 * minutes + 60) }')
step phantom-labels "$limit" bash -c 'learn phantom-labels "$work/phantom64.ome.zarr" --preset small --label-domain --kimg 2000'
if [ -n "${DATA:-}" ]; then
  step recording "$limit" bash -c "learn recording '$DATA' --preset small --kimg 2000"
fi
cat "$OUT/steps.txt"
