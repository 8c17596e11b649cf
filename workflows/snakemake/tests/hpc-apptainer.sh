#!/usr/bin/env bash
# The same pipeline through Slurm, every program in the container $LAPSEGAN_SIF.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

[ -s "${LAPSEGAN_SIF:-}" ] || skip "set LAPSEGAN_SIF to the container image"
command -v apptainer >/dev/null || skip "apptainer is not on PATH"
sif=$(realpath "$LAPSEGAN_SIF")
apptainer exec "$sif" train --version >/dev/null || skip "the container does not start here"
snakemake_from_cache
work_folder
slurm_on_path

# The programs of this machine would hide a container that is not used.
mkdir "$work/none"
for program in prepare train generate evaluate segment-benchmark; do
  printf '#!/bin/sh\necho "not in the container" >&2\nexit 1\n' >"$work/none/$program"
  chmod +x "$work/none/$program"
done
PATH=$work/none:$PATH

new_run apptainer
in_slurm apptainer --sdm apptainer --apptainer-args "--nv --bind $repo" --config gpu=1 "container=$sif" >"$work/log" 2>&1 ||
  fail "the pipeline did not finish" "$work/log"
for result in {phantom,unlabelled}/evaluation/report.html phantom/benchmark/report.html summary.tsv; do
  [ -s "$work/apptainer/results/$result" ] || fail "$result is missing" "$work/log"
done
passed "the test pipeline ran through Slurm in the container"
gpu_requests_arrived apptainer
passed "CUDA_VISIBLE_DEVICES arrived inside the container, GPUs used: $(sort -u "$work/gpus" | paste -sd ' ')"
