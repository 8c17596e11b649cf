# shellcheck shell=bash
# What the tests share; sourced.
#
#   LAPSEGAN_BIN   folder of the five programs [target/release of the checkout, else PATH]
#   nextflow       taken from PATH

pipeline=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
repo=$(cd "$pipeline/../.." && pwd)
part=start

skip() { echo "skipped: $1"; exit 77; }
say() { part=$1; printf '== %s (%d s)\n' "$1" "$SECONDS"; }
fail() {
  printf 'error: %s: %s\n' "$part" "$1" >&2
  [ ! -s out.txt ] || tail -n 40 out.txt | sed 's/^/  | /' >&2
  exit 1
}

# shellcheck disable=SC2034 # the scripts that source this use it
programs() { # puts the programs on PATH
  local bin=${LAPSEGAN_BIN:-$repo/target/release} program
  [ ! -x "$bin/train" ] || export PATH=$bin:$PATH
  for program in prepare train generate evaluate segment-benchmark; do
    command -v "$program" >/dev/null || skip "$program is not there: run make build, or set LAPSEGAN_BIN"
  done
}

flow() { # ARGUMENT...: runs the pipeline, its output in out.txt
  nextflow run "$repo" "$@" >out.txt 2>&1
}
passes() { flow "$@" || fail "nextflow run $* failed"; }
fails() { ! flow "$@" || fail "nextflow run $* passed"; }
says() { grep -qF -- "$1" out.txt || fail "no message: $1"; }

column() { # NAME [FOLDER]: one column of the trace
  awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' \
    "${2:-results}/pipeline_info/trace.txt"
}
tasks() { # STATUS [FOLDER]: how many tasks ended so
  column status "${2:-results}" | grep -cx "$1" || true
}
expect_tasks() { # NUMBER STATUS [FOLDER]
  local found
  found=$(tasks "$2" "${3:-results}")
  [ "$found" = "$1" ] || fail "$found tasks are $2, expected $1"
}
workdir() { # FOLDER PROCESS ATTEMPT: where a task ran
  awk -F '\t' -v process="$2" -v attempt="$3" '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["process"] ~ ":" process "$" && $at["attempt"] == attempt { print $at["workdir"] }' "$1/pipeline_info/trace.txt"
}
wait_for() { # SECONDS COMMAND...: until the command succeeds
  local left=$(($1 * 5))
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "waited in vain for: $*"
    sleep 0.2
  done
}

# For the tests on Slurm: jobs are looked at often, because they take seconds.
# Before the other options: behind --skip_x they would be its value.
# shellcheck disable=SC2034
fast=(-executor.pollInterval='1 sec' -executor.queueStatInterval='1 sec')

checkpoint_of() { # PROCESS: whether a task of the process in work/ has a checkpoint beyond the start
  find work -path '*_run/checkpoints/*.json' ! -name '*_000000.000.json' | grep -q .
}
probe() { # PROFILES [OPTION...]: what two tasks of label process_gpu at a time see of the GPUs, in probe/gpu-*.txt
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
  nextflow -C "$pipeline/nextflow.config" run probe.nf -profile "test,$1" "${fast[@]}" "${@:2}" >out.txt 2>&1 || fail 'the probe failed'
}

command -v nextflow >/dev/null || skip 'nextflow is not on PATH'
export NXF_ANSI_LOG=false NXF_DISABLE_CHECK_LATEST=true
