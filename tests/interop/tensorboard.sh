#!/bin/sh
# Reads the event file of a run with TensorBoard's own reader: after a plain run, and after one that was resumed from an
# older checkpoint and so wrote some ticks twice.
#
# TensorBoard is installed into .venv/ of the checkout; that needs the package index, the check itself does not.
set -eu
cd "$(dirname "$0")/../.."

python=.venv/tensorboard/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv .venv/tensorboard
    "$python" -m pip install --quiet tensorboard==2.21.0
fi

bin=${BIN:-target/release}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$bin/prepare" phantom -q --size 32 --positions 3 --frames-per-position 6 --output "$scratch/data" >"$scratch/result"
train() { # KIMG [--resume]
    "$bin/train" -q --data "$scratch/data" --output "$scratch/run" --threads 1 --device cpu --set training.batch=4 \
        --set training.tick_kimg=0.02 --set 'model.generator.channels=[8,8,8,8]' --kimg "$@" >"$scratch/result"
}
train 0.08
"$python" tests/interop/read_events.py "$scratch/run"
train 0.12 --resume
# Without its newest checkpoint the run goes on at 0.08 kimg.
rm "$scratch"/run/checkpoints/kimg_000000.120.*
train 0.16 --resume
"$python" tests/interop/read_events.py "$scratch/run"
