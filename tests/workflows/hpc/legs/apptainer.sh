#!/usr/bin/env bash
# Builds containers/lapsegan.def, the programs compiled in it, and runs the image as a job does.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../common.sh"
hpc=$repo/tests/workflows/hpc
# shellcheck source-path=SCRIPTDIR source=../image-sources.sh
source "$hpc/image-sources.sh"
[ "$(command -v apptainer)" != "$hpc/bin/apptainer" ] || bash "$hpc/apptainer-root.sh" "$LAPSEGAN_CACHE/apptainer-root"

sif=$LAPSEGAN_CACHE/lapsegan.sif
digest=$(sources_digest)
if [ ! -e "$sif" ] || [ "$(cat "$sif.sources" 2>/dev/null)" != "$digest" ]; then
  rm -f "$sif" "$sif.sources"
  bash "$hpc/base-root.sh" "$LAPSEGAN_CACHE/base"
  started=$SECONDS
  # Little compression: the image is used once or twice. --notest: it is tested below, also where it is not new.
  (cd "$repo" && apptainer build --fakeroot --notest --mksquashfs-args '-comp zstd -Xcompression-level 3' \
    --build-arg bootstrap=localimage --build-arg build_base="$LAPSEGAN_CACHE/base/rust" \
    --build-arg base="$LAPSEGAN_CACHE/base/debian" --build-arg version="$version" --build-arg revision="$revision" \
    "$sif" containers/lapsegan.def)
  echo "$digest" >"$sif.sources"
  echo "note: built in $((SECONDS - started)) s"
fi
echo "note: $(du -m "$sif" | cut -f 1) MB"

apptainer test "$sif"
apptainer inspect --labels "$sif" | tee labels.txt
grep -qF "org.opencontainers.image.version: $version" labels.txt || fail "the image has no label of its version"

# Nothing of the machine but the working folder: no home, no environment, no network; the root is read-only anyway.
apptainer exec --containall --no-home --cleanenv --net --network none --bind "$PWD:/work" --pwd /work --env TMPDIR=/work \
  "$sif" bash /opt/lapsegan/test-image.sh

# A GPU asked for and none there: 69 and a way out, also with --nv, which only warns.
apptainer exec --bind "$PWD" "$sif" prepare phantom --positions 16 --output plate.ome.zarr >prepare.json
if [ ! -e /dev/nvidia0 ]; then
  for nv in '' --nv; do
    status=0
    apptainer exec $nv "$sif" train --data plate.ome.zarr --output gpu --device cuda 2>gpu.log || status=$?
    cat gpu.log
    [ "$status" = 69 ] || fail "--device cuda $nv without a GPU ended with $status, expected 69"
    grep -q '^hint: ' gpu.log || fail "--device cuda without a GPU gave no hint"
  done
fi

# The scheduler's signal passes through Apptainer: a checkpoint, exit 143, and the next job goes on.
stopped_by() { # SIGNALLED: the session's `first` process or `every` one; IMAGE
  rm -rf run
  setsid apptainer exec "$2" train --data plate.ome.zarr --output run --kimg 0.4 --threads 1 --resume >&2 &
  local session=$! status=0
  wait_for 120 test -e run/checkpoints/latest
  sleep 2
  if [ "$1" = first ]; then
    kill -TERM "$session"
  else
    ps -o pid= -s "$session" | xargs kill -TERM
  fi
  wait "$session" || status=$?
  echo "$status"
}
status=$(stopped_by first "$sif")
[ "$status" = 143 ] || fail "after SIGTERM the container ended with $status, expected 143"
apptainer exec "$sif" train --data plate.ome.zarr --output run --kimg 0.4 --threads 1 --resume
[ -e run/run.json ] || fail "the stopped training did not go on"

# Slurm signals every process of a job, also the one that serves an image file to the container. As a folder the image
# needs none.
apptainer build --fakeroot --sandbox folder "$sif"
status=$(stopped_by every folder)
[ "$status" = 143 ] || fail "after SIGTERM to all its processes the container ended with $status, expected 143"
rm -rf folder
