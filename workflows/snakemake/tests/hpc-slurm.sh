#!/usr/bin/env bash
# The whole test pipeline through a running Slurm, with one GPU asked for by every job that can use one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

snakemake_from_cache
programs_on_path
work_folder
slurm_on_path

new_run slurm
in_slurm slurm --config gpu=1 >"$work/log" 2>&1 || fail "the pipeline did not finish" "$work/log"
for result in {phantom,unlabelled}/evaluation/report.html phantom/benchmark/report.html summary.tsv; do
  [ -s "$work/slurm/results/$result" ] || fail "$result is missing" "$work/log"
done
passed "the test pipeline ran through Slurm"
gpu_requests_arrived slurm
passed "CUDA_VISIBLE_DEVICES arrived, GPUs used: $(sort -u "$work/gpus" | paste -sd ' ')"
in_slurm slurm --config gpu=1 >"$work/log" 2>&1 || fail "the second run" "$work/log"
contains "$work/log" "Nothing to be done"
passed "a second run finds nothing to do"
