#!/usr/bin/env bash
# A training that Slurm cancels, preempts or stops at its time limit is tried again by itself, goes on from its
# checkpoint, and ends with the same bytes as one that nobody disturbed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

snakemake_from_cache
work_folder
slurm_on_path
programs_on_path
sheet=$(phantom_only)

start() { # NAME SETTINGS...: one training through Slurm, in the background; sets $engine
  local name=$1
  shift
  new_run "$name" "$sheet"
  sed -i 's/kimg: 0.1/kimg: 0.6/' "$work/$name/config/config.yaml"
  in_slurm "$name" "results/phantom/model.safetensors" --config gpu=1 "$@" >"$work/$name.log" 2>&1 &
  engine=$!
}
training_job() { squeue -h -t running,pending -o '%i %k' | awk '/rule_train/ {print $1; exit}'; }
in_the_midst() { # NAME: waits until some of the training is done; sets $first
  wait_for 180 mid_checkpoint "$1" || fail "no checkpoint" "$work/$1.log"
  first=$(first_checkpoint "$1")
}
finished() { # NAME: it went on, and ended with the same bytes
  wait "$engine" || fail "'$1' did not finish" "$work/$1.log"
  [ "$(first_checkpoint "$1")" = "$first" ] || fail "'$1' started anew" "$work/$1.log"
  same_model undisturbed "$1"
}

start undisturbed
wait "$engine" || fail "the undisturbed training" "$work/undisturbed.log"
passed "undisturbed"

start cancelled
in_the_midst cancelled
scancel "$(training_job)"
finished cancelled
contains "$work/cancelled.log" "Trying to restart job"
passed "cancelled: tried again, resumed, same bytes"

start preempted
in_the_midst preempted
job=$(training_job)
# All memory and processors, so that nothing else can stay.
sbatch --quiet --partition=urgent --exclusive --wait --output=/dev/null --wrap 'sleep 3'
finished preempted
# Slurm itself starts the job again; Snakemake only waits longer.
contains <(scontrol show job "$job") "Restarts=1"
passed "preempted: started again, resumed, same bytes"

start limited
in_the_midst limited
# It is held until its limit, Slurm's shortest, has passed; Slurm then lets it go on and tells it to end.
job=$(training_job)
scontrol update "jobid=$job" timelimit=1
scancel --signal=STOP "$job"
finished limited
contains <(scontrol show job "$job") "JobState=TIMEOUT"
contains "$work/limited.log" "Trying to restart job"
passed "time limit: tried again, resumed, same bytes"
