# shellcheck shell=bash
# Sourced by the tests of the Snakemake workflow: runs in folders of their own, through Slurm too.

# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
workflow=$repo/workflows/snakemake
tests=$repo/tests/workflows/snakemake
model=results/phantom/model.safetensors

new_run() { # NAME [SAMPLESHEET]: a folder with the test's config
  mkdir -p "$1/config"
  cp "$tests/config/config.yaml" "$1/config/"
  # The paths are relative to the sheet.
  sed "s#\(\.\./\)*test-data/#$repo/test-data/#" "${2:-$tests/config/samples.csv}" >"$1/config/samples.csv"
}
phantom_run() { # NAME [SED EXPRESSION]: the same with a phantom only, and something changed in the config
  printf 'sample,kind,name,path\nphantom,phantom,,\n' >phantom.csv
  new_run "$1" phantom.csv
  sed -i "${2:-}" "$1/config/config.yaml"
}
in_run() { # NAME ARGUMENT...: Snakemake in that folder
  snakemake --snakefile "$workflow/workflow/Snakefile" --directory "$1" "${@:2}"
}
local_run() { # NAME ARGUMENT...: on two cores, by the shipped profile
  in_run "$1" --profile "$workflow/profiles/local" --cores 2 "${@:2}"
}
whole_results() { # NAME: what the test pipeline leaves
  there "$1"/results/{{phantom,unlabelled}/evaluation/report.html,phantom/benchmark/report.html,summary.tsv}
}
first_checkpoint() { # NAME: tells the file that only a fresh start writes again
  stat -c '%i %Y' "$1/results/phantom/run/checkpoints/kimg_000000.000.json"
}
started() { # NAME COMMAND...: in the background, until some of the training is done; sets $engine and $first
  mkdir -p "$1/results"
  "${@:2}" >"$log" 2>&1 &
  engine=$!
  wait_for 300 has_checkpoint "$1/results"
  first=$(first_checkpoint "$1")
}
finishes() { # NAME: what was started does, and its training went on
  wait "$engine" || fail "'$1' did not finish"
  [ "$(first_checkpoint "$1")" = "$first" ] || fail "'$1' started anew"
}
same_bytes() { # NAME: as a training that nobody disturbed
  as_undisturbed "$1/$model" "$1/results/phantom/phantom_real.ome.zarr" "$(sed -n 's/^  kimg: //p' "$1/config/config.yaml")"
}

in_slurm() { # NAME ARGUMENT...: every job through Slurm, nothing waited for longer than here needed
  in_run "$1" --profile "$workflow/profiles/slurm" --slurm-no-account --slurm-status-command squeue \
    --slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1 --latency-wait 10 "${@:2}"
}
# A Slurm that is found by SLURM_CONF alone: the executor's job step drops the variable, so the commands set it again.
slurm_commands() {
  mkdir slurm
  local command
  for command in sbatch srun squeue sinfo scancel scontrol; do
    printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$SLURM_CONF" "$(command -v $command)" >"slurm/$command"
    chmod +x "slurm/$command"
  done
  PATH=$PWD/slurm:$PATH
}
gpu_requests_arrived() { # NAME: every job on a GPU was given one
  local found seen
  for found in "$1"/logs/train/*.log "$1"/logs/generate/*/*-of-*.log "$1"/logs/segment_benchmark/*/*-of-*.log; do
    seen=$(sed -n 's/^CUDA_VISIBLE_DEVICES=//p' "$found" | tail -n 1)
    [[ "$seen" =~ ^[0-9]+$ ]] || fail "CUDA_VISIBLE_DEVICES='$seen' in $found"
    echo "$seen"
  done | sort -u | paste -sd ' ' | sed 's/^/note: GPUs used: /'
  ! scontrol --oneliner show jobs | grep 'Comment=rule_train_' | grep -v gres:gpu:1 || fail "a training did not ask for one GPU"
}
