# shellcheck shell=bash
# Sourced by the tests of the Nextflow pipeline: runs it and reads its trace.

# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
pipeline=$repo/workflows/nextflow

flow() { nextflow run "$repo" "$@"; }

column() { # NAME [FOLDER]: one column of the trace
  awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' \
    "${2:-results}/pipeline_info/trace.txt"
}
expect_tasks() { # NUMBER STATUS [FOLDER]: so many tasks ended so
  local found
  found=$(column status "${3:-results}" | grep -cx "$2" || true)
  [ "$found" = "$1" ] || fail "$found tasks are $2, expected $1"
}
workdir() { # FOLDER PROCESS ATTEMPT: where a task ran
  awk -F '\t' -v process="$2" -v attempt="$3" '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["process"] ~ ":" process "$" && $at["attempt"] == attempt { print $at["workdir"]; exit }' \
    "$1/pipeline_info/trace.txt"
}
went_on() { # FOLDER ATTEMPT: the training of this attempt began at a checkpoint
  says 'resuming at' "$(workdir "$1" TRAIN "$2")/.command.err"
}
whole_results() { # what the test profile leaves
  there results/{plates/phantom.ome.zarr/zarr.json,plates/phantom.digest.json,models/phantom_run/run.json} \
    results/synthetic/phantom_synthetic.{digest.json,ome.zarr/zarr.json} \
    results/{evaluation/phantom_evaluation,segmentation/phantom_benchmark}/report.html \
    results/segmentation/phantom_benchmark/scores.json results/pipeline_info/{trace.txt,report.html,timeline.html,dag.html}
}

# On Slurm jobs are looked at often, because they take seconds. Before the other options: behind --skip_x they would be
# its value.
# shellcheck disable=SC2034 # the tests use it
fast=(-executor.pollInterval='1 sec' -executor.queueStatInterval='1 sec')

two_gpus() { # PROFILES [OPTION...]: two tasks of label process_gpu at a time see one GPU each
  cat >probe.nf <<'NF'
process PROBE {
    label 'process_gpu'
    publishDir 'probe', mode: 'copy'
    input:
    val i
    output:
    path 'gpu-*.txt'
    script:
    // Longer than the other takes to start.
    """
    echo "\${CUDA_VISIBLE_DEVICES-none}" > gpu-${i}.txt
    sleep 15
    """
}
workflow {
    PROBE(channel.of(1, 2))
}
NF
  passes nextflow -C "$pipeline/nextflow.config" run probe.nf -profile "test,$1" "${fast[@]}" "${@:2}"
  local seen
  seen=$(sort probe/gpu-*.txt | xargs)
  [ "$seen" = '0 1' ] || fail "two tasks at a time see: $seen"
}
