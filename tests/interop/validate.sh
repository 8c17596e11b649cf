#!/bin/sh
# Checks plates with two independent OME-Zarr validators, and opens them with ome-zarr-py.
#
#   tests/interop/validate.sh [PLATE ...]
#
# Without an argument it makes a phantom plate and one of test-data/recording. The validators are installed into .venv/
# of the checkout; that needs Python 3.11 or newer and the package index, the checks themselves do not.
set -eu
cd "$(dirname "$0")/../.."

python=.venv/interop/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv .venv/interop
    # The newest ome-zarr of October 2026 wants Python 3.12.
    ome_zarr=$("$python" -c 'import sys; print("0.21.0" if sys.version_info >= (3, 12) else "0.18.0")')
    "$python" -m pip install --quiet yaozarrs==0.3.4 ome-zarr-io==0.10.2 "ome-zarr==$ome_zarr"
fi

if [ $# -eq 0 ]; then
    prepare=${PREPARE:-target/release/prepare}
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "$prepare" phantom -q --positions 3 --frames-per-position 6 --output "$scratch/phantom.ome.zarr" >"$scratch/result"
    "$prepare" -q --channel brightfield=test-data/recording/brightfield --channel gfp=test-data/recording/gfp \
        --labels cells=test-data/recording/cells --output "$scratch/recording.ome.zarr" >"$scratch/result"
    set -- "$scratch/phantom.ome.zarr" "$scratch/recording.ome.zarr"
fi

for plate in "$@"; do
    echo "$plate"
    PYTHONWARNINGS=error .venv/interop/bin/yaozarrs validate "$plate"
    .venv/interop/bin/ome-zarr-io validate --strict --quiet "$plate"
    "$python" tests/interop/open_plate.py "$plate"
done
