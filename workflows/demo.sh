#!/usr/bin/env bash
# The demo: one recording through all five programs, on a CPU. `make demo` builds first and then runs this.
#
#   RECORDING=DIR   a folder with one sub-folder of TIFF or PNG frames per channel [default: the phantom]
#   LABELS=NAMES    its sub-folders of label images, separated by spaces; the generator learns the objects of the first
#   INTERVAL=S      seconds between its frames
#   DOWNSCALE=K     pixels averaged, K x K [default: the largest of 4, 2, 1 with which a frame holds a tile of 32 px]
#   KIMG=N          length of the training in thousands of sequences [default: 20]
#   THREADS=N       CPU threads, at most two [default: two]
#
# Every step leaves its output under demo/ and is not repeated; an interrupted training goes on from its checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=target/release
threads=${THREADS:-$(nproc 2>/dev/null || echo 2)}
[ "$threads" -le 2 ] || threads=2 # the figures in the README are for two cores
seed=0
size=32
count=384
run() { printf '\n== %s\n' "$*" >&2; "$@" >/dev/null; }
fail() { printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2; exit 2; }

if [ -n "${RECORDING:-}" ]; then
  [ -d "$RECORDING" ] || fail "RECORDING=$RECORDING is no folder" "give a folder with one sub-folder of frames per channel"
  read -ra labels <<<"${LABELS:-}"
  [ "${#labels[@]}" -gt 0 ] || fail "LABELS is not set" "name the sub-folder of label images, such as LABELS=cells"
  name=$(basename "$RECORDING")
  # Channels are the sub-folders with frames; the one with the largest files first: it anchors the styles.
  channels=()
  while read -r _ dir; do
    [[ " ${labels[*]} " == *" $dir "* ]] || channels+=(--channel "$dir=$RECORDING/$dir")
  done < <(for dir in "$RECORDING"/*/; do
    first=$(find "$dir" -maxdepth 2 \( -iname '*.tif*' -o -iname '*.png' \) | sort | sed -n 1p)
    [ -z "$first" ] || echo "$(wc -c <"$first") $(basename "$dir")"
  done | sort -k1,1nr -k2,2)
  [ "${#channels[@]}" -gt 0 ] || fail "$RECORDING has no sub-folder with TIFF or PNG frames" "one sub-folder per channel"
  prepare=(--size "$size" "${channels[@]}")
  for label in "${labels[@]}"; do prepare+=(--labels "$label=$RECORDING/$label"); done
  [ -z "${INTERVAL:-}" ] || prepare+=(--frame-interval "$INTERVAL")
  # Where none fits, prepare says below what is wrong.
  for downscale in ${DOWNSCALE:-4 2 1}; do
    $bin/prepare "${prepare[@]}" --downscale "$downscale" --output "demo/$name/real.ome.zarr" --overwrite --dry-run \
      >/dev/null 2>&1 && break
  done
  [ -n "${DOWNSCALE:-}" ] || echo "DOWNSCALE is not set: $downscale is taken, by the size of the frames" >&2
  prepare+=(--downscale "$downscale")
  label=${labels[0]}
  # The labelled objects are those of the last channel; a scene without walls has no preferred direction.
  # Tiles of a growing colony are often empty, so that eight sequences may hold no object at all.
  segment=(--channel "${channels[-1]%%=*}" --real-sequences 40)
  train=(--set training.dihedral=true)
else
  name=phantom
  prepare=(phantom --size "$size")
  label=cells
  # One labelled sequence, and eight.
  segment=(--real-sequences 1,8)
  train=()
fi
out=demo/$name
mkdir -p "$out"

[ -d "$out/real.ome.zarr" ] || run $bin/prepare "${prepare[@]}" --seed $seed --output "$out/real.ome.zarr"

train_run() { # FOLDER KIMG: done when run.json is there, resumed where it stopped
  [ -f "$1/run.json" ] && return
  run $bin/train --data "$out/real.ome.zarr" --output "$1" --preset tiny --kimg "$2" "${train[@]}" \
    --seed $seed --threads "$threads" --resume
}
generate() { # CHECKPOINT PLATE
  [ -d "$2" ] || run $bin/generate --checkpoint "$1" --output "$2" --count $count --label-name "$label" --threads "$threads"
}
evaluate() { # PLATE FOLDER
  [ -d "$2" ] || run $bin/evaluate --real "$out/real.ome.zarr" --synthetic "$1" \
    --untrained "$out/untrained.ome.zarr" --output "$2" --threads "$threads"
}
benchmark() { # PLATE FOLDER
  [ -d "$2" ] || run $bin/segment-benchmark run --real "$out/real.ome.zarr" --synthetic "$1" --label "$label" \
    "${segment[@]}" --output "$2" --threads "$threads"
}

train_run "$out/untrained" 0
generate "$out/untrained" "$out/untrained.ome.zarr"
train_run "$out/run" "${KIMG:-20}"
generate "$out/run" "$out/synthetic.ome.zarr"
evaluate "$out/synthetic.ome.zarr" "$out/evaluation"
benchmark "$out/synthetic.ome.zarr" "$out/benchmark"
if [ "$name" = phantom ]; then
  # The same with the checkpoint in test-data, which was trained for longer.
  generate test-data/phantom-tiny.safetensors "$out/shipped.ome.zarr"
  evaluate "$out/shipped.ome.zarr" "$out/shipped-evaluation"
  benchmark "$out/shipped.ome.zarr" "$out/shipped-benchmark"
fi

cat >&2 <<EOF

The tables above say how near the synthetic sequences come, and whether they help. To look at:
  $out/real.ome.zarr/preview.png
  $out/synthetic.ome.zarr/contact_sheet.png
  $out/evaluation/report.html
  $out/benchmark/report.html
The plates open in napari: napari --plugin napari-ome-zarr $out/synthetic.ome.zarr
EOF
