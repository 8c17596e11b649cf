#!/usr/bin/env bash
# Files of other programs, read, and ours, read by them: two OME-Zarr validators without a warning, ome-zarr-py,
# ome-zarr-models, zarr-python, tensorstore, ngio, iohub, tifffile, traccuracy and pycocotools; some of them also write
# what prepare reads.
#
#   tests/interop/formats.sh [PLATE ...]     plates to validate beside those that are made here
#
#   LAPSEGAN_BIN   folder of the five programs, default target/release
#   LAPSEGAN_VENV  Python environment, default .venv/interop; made where it is not there, from requirements.txt, and one
#                  beside it for iohub
#
# Ends with 77 where Python or the package index is not there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
venv=${LAPSEGAN_VENV:-$repo/.venv/interop}
prepare=${LAPSEGAN_BIN:-$repo/target/release}/prepare

# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$here/environment.sh"
environment "$venv" requirements.txt python3 || {
  echo "skipped: Python 3.11 is not there, or the packages of tests/interop/requirements.txt cannot be installed"
  exit 77
}

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
"$venv/bin/python" "$here/formats.py" "$prepare" 2>"$work/formats" || { cat "$work/formats"; exit 1; }
# A Python that runs, of the system or of pyenv.
newer=$(for python in python3.12 "$(pyenv root 2>/dev/null || true)"/versions/3.12*/bin/python; do
  "$python" -c '' 2>/dev/null && { echo "$python"; break; }
done || true)
if environment "$venv-iohub" requirements-iohub.txt "${newer:-python3.12}"; then
  "$venv-iohub/bin/python" -W ignore "$here/iohub_plates.py" "$prepare" 2>"$work/iohub" || { cat "$work/iohub"; exit 1; }
else
  echo "passed over: iohub, as Python 3.12 is not there, or the packages of requirements-iohub.txt are not"
fi
