#!/usr/bin/env bash
# The test profile through Slurm with every task in the image $LAPSEGAN_SIF; a training that is killed goes on from the
# checkpoint of its first attempt, which the container has to be shown.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
[ -s "${LAPSEGAN_SIF:-}" ] || skip 'there is no image: the leg apptainer did not build one'
# Nextflow clears the environment around a container, and the tests' apptainer needs to know its cache.
mkdir bin
printf '#!/bin/sh\nexport LAPSEGAN_CACHE=%q\nexec %q "$@"\n' "$LAPSEGAN_CACHE" "$(command -v apptainer)" >bin/apptainer
chmod +x bin/apptainer
export PATH=$PWD/bin:$PATH
image=(--container "$LAPSEGAN_SIF" --skip_multiqc)

say 'a task in the container sees its GPU'
two_gpus 'slurm,gpu,apptainer' "${image[@]}"

say 'the test profile, its training cancelled once'
mkdir -p work
passes flow "${fast[@]}" -profile test,slurm,gpu,apptainer --device cpu --kimg 0.4 \
  --train_args='--checkpoint-interval 0.02' "${image[@]}" &
run=$!
wait_for 300 has_checkpoint work
scancel --name "$(squeue -h -o %j | grep TRAIN)"
wait "$run" || fail 'the run failed'
expect_tasks 1 FAILED
expect_tasks 10 COMPLETED
for process in SAMPLESHEET_CHECK EVALUATE; do
  grep -q 'apptainer exec' "$(workdir results $process 1)/.command.run" || fail "$process was not in a container"
done
went_on results 2
whole_results

say 'a bad samplesheet, whose folders the container does not see'
printf 'sample,kind,name,path\na,channel,bf,nothere\n' >bad.csv
fails flow -profile test,slurm,apptainer "${image[@]}" --input bad.csv --outdir bad
says 'line 2, column path: '
