#!/usr/bin/env bash
# Files of other programs, read, and ours, read by them: two OME-Zarr validators without a warning, ome-zarr-py,
# ome-zarr-models, zarr-python, tifffile, traccuracy and pycocotools, which also write what prepare reads.
#
#   tests/interop/formats.sh [PLATE ...]     plates to validate beside those that are made here
#
#   LAPSEGAN_BIN   folder of the five programs, default target/release
#   LAPSEGAN_VENV  Python environment, default .venv/interop; made where it is not there, from requirements.txt
#
# Ends with 77 where Python or the package index is not there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
venv=${LAPSEGAN_VENV:-$repo/.venv/interop}
prepare=${LAPSEGAN_BIN:-$repo/target/release}/prepare

if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "skipped: Python 3.11 or newer is not there"; exit 77; }
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"; }; then
    echo "skipped: the Python packages of tests/interop/requirements.txt cannot be installed"
    exit 77
  fi
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-interop.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$prepare" phantom -q --positions 3 --frames-per-position 6 --output "$work/phantom.ome.zarr" >"$work/result"
"$prepare" -q "$repo/test-data/recording" --output "$work/recording.ome.zarr" >"$work/result"
"$prepare" export -q "$work/phantom.ome.zarr" --format ome-zarr-0.4 --output "$work/older.ome.zarr" >"$work/result"
for plate in "$work/phantom.ome.zarr" "$work/recording.ome.zarr" "$work/older.ome.zarr" "$@"; do
  echo "$plate"
  PYTHONWARNINGS=error "$venv/bin/yaozarrs" validate "$plate"
  "$venv/bin/ome-zarr-models" validate "$plate"
  # It knows 0.5 only.
  [ ! -e "$plate/zarr.json" ] || "$venv/bin/ome-zarr-io" validate --strict --quiet "$plate"
  [ ! -e "$plate/zarr.json" ] || "$venv/bin/python" "$here/open_plate.py" "$plate"
done
"$venv/bin/python" "$here/formats.py" "$prepare"
