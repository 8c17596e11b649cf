#!/usr/bin/env bash
# What an image must be able to do, run inside of it by Apptainer's %test and by the tests of the Docker image: programs
# start, every library is found, and a tiny recording passes through all of them. Writes to TMPDIR only.
set -euo pipefail

programs=(prepare train generate evaluate segment-benchmark)
fail() { echo "error: $1" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
# A job may have no home that can be written.
export HOME=/nonexistent

for program in "${programs[@]}"; do
  "$program" --version
  missing=$(ldd "$(readlink -f "$(command -v "$program")")" | grep 'not found' || true)
  [ -z "$missing" ] || fail "$program misses $missing"
done
prefix=$(dirname "$(dirname "$(readlink -f "$(command -v prepare)")")")
for text in LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md rust-crates.txt libtorch/torch-2.11.0/LICENSE; do
  [ -s "$prefix/licenses/$text" ] || fail "$prefix/licenses/$text is missing: an image carries the licences of what is in it"
done
command -v ps >/dev/null || fail "ps is missing: engines need it"

run() { # a program whose log is shown only where it fails
  "$@" --threads 1 >out.json 2>log.txt || { cat log.txt >&2; fail "this failed: $*"; }
}
run prepare phantom --positions 16 --output real.ome.zarr
run train --data real.ome.zarr --output run --preset tiny --kimg 0.032 --device cpu
run generate --checkpoint run --output synthetic.ome.zarr --count 8 --device cpu
run evaluate --real real.ome.zarr --synthetic synthetic.ome.zarr --output evaluation --device cpu
run segment-benchmark run --real real.ome.zarr --synthetic synthetic.ome.zarr --output benchmark --steps 2 --device cpu
[ -s evaluation/report.html ] || fail "evaluate wrote no report"

# Without a GPU, asking for one must say so, and not end in a run on the processor.
if [ ! -e /dev/nvidia0 ]; then
  status=0
  train --data real.ome.zarr --output gpu-run --device cuda 2>log.txt >/dev/null || status=$?
  [ "$status" = 69 ] || fail "--device cuda without a GPU ended with $status, expected 69"
  grep -q '^hint: ' log.txt || fail "--device cuda without a GPU gave no hint"
fi
echo "image: all is well"
