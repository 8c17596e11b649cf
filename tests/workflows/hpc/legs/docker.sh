#!/usr/bin/env bash
# Builds containers/Containerfile with Docker, runs the image as another user with a read-only root and no network, and
# converts it to Apptainer's format as an institute without a registry would.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../common.sh"
hpc=$repo/tests/workflows/hpc
# shellcheck source-path=SCRIPTDIR source=../image-sources.sh
source "$hpc/image-sources.sh"
[ "$(id -u)" = 0 ] || skip "Docker's daemon can only be started by root"

# The images stay in the cache, so that a build whose sources did not change is taken from there.
bash "$hpc/docker.sh" start "$LAPSEGAN_STATE/docker" "$LAPSEGAN_CACHE/docker"
# shellcheck source=/dev/null
source "$LAPSEGAN_STATE/docker/env.sh"

# The bases under the very names of the recipe, which is then built as it is.
recipe=$repo/containers/Containerfile
base_name() { sed -n "s/^ARG $1=//p" "$recipe"; }
import() { # NAME FOLDER
  docker image inspect "$1" >/dev/null 2>&1 || tar -C "$LAPSEGAN_CACHE/base/$2" -c . | docker import - "$1"
}
bash "$hpc/base-root.sh" "$LAPSEGAN_CACHE/base"
import "$(base_name BUILD_BASE)" rust
import "$(base_name BASE)" debian

# Where Apptainer's image was compiled from these sources on this base, its programs are taken: all of the recipe is
# still run, but the compiler only once. COMPILE_ALL=1 compiles here, too.
arguments=()
sif=$LAPSEGAN_CACHE/lapsegan.sif
if [ "${COMPILE_ALL:-0}" = 0 ] && [ "$(cat "$sif.sources" 2>/dev/null)" = "$(sources_digest)" ]; then
  mkdir prebuilt
  cp "$hpc/prebuilt-cargo" prebuilt/cargo
  apptainer exec --bind "$PWD" "$sif" sh -c "cp /opt/lapsegan/bin/* $PWD/prebuilt/"
  printf 'FROM %s\nCOPY . /prebuilt\nRUN cd /usr/local/bin && mv cargo real-cargo && mv /prebuilt/cargo .\n' "$(base_name BUILD_BASE)" |
    DOCKER_BUILDKIT=0 docker build --quiet --tag lapsegan:prebuilt --file - prebuilt
  arguments=(--build-arg BUILD_BASE=lapsegan:prebuilt)
  echo "note: compiled by the leg apptainer"
fi
started=$SECONDS
DOCKER_BUILDKIT=0 docker build --network host --file "$recipe" --tag lapsegan:cpu "${arguments[@]}" \
  --build-arg VERSION="$version" --build-arg REVISION="$revision" "$repo"
docker image prune --force >/dev/null # builds of older sources
echo "note: built in $((SECONDS - started)) s"
echo "note: $(($(docker image inspect --format '{{.Size}}' lapsegan:cpu) / 1000000)) MB"

docker run --rm --network none --read-only --tmpfs /tmp --user 12345:54321 lapsegan:cpu bash /opt/lapsegan/test-image.sh
[ "$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' lapsegan:cpu)" = "$version" ] ||
  fail "the image has no label of its version"
# What a program writes belongs to the user who called it.
mkdir mine
chown 12345:54321 mine
docker run --rm --network none --user 12345:54321 --volume "$PWD/mine:/work" --workdir /work lapsegan:cpu \
  prepare phantom --positions 4 --output plate.ome.zarr >prepare.json
[ "$(stat -c %u:%g mine/plate.ome.zarr)" = 12345:54321 ] || fail "the plate belongs to another user"

command -v apptainer >/dev/null && apptainer --version >/dev/null 2>&1 || exit 0
docker save --output image.tar lapsegan:cpu
apptainer build --fakeroot --mksquashfs-args '-comp zstd -Xcompression-level 3' converted.sif "docker-archive:$PWD/image.tar"
apptainer exec converted.sif bash /opt/lapsegan/test-image.sh
apptainer inspect --labels converted.sif | grep -qF "org.opencontainers.image.version: $version" ||
  fail "the converted image has lost its labels"
echo "note: converted for Apptainer, $(du -m converted.sif | cut -f 1) MB"
