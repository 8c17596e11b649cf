#!/usr/bin/env bash
# A training that Slurm cancels, preempts or stops at its time limit is tried again by itself, goes on from its
# checkpoint, and ends with the same bytes as one that nobody disturbed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
slurm_commands

training() { # NAME: in the midst of a training through Slurm
  say "$1"
  phantom_run "$1" 's/kimg: 0.1/kimg: 0.6/'
  started "$1" in_slurm "$1" "$model" --config gpu=1
  job=$(squeue -h -t running,pending -o '%i %k' | awk '/rule_train/ {print $1; exit}')
}

training cancelled
scancel "$job"
finishes cancelled
says 'Trying to restart job'
same_bytes cancelled

training preempted
# All memory and processors, so that nothing else can stay.
sbatch --quiet --partition=urgent --exclusive --wait --output=/dev/null --wrap 'sleep 3'
finishes preempted
# Slurm itself starts the job again; Snakemake only waits longer.
says 'Restarts=1' <(scontrol show job "$job")
same_bytes preempted

training limited
# It is held until its limit, Slurm's shortest, has passed; Slurm then lets it go on and tells it to end.
scontrol update "jobid=$job" timelimit=1
scancel --signal=STOP "$job"
finishes limited
says 'JobState=TIMEOUT' <(scontrol show job "$job")
says 'Trying to restart job'
same_bytes limited
