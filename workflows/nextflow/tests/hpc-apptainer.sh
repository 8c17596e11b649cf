#!/usr/bin/env bash
# hpc-apptainer.sh: the test profile through Slurm with every task in the image $LAPSEGAN_SIF; a training that is killed goes
# on from the checkpoint of its first attempt, which the container has to be shown. Exit 77: skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
sinfo -h >/dev/null 2>&1 || skip 'no Slurm answers'
command -v apptainer >/dev/null || skip 'apptainer is not on PATH'
[ -s "${LAPSEGAN_SIF:-}" ] || skip 'there is no image: LAPSEGAN_SIF names none'
# Nextflow clears the environment around a container, and the tests' apptainer needs to know its cache.
mkdir bin
printf '#!/bin/sh\nexport LAPSEGAN_CACHE=%q\nexec %q "$@"\n' "${LAPSEGAN_CACHE:-}" "$(command -v apptainer)" >bin/apptainer
[ -z "${LAPSEGAN_CACHE:-}" ] || { chmod +x bin/apptainer; export PATH=$PWD/bin:$PATH; }
image=(--container "$LAPSEGAN_SIF" --skip_multiqc)

say 'a task in the container sees its GPU'
probe 'slurm,gpu,apptainer' "${image[@]}"
[ "$(cat probe/gpu-*.txt | sort | xargs)" = '0 1' ] || fail "two tasks at a time see: $(cat probe/gpu-*.txt | xargs)"

say 'the test profile, its training cancelled once'
passes "${fast[@]}" -profile test,slurm,gpu,apptainer --device cpu --kimg 0.4 --train_args='--checkpoint-interval 0.02' "${image[@]}" &
run=$!
wait_for 300 checkpoint_of TRAIN
scancel --name "$(squeue -h -o %j | grep TRAIN)"
wait "$run" || fail 'the run failed'
expect_tasks 1 FAILED
expect_tasks 9 COMPLETED
grep -q 'apptainer exec' "$(workdir results EVALUATE 1)/.command.run" || fail 'not in a container'
grep -q 'resuming at' "$(workdir results TRAIN 2)/.command.err" || fail 'the second attempt did not go on'
for path in synthetic/phantom_synthetic.digest.json evaluation/phantom_evaluation/metrics.json segmentation/phantom_benchmark/scores.json; do
  [ -s "results/$path" ] || fail "no results/$path"
done

say passed
