#!/usr/bin/env bash
# A training that Slurm preempts, and later requeues, goes on by itself and ends with the bytes of one left alone.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../common.sh"
data=$repo/test-data/recording
prepare --channel brightfield="$data/brightfield" --channel gfp="$data/gfp" --labels cells="$data/cells" \
  --output plate.ome.zarr >prepare.json
settings=(--data plate.ome.zarr --preset tiny --kimg 0.8 --seed 0 --threads 1 --device cpu)

# The script users submit: the same command every time, since --resume starts anew where there is nothing yet. `exec`
# lets the signal of the scheduler reach the program and not a shell that waits for it.
cat >train.sbatch <<JOB
#!/bin/bash
#SBATCH --job-name=train --partition=main --requeue --open-mode=append --output=log.txt --gres=gpu:2 --mem=1G
exec train ${settings[*]} --output disturbed --resume
JOB
job=$(sbatch --parsable train.sbatch)

field() { scontrol show job "$job" | grep -oP "(?<=\b$1=)\w+"; }
is() { [ "$(field "$1")" = "$2" ]; }
in_the_midst() { # RESTARTS: running for the so-manieth time, and some steps on
  wait_for 300 test -e disturbed/checkpoints/latest
  wait_for 300 is Restarts "$1"
  wait_for 300 is JobState RUNNING
  sleep 3
}

in_the_midst 0
sbatch --quiet --partition=urgent --gres=gpu:1 --mem=100M --output=urgent.log --wrap 'sleep 1'
in_the_midst 1
grep -q 'DUE TO PREEMPTION' log.txt || fail "the job was restarted, but not for the urgent one"
scontrol requeue "$job" # what an administrator does to empty a node
in_the_midst 2
wait_for 300 is JobState COMPLETED

# Twice stopped, at different places, neither of them the beginning or the end.
mapfile -t stops < <(grep -oP '(?<=^stopped: terminated at )[0-9.]+(?= kimg)' log.txt)
[ "${#stops[@]}" = 2 ] || fail "the training was stopped ${#stops[@]} times, expected 2"
[ "$(printf '%s\n' 0.0 "${stops[@]}" 0.8 | sort -gu | wc -l)" = 4 ] || fail "stopped at ${stops[*]} kimg, expected on the way"

as_undisturbed "$(last_checkpoint disturbed)" plate.ome.zarr 0.8
echo "note: stopped at ${stops[0]} and ${stops[1]} of 0.8 kimg, same checkpoint"
